"""Makes models with Ultralytics, exports them, and writes down what Ultralytics finds with them.

Runs in the environment of the exports (`scripts/bootstrap-exports.sh`), never in ours:

    .venv-exports/bin/python tests/exports/ultralytics_exports.py OUT [NAME ...]

Nothing is downloaded: a model is made from its .yaml with weights drawn from a fixed seed. Such a
network is sure of nothing, so that its last layers are scaled until some dozen candidates of the
picture are surer than the threshold: there is something to compare, and to suppress.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_OFFLINE", "true")

import cv2
import numpy as np
import torch
from ultralytics import RTDETR, YOLO
from ultralytics.nn import tasks

NAMES = ["dent", "scratch", "hole"]
THRESHOLD, IOU = 0.25, 0.45
CANDIDATES = 60
"""So many are surer than the threshold."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An export: which model, and how."""

    yaml: str
    size: tuple[int, int] = (320, 320)
    """Height and width."""
    kind: type = YOLO
    options: dict[str, Any] = field(default_factory=dict)


EXPORTS = {
    "v8": Wanted(yaml="yolov8n.yaml"),
    "v8_640_dynamic": Wanted(yaml="yolov8n.yaml", size=(640, 640), options={"dynamic": True}),
    "v8_nms": Wanted(yaml="yolov8n.yaml", options={"nms": True}),
    "v8_nms_dynamic": Wanted(yaml="yolov8n.yaml", options={"nms": True, "dynamic": True}),
    "v8_half": Wanted(yaml="yolov8n.yaml", options={"half": True}),
    "v8_512x640": Wanted(yaml="yolov8n.yaml", size=(512, 640)),
    "v8_opset12": Wanted(yaml="yolov8n.yaml", options={"opset": 12}),
    "v8_batch4": Wanted(yaml="yolov8n.yaml", options={"batch": 4}),
    "v9": Wanted(yaml="yolov9t.yaml"),
    "v11": Wanted(yaml="yolo11n.yaml"),
    "v11_nms": Wanted(yaml="yolo11n.yaml", options={"nms": True}),
    "v12": Wanted(yaml="yolo12n.yaml"),
    "v26": Wanted(yaml="yolo26n.yaml", options={"nms": False}),
    "v26_plain": Wanted(yaml="yolo26n.yaml"),
    "v10": Wanted(yaml="yolov10n.yaml", options={"nms": False}),
    "v10_dynamic": Wanted(yaml="yolov10n.yaml", options={"nms": False, "dynamic": True}),
    "rtdetr": Wanted(yaml="rtdetr-l.yaml", kind=RTDETR),
    "v8_seg": Wanted(yaml="yolov8n-seg.yaml"),
    "v11_obb": Wanted(yaml="yolo11n-obb.yaml"),
    "v11_cls": Wanted(yaml="yolo11n-cls.yaml", size=(224, 224)),
    "v8_pose": Wanted(yaml="yolov8n-pose.yaml"),
}


def picture(height_px: int, width_px: int) -> np.ndarray:
    """Noise with shapes on it, so that nothing is alike anywhere."""
    rng = np.random.default_rng(3)
    image = rng.normal(120, 25, (height_px, width_px, 3)).clip(0, 255).astype(np.uint8)
    for _ in range(25):
        x, y = int(rng.integers(width_px)), int(rng.integers(height_px))
        colour = [int(level) for level in rng.integers(0, 255, 3)]
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), int(rng.integers(5, 40)), colour, -1)
        else:
            far = (x + int(rng.integers(10, 90)), y + int(rng.integers(10, 60)))
            cv2.rectangle(image, (x, y), far, colour, -1)
    return image


def made(wanted: Wanted, image: np.ndarray) -> Any:
    """The model, sure of something in the picture."""
    torch.manual_seed(7)
    model = wanted.kind(wanted.yaml)
    kind = type(model.model)
    model.model = kind(wanted.yaml, ch=3, nc=len(NAMES), verbose=False)
    model.model.names = dict(enumerate(NAMES))
    model.model.args = (
        {**model.model.args} if isinstance(getattr(model.model, "args", None), dict) else {}
    )
    model.model.task = model.task
    model.model.eval()
    _settle_norms(model.model, image)
    if kind is not tasks.ClassificationModel:
        _make_small(model.model)
        _make_sure(model.model, image)
    return model


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy()).float()[None] / 255


def _settle_norms(network: torch.nn.Module, image: np.ndarray) -> None:
    """Batch normalisation as after training: its means and variances are those of pictures."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 0.5
        norm.train()
    with torch.no_grad():
        for shift in range(6):
            network(_tensor(np.roll(image, 37 * shift, axis=1)).repeat(2, 1, 1, 1))
    network.eval()


def _last_layers(network: torch.nn.Module) -> list[list[torch.nn.Module]]:
    """The layers that give class scores, in groups that are read together."""
    head = network.model[-1]
    groups = []
    for name in ("cv3", "one2one_cv3"):
        branches = getattr(head, name, None)
        if branches is not None:
            groups.append([branch[-1] for branch in branches])
    if hasattr(head, "dec_score_head"):
        groups += [[head.dec_score_head[-1]]]
    return groups


def _make_small(network: torch.nn.Module) -> None:
    """Let boxes be smaller than the picture, and of many sizes: nearer bins are likelier."""
    head = network.model[-1]
    for name in ("cv2", "one2one_cv2"):
        for branch in getattr(head, name, None) or ():
            last = branch[-1]
            with torch.no_grad():
                last.weight *= 3
                bins = last.bias.reshape(4, -1)
                bins -= torch.arange(bins.shape[1]) * 0.9


def _make_sure(network: torch.nn.Module, image: np.ndarray) -> None:
    """Let about CANDIDATES be surer than the threshold."""
    for group in _last_layers(network):
        seen: list[torch.Tensor] = []

        def note(_layer: Any, _inputs: Any, out: torch.Tensor, to: list[Any] = seen) -> None:
            to.append(out.detach())

        hooks = [layer.register_forward_hook(note) for layer in group]
        with torch.no_grad():
            network(_tensor(image))
        for hook in hooks:
            hook.remove()
        if not seen:
            continue
        logits = torch.cat([one.reshape(-1) for one in seen[-len(group) :]])
        spread = float(logits.std()) or 1.0
        gain = 1.5 / spread
        top = torch.sort(logits * gain, descending=True).values
        wanted = min(CANDIDATES, len(top) // 3)
        offset = float(np.log(THRESHOLD / (1 - THRESHOLD))) - float(top[wanted])
        with torch.no_grad():
            for layer in group:
                layer.weight *= gain
                layer.bias *= gain
                layer.bias += offset


def expectation(model: Any, path: Path, wanted: Wanted, image: np.ndarray) -> dict[str, Any]:
    """What Ultralytics itself finds with the exported file."""
    exported = RTDETR(str(path)) if wanted.kind is RTDETR else YOLO(str(path), task=model.task)
    (result,) = exported.predict(
        image,
        imgsz=list(wanted.size),
        conf=THRESHOLD,
        iou=IOU,
        verbose=False,
        device="cpu",
        max_det=300,
    )
    found: dict[str, Any] = {"task": model.task, "names": NAMES}
    if result.probs is not None:
        found["probabilities"] = result.probs.data.tolist()
        return found
    boxes = result.obb if result.obb is not None else result.boxes
    found["found"] = [
        {"box": corners, "score": score, "class": int(number)}
        for corners, score, number in zip(
            (boxes.xyxyxyxy.reshape(-1, 8) if result.obb is not None else boxes.xyxy).tolist(),
            boxes.conf.tolist(),
            boxes.cls.tolist(),
            strict=True,
        )
    ]
    if result.masks is not None:
        masks = result.masks.data.numpy() > 0
        np.savez_compressed(path.with_name("masks.npz"), masks=masks)
    return found


def main() -> None:
    out, *names = sys.argv[1:]
    for name in names or EXPORTS:
        wanted, folder = EXPORTS[name], Path(out) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        image = picture(*wanted.size)
        try:
            model = made(wanted, image)
            weights = folder / "model.pt"
            torch.save({"model": model.model, "train_args": {"task": model.task}}, weights)
            loaded = wanted.kind(str(weights))
            path = Path(
                loaded.export(
                    format="onnx",
                    imgsz=list(wanted.size),
                    device="cpu",
                    simplify=False,
                    **wanted.options,
                )
            )
            weights.unlink()
            cv2.imwrite(str(folder / "picture.png"), image)
            found = expectation(loaded, path, wanted, image)
            (folder / "expected.json").write_text(json.dumps(found))
            told = f"ok: {len(found.get('found', []))} found"
        except Exception as failed:  # noqa: BLE001 - each export by itself
            told = f"FAILED: {type(failed).__name__}: {failed}"
        sys.stdout.write(f"{name}: {told}\n")


if __name__ == "__main__":
    main()
