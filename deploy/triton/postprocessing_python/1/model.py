"""Turns the detector's candidates into detections; change it to suit your line.

Runs inside Triton, in the embedded server and in NVIDIA's container alike: numpy is all it may
import. A reply that is not made of numbers becomes an error, never an empty list of defects.
"""  # noqa: INP001 - Triton's folder layout: the model's name, its version, this file

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


class TritonPythonModel:
    """Score, threshold and non-maximum suppression; Triton calls each method on one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the thresholds from this model's config.pbtxt."""
        config = json.loads(args["model_config"])
        texts = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._score_threshold = _between(0, texts, "score_threshold", 1)
        self._iou_threshold = _between(0, texts, "iou_threshold", 1)
        rows = next(o["dims"][0] for o in config["output"] if o["name"] == "boxes")
        self._rows = int(rows)
        self._max_detections = int(_between(1, texts, "max_detections", self._rows))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request; one that cannot be answered gets its own error."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        # (n, candidates, 5 + classes) float32; memory of Triton's, gone after execute().
        batch = pb_utils.get_input_tensor_by_name(request, "output").as_numpy()
        if not np.isfinite(batch).all():
            # Every comparison with NaN is false: unchecked, it would read as a good board.
            error = pb_utils.TritonError("the detector's output is not finite (NaN or infinity)")
            return pb_utils.InferenceResponse(error=error)
        n = len(batch)
        boxes = np.zeros((n, self._rows, 4), np.float32)
        scores = np.zeros((n, self._rows), np.float32)
        classes = np.zeros((n, self._rows), np.int32)
        count = np.zeros((n, 1), np.int32)
        for i, candidates in enumerate(batch):
            found = self._detections(candidates)
            k = len(found[0])
            boxes[i, :k], scores[i, :k], classes[i, :k] = found
            count[i] = k
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("boxes", boxes),
                pb_utils.Tensor("scores", scores),
                pb_utils.Tensor("classes", classes),
                pb_utils.Tensor("count", count),
            ]
        )

    def _detections(self, candidates: Floats) -> tuple[Floats, Floats, Integers]:
        """Boxes (left, top, right, bottom), scores and classes of one picture, best first."""
        # A class score is at most 1, so this drops nothing that could pass; it is what makes
        # the rest cheap: a handful of candidates instead of 25200.
        candidates = candidates[candidates[:, 4] >= self._score_threshold]
        scores = candidates[:, 4:5] * candidates[:, 5:]
        classes = scores.argmax(axis=1).astype(np.int32)
        best = scores[np.arange(len(scores)), classes]
        # Stable, so that equal scores keep the detector's order on every machine.
        order = np.argsort(-best, kind="stable")
        order = order[best[order] >= self._score_threshold]
        boxes = corners(candidates[order, :4])
        keep = non_maximum_suppression(
            boxes, classes[order], self._iou_threshold, self._max_detections
        )
        return boxes[keep], best[order][keep], classes[order][keep]


def corners(centred: Floats) -> Floats:
    """(k, 4) centre x, centre y, width, height -> left, top, right, bottom."""
    half = centred[:, 2:] / 2
    return np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)


def non_maximum_suppression(
    boxes: Floats, classes: Integers, iou_threshold: float, limit: int
) -> list[int]:
    """Indices to keep of boxes sorted best first; boxes suppress only their own class."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    rest = np.arange(len(boxes))
    keep: list[int] = []
    while len(rest) and len(keep) < limit:
        first, rest = rest[0], rest[1:]
        keep.append(int(first))
        left_top = np.maximum(boxes[first, :2], boxes[rest, :2])
        right_bottom = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = np.clip(right_bottom - left_top, 0, None).prod(axis=1)
        # As a product: two empty boxes have no quotient.
        overlap = shared > iou_threshold * (areas[first] + areas[rest] - shared)
        rest = rest[~(overlap & (classes[rest] == classes[first]))]
    return keep


def _between(low: float, texts: dict[str, str], key: str, high: float) -> float:
    """Return the parameter as a number, or refuse to load with one line that says why."""
    text = texts.get(key, "")
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise pb_utils.TritonModelException(
            f"parameter {key} of postprocessing is {text!r}, expected {low} to {high}"
        )
    return number
