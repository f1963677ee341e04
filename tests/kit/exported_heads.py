"""What networks of each kind answer to one picture in which they see this: arrays, by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.records import Finding
from tests.kit.findings import corners_of
from tests.kit.replies import SIDE

PROTOTYPES = 8
"""Mask coefficients; real networks have 32."""
ROWS = 100
"""Of a network that answers with final rows, or queries."""
Reply = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing that lies in one box."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the input."""
    sure: float
    code: int
    turn: float = 0.0
    """Radians, of a turned box: the box is what it is before it is turned about its middle."""

    @property
    def centre(self) -> tuple[float, float, float, float]:
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def middles(anchors: int = 1) -> NDArray[Any]:
    """Of every candidate of strides 8, 16 and 32."""
    grids = []
    for stride in (8, 16, 32):
        steps = np.arange(stride // 2, SIDE, stride)
        across, down = np.meshgrid(steps, steps)
        grids.append(np.stack([across.ravel(), down.ravel()], axis=1))
    return np.concatenate(grids * anchors)


def faint(rows: int, classes: int) -> NDArray[Any]:
    """Every network is a little sure of something everywhere."""
    return np.random.default_rng(rows).uniform(0.001, 0.1, (rows, classes)).astype(np.float32)


def dense(
    seen: Sequence[Seen], classes: int, extra: NDArray[Any] | None = None, *, anchors: int = 1
) -> NDArray[Any]:
    """[1, 4 + classes + extra, candidates] of a YOLOv8, or with objectness of three anchors."""
    at = middles(anchors)
    boxes = np.concatenate([at, np.full((len(at), 2), 12)], axis=1).astype(np.float32)
    scores = faint(len(at), classes)
    for row, one in enumerate(seen):
        boxes[row], scores[row] = one.centre, 0
        scores[row, one.code] = one.sure
    further = np.zeros((len(at), 0 if extra is None else extra.shape[1]), np.float32)
    if extra is not None:
        further[: len(extra)] = extra
    objectness = np.ones((len(at), 1), np.float32) if anchors > 1 else np.zeros((len(at), 0))
    head = np.concatenate([boxes, objectness, scores, further], axis=1)[None]
    return np.asarray(head if anchors > 1 else head.transpose(0, 2, 1), np.float32)


def final(seen: Sequence[Seen], extra: NDArray[Any] | None = None) -> NDArray[Any]:
    """[1, rows, 6 + extra] after suppression."""
    rows = np.zeros((ROWS, 6 + (0 if extra is None else extra.shape[1])), np.float32)
    for row, one in enumerate(seen):
        rows[row, :6] = (*one.box, one.sure, one.code)
    if extra is not None:
        rows[: len(extra), 6:] = extra
    return rows[None]


def mask_of(seen: Sequence[Seen], step_px: int = 4) -> tuple[NDArray[Any], NDArray[Any]]:
    """Coefficients and prototypes of masks that fill their boxes, whose sides are on the grid."""
    side = SIDE // step_px
    planes = np.full((1, PROTOTYPES, side, side), -1, np.float32)
    weights = np.zeros((len(seen), PROTOTYPES), np.float32)
    for row, one in enumerate(seen):
        left, top, right, bottom = (round(edge / step_px) for edge in one.box)
        planes[0, row, top:bottom, left:right] = 1
        weights[row, row] = 3
    return weights, planes


def logit(share: Any) -> NDArray[Any]:
    return np.asarray(np.log(share) - np.log1p(-np.asarray(share)), np.float32)


def query_boxes(seen: Sequence[Seen]) -> NDArray[Any]:
    boxes = np.full((1, ROWS, 4), 0.3, np.float32)
    for row, one in enumerate(seen):
        boxes[0, row] = np.array(one.centre) / SIDE
    return boxes


def query_shares(seen: Sequence[Seen], classes: int) -> NDArray[Any]:
    shares = faint(ROWS, classes)
    for row, one in enumerate(seen):
        shares[row] = 0.001
        shares[row, one.code] = one.sure
    return shares[None]


def with_masks(seen: Sequence[Seen], classes: int) -> Reply:
    weights, planes = mask_of(seen)
    return {"output0": dense(seen, classes, weights), "output1": planes}


def with_objectness_and_masks(seen: Sequence[Seen], classes: int) -> Reply:
    weights, planes = mask_of(seen)
    return {"output0": dense(seen, classes, weights, anchors=3), "output1": planes}


def final_with_masks(seen: Sequence[Seen], classes: int) -> Reply:
    del classes
    weights, planes = mask_of(seen)
    return {"output0": final(seen, weights), "output1": planes}


def oriented(seen: Sequence[Seen], classes: int) -> Reply:
    turns = np.array([[one.turn] for one in seen], np.float32).reshape(-1, 1)
    return {"output0": dense(seen, classes, turns)}


def oriented_final(seen: Sequence[Seen], classes: int) -> Reply:
    del classes
    rows = np.zeros((1, ROWS, 7), np.float32)
    for row, one in enumerate(seen):
        rows[0, row] = (*one.centre, one.sure, one.code, one.turn)
    return {"output0": rows}


def d_fine(seen: Sequence[Seen], classes: int) -> Reply:
    return {"logits": logit(query_shares(seen, classes)), "pred_boxes": query_boxes(seen)}


def detr(seen: Sequence[Seen], classes: int) -> Reply:
    """Softmax with "nothing" behind the classes."""
    shares = query_shares(seen, classes) / 2
    shares[0, : len(seen)] *= 2
    nothing = 1 - shares.sum(axis=2, keepdims=True)
    return {
        "logits": np.log(np.concatenate([shares, nothing], axis=2)).astype(np.float32) + 2,
        "pred_boxes": query_boxes(seen),
    }


def _with_unused(seen: Sequence[Seen], classes: int, *, first: bool) -> Reply:
    logits = logit(query_shares(seen, classes))
    unused = np.full((1, ROWS, 1), -4, np.float32)
    both = (unused, logits) if first else (logits, unused)
    return {"dets": query_boxes(seen), "labels": np.concatenate(both, axis=2)}


def rf_detr(seen: Sequence[Seen], classes: int) -> Reply:
    return _with_unused(seen, classes, first=False)


def rf_detr_from_1(seen: Sequence[Seen], classes: int) -> Reply:
    return _with_unused(seen, classes, first=True)


def yolo_nas(seen: Sequence[Seen], classes: int) -> Reply:
    at = middles()
    boxes = np.concatenate([at - 6, at + 6], axis=1).astype(np.float32)
    scores = faint(len(at), classes)
    for row, one in enumerate(seen):
        boxes[row], scores[row] = one.box, 0
        scores[row, one.code] = one.sure
    return {"904": boxes[None], "913": scores[None]}


def _labels(seen: Sequence[Seen], first: int) -> Reply:
    labels = np.full((1, ROWS), first, np.int64)
    boxes, scores = np.zeros((1, ROWS, 4), np.float32), np.full((1, ROWS), 0.01, np.float32)
    for row, one in enumerate(seen):
        labels[0, row], boxes[0, row], scores[0, row] = one.code + first, one.box, one.sure
    return {"labels": labels, "boxes": boxes, "scores": scores}


def labels(seen: Sequence[Seen], classes: int) -> Reply:
    del classes
    return _labels(seen, 0)


def labels_from_1(seen: Sequence[Seen], classes: int) -> Reply:
    del classes
    return _labels(seen, 1)


def efficient_nms(seen: Sequence[Seen], classes: int) -> Reply:
    del classes
    rows = final(seen)
    return {
        "num_dets": np.array([[len(seen)]], np.int32),
        "det_boxes": rows[..., :4],
        "det_scores": rows[..., 4],
        "det_classes": rows[..., 5].astype(np.int32),
    }


def yolox(seen: Sequence[Seen], classes: int) -> Reply:
    """Offsets from the corner of a cell, in cells, and logarithms of sizes in cells."""
    cells = []
    for stride in (8, 16, 32):
        across, down = np.meshgrid(np.arange(SIDE // stride), np.arange(SIDE // stride))
        cells.append(np.stack([across.ravel(), down.ravel(), np.full(across.size, stride)], axis=1))
    at = np.concatenate(cells).astype(np.float32)
    head = np.zeros((len(at), 5 + classes), np.float32)
    head[:, :2], head[:, 4:] = 0.5, faint(len(at), 1 + classes)
    for row, one in enumerate(seen):
        x, y, stride = at[row]
        cx, cy, wide, high = one.centre
        head[row, :4] = (cx / stride - x, cy / stride - y, *np.log([wide / stride, high / stride]))
        head[row, 4:] = 0
        head[row, 4], head[row, 5 + one.code] = 1, one.sure
    return {"output": head[None]}


EXPORTS: dict[str, tuple[Callable[[Sequence[Seen], int], Reply], str]] = {
    "YOLOv8 segmentation": (with_masks, "transposed"),
    "YOLOv5 segmentation": (with_objectness_and_masks, "with_objectness"),
    "YOLO26 segmentation": (final_with_masks, "end_to_end"),
    "oriented": (oriented, "oriented"),
    "oriented, after suppression": (oriented_final, "oriented_end_to_end"),
    "D-FINE": (d_fine, "d_fine"),
    "DETR": (detr, "detr"),
    "RF-DETR": (rf_detr, "rf_detr"),
    "RF-DETR, first unused": (rf_detr_from_1, "rf_detr_from_1"),
    "YOLO-NAS": (yolo_nas, "yolo_nas"),
    "RT-DETR deployed": (labels, "labels"),
    "torchvision": (labels_from_1, "labels_from_1"),
    "EfficientNMS": (efficient_nms, "auto"),
    "YOLOX, not decoded": (yolox, "yolox"),
}
"""By name: what makes its answer, and the head that says what it is."""


def said(found: list[Finding], seen: list[Seen]) -> bool:
    """Whether these are the things, each where it is, as sure as it is."""
    best_first = sorted(seen, key=lambda one: -one.sure)
    return len(found) == len(seen) and all(
        np.allclose(corners_of(one), thing.box, atol=2.1)
        and abs(one.confidence - thing.sure) < 0.01
        and one.code_index == thing.code
        for one, thing in zip(found, best_first, strict=True)
    )


def codes(number: int) -> tuple[str, ...]:
    return tuple(f"code{n}" for n in range(number))
