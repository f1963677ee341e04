"""What the model repository must answer, computed without Triton and as plainly as possible."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

REPOSITORY = Path(__file__).parents[2] / "model_repository"
DEEPPCB = Path(__file__).parents[3] / "shared/data/deeppcb.zip"
ROWS = 100


def pictures(count: int) -> Any:
    """(count, 640, 640, 3) BGR: real boards beside the checkout, or drawn ones."""
    if DEEPPCB.is_file():
        with zipfile.ZipFile(DEEPPCB) as archive:
            names = [n for n in sorted(archive.namelist()) if n.endswith("_test.png")]
            files = [archive.read(name) for name in names[:: len(names) // count][:count]]
        images = [cv2.imdecode(np.frombuffer(f, np.uint8), cv2.IMREAD_COLOR) for f in files]
    else:
        images = [_drawn_board(seed) for seed in range(count)]
    tinted = np.stack([image for image in images if image is not None])
    # The three channels must differ, or a swapped colour order would go unseen.
    return (tinted * np.array([0.9, 0.6, 0.75])).astype(np.uint8)


def _drawn_board(seed: int) -> Any:
    random = np.random.default_rng(seed)
    image = np.full((640, 640, 3), 255, np.uint8)
    for _ in range(40):
        start, end = random.integers(0, 640, (2, 2)).tolist()
        cv2.line(image, start, end, (0, 0, 0), 6)
        cv2.circle(image, start, 9, (0, 0, 0), -1)
        cv2.circle(image, start, 4, (255, 255, 255), -1)
    return image


def preprocessed(images: Any) -> Any:
    return (images[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)) / np.float32(255)


class Detector:
    """The same file in this process, on one thread as config.pbtxt says."""

    def __init__(self, file: Path = REPOSITORY / "pcb_detector/1/model.onnx") -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(file),
            options,
            providers=["CPUExecutionProvider"],
        )

    def __call__(self, images: Any) -> Any:
        return self._session.run(["output"], {"images": images})[0]


def postprocessed(batch: Any, threshold: float = 0.25, iou: float = 0.45) -> dict[str, Any]:
    """Non-maximum suppression as it stands in the textbooks: one pair at a time."""
    answers: dict[str, Any] = {
        "boxes": np.zeros((len(batch), ROWS, 4), np.float32),
        "scores": np.zeros((len(batch), ROWS), np.float32),
        "classes": np.zeros((len(batch), ROWS), np.int32),
        "count": np.zeros((len(batch), 1), np.int32),
    }
    for row, candidates in enumerate(batch):
        kept: list[tuple[Any, int, Any]] = []
        for score, class_index, box in sorted(
            _above(candidates, threshold), key=lambda c: c[0], reverse=True
        ):
            rivals = (other for _, its_class, other in kept if its_class == class_index)
            if not any(_iou(box, other) > iou for other in rivals):
                kept.append((score, class_index, box))
        for k, (score, class_index, box) in enumerate(kept[:ROWS]):
            answers["scores"][row, k] = score
            answers["classes"][row, k] = class_index
            answers["boxes"][row, k] = box
        answers["count"][row] = min(len(kept), ROWS)
    return answers


def _above(candidates: Any, threshold: float) -> list[tuple[Any, int, Any]]:
    found = []
    for candidate in candidates[candidates[:, 4] > threshold / 2]:
        cx, cy, width, height = candidate[:4]
        class_index = int(np.argmax(candidate[5:]))
        score = candidate[4] * candidate[5 + class_index]
        if score >= threshold:
            box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
            found.append((score, class_index, box))
    return found


def _iou(a: Any, b: Any) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return float(shared / (areas - shared))
