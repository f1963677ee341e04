"""From a reply's tensors to detections: pure arithmetic, and every doubt is an error.

A reply that cannot be read as a result must never read as "no defects".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.geometry import to_frame
from inspector.core.records import Detection, ModelInput, ModelSpec, OutputLayout, Region

Floats = NDArray[np.float32]
_TOLERANCE = 1e-3
_SHARE_PX = 1.5
"""A box that ends before this is not in pixels but in shares of the picture."""
_FURTHEST_PX = 1e6
"""No box reaches so far; squares of it are still numbers."""
MAX_CANDIDATES = 3000
"""Above the floor, per region: a head that fires everywhere is broken, and suppressing its 25200
candidates held the event loop for 47 s."""


def decode(
    outputs: Mapping[str, NDArray[Any]],
    regions: tuple[Region, ...],
    spec: ModelSpec,
    *,
    classes: int,
    floor: float,
    nms_iou: float,
) -> list[list[Detection]]:
    """The detections of each region, in frame pixels, highest confidence first.

    Detections below `floor` are left out. `nms_iou` is used for raw heads only.

    Raises:
        MalformedReplyError: the reply is not one result per region, or holds a box that is none.

    """
    missing = [name for name in spec.outputs if name not in outputs]
    if missing:
        raise MalformedReplyError(f"output {', '.join(missing)} missing or truncated")
    if spec.layout is OutputLayout.DETECTIONS:
        boxes, scores, labels, counts = _detections(outputs, spec, len(regions), classes)
        found = [
            (boxes[i, : counts[i]], scores[i, : counts[i]], labels[i, : counts[i]])
            for i in range(len(regions))
        ]
    else:
        head = _head(outputs[spec.outputs[0]], spec, len(regions), classes)
        for one in head:
            _require_dense(one, spec, floor)
        found = [_suppressed(*_candidates(h, spec.layout), floor, nms_iou) for h in head]
    for corners, scores, _labels in found:
        _require_boxes(corners[scores >= floor], spec.input)
    return [_in_frame(*rows, region, floor) for rows, region in zip(found, regions, strict=True)]


def _detections(
    outputs: Mapping[str, NDArray[Any]], spec: ModelSpec, regions: int, classes: int
) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    boxes, scores, labels, counts = (np.asarray(outputs[name]) for name in spec.outputs)
    room = scores.shape[1] if scores.ndim == 2 else -1  # noqa: PLR2004 - region, row
    for array, shape, kinds, name in zip(
        (boxes, scores, labels, counts),
        ((regions, room, 4), (regions, room), (regions, room), (regions, 1)),
        ("f", "f", "iu", "iu"),
        spec.outputs,
        strict=True,
    ):
        if array.shape != shape:
            raise MalformedReplyError(f"output {name} is {array.shape}, expected {shape}")
        if array.dtype.kind not in kinds:
            wanted = "floats" if kinds == "f" else "integers"
            raise MalformedReplyError(f"output {name} is {array.dtype}, expected {wanted}")
    counts = counts[:, 0].astype(np.int64)
    if counts.min() < 0 or counts.max() > room:
        raise MalformedReplyError(f"count is {counts.tolist()}, expected 0 to {room}")
    used = np.arange(room)[None, :] < counts[:, None]
    _require_numbers(boxes[used], spec.outputs[0])
    _require_scores(scores[used])
    labels = labels.astype(np.int64)
    if used.any() and not (labels[used].min() >= 0 and labels[used].max() < classes):
        raise MalformedReplyError(
            f"class {int(labels[used].max())} reported, inspection.codes names {classes}"
        )
    return boxes, scores, labels, counts


def _head(head: NDArray[Any], spec: ModelSpec, regions: int, classes: int) -> Floats:
    """The raw head, checked: (regions, candidates, 5 + classes) or (regions, 4 + classes, c)."""
    with_objectness = spec.layout is OutputLayout.YOLO_WITH_OBJECTNESS
    axis, width = (2, 5 + classes) if with_objectness else (1, 4 + classes)
    if head.ndim != 3 or head.shape[0] != regions or head.shape[axis] != width:  # noqa: PLR2004
        raise MalformedReplyError(
            f"output {spec.outputs[0]} is {head.shape}, expected {regions} x {spec.layout.value}"
        )
    if head.dtype.kind != "f":
        raise MalformedReplyError(f"output {spec.outputs[0]} is {head.dtype}, expected floats")
    candidates = head.shape[3 - axis]
    if spec.candidates and candidates not in spec.candidates:
        raise MalformedReplyError(
            f"output {spec.outputs[0]} has {candidates} candidates, which is no grid of "
            f"{spec.input.width_px}x{spec.input.height_px}"
        )
    _require_numbers(head, spec.outputs[0])
    scores = head[:, :, 4:] if with_objectness else head[:, 4:, :]
    _require_scores(scores)
    return head


def _require_numbers(array: Floats, name: str) -> None:
    # NaN fails every comparison.
    if array.size and not (array.min() >= -_FURTHEST_PX and array.max() <= _FURTHEST_PX):
        raise MalformedReplyError(f"output {name} holds NaN, infinity or absurd numbers")


def _require_scores(scores: Floats) -> None:
    if scores.size and not (scores.min() >= -_TOLERANCE and scores.max() <= 1 + _TOLERANCE):
        raise MalformedReplyError(
            f"scores reach from {scores.min():g} to {scores.max():g}, expected 0 to 1"
        )


def _require_dense(head: Floats, spec: ModelSpec, floor: float) -> None:
    """Refuse what no grid of candidates says, whatever was seen: it has another meaning.

    Every cell of the picture has its candidates, sure or not, so these hold for a picture in
    which nothing is seen. They are what tells a misread reply from one without defects.
    """
    with_objectness = spec.layout is OutputLayout.YOLO_WITH_OBJECTNESS
    columns = head.T if with_objectness else head
    centres, sizes = columns[:2], columns[2:4]
    filled = columns[:4].any(axis=0)
    # Not of a head whose candidates are mostly zeros: nothing of it can be told from them.
    if 2 * np.count_nonzero(filled) > filled.size:
        if centres.max() <= _SHARE_PX:
            raise MalformedReplyError("all centres lie in one pixel, expected pixels, not shares")
        if (sizes >= centres)[:, filled].all():
            raise MalformedReplyError("the boxes are corners, expected centre and size")
    if sizes.min(initial=0.0) < -_TOLERANCE:
        raise MalformedReplyError(
            f"a candidate is {sizes.min():g} pixels wide or high: the head is not decoded"
        )
    if with_objectness and columns[4].max(initial=0.0) >= floor and not columns[5:].any():
        raise MalformedReplyError(
            f"objectness reaches {columns[4].max():g}, and no candidate has a class: "
            "the columns mean something else"
        )


def _require_boxes(corners: Floats, model_input: ModelInput) -> None:
    """Refuse sure boxes that no picture of this size holds."""
    size = np.array([model_input.width_px, model_input.height_px] * 2, np.float32)
    beside = (corners[:, 2:] <= 0).any(axis=1) | (corners[:, :2] >= size[:2]).any(axis=1)
    far = (corners < -size).any(axis=1) | (corners > 2 * size).any(axis=1)
    if (wrong := beside | far).any():
        box = ", ".join(f"{edge:g}" for edge in corners[wrong][0])
        raise MalformedReplyError(
            f"box {box} lies outside the model's picture of "
            f"{model_input.width_px}x{model_input.height_px}"
        )


def _candidates(head: Floats, layout: OutputLayout) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Corners (c, 4), best score (c,) and its class (c,) of one region's candidates."""
    if layout is OutputLayout.YOLO_WITH_OBJECTNESS:
        centres, per_class = head[:, :4], head[:, 4:5] * head[:, 5:]
    else:
        centres, per_class = head[:4].T, head[4:].T
    labels = per_class.argmax(axis=1)
    half = centres[:, 2:] / 2
    corners = np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)
    return corners, per_class.max(axis=1), labels


def _suppressed(
    corners: Floats, scores: Floats, labels: NDArray[np.int64], floor: float, nms_iou: float
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Greedy non-maximum suppression within each class."""
    above = np.flatnonzero(scores >= floor)
    if above.size > MAX_CANDIDATES:
        raise MalformedReplyError(
            f"{above.size} candidates reach {floor:g}, expected at most {MAX_CANDIDATES}"
        )
    order = above[np.argsort(-scores[above], kind="stable")]
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        overlaps = _iou(corners[best], corners[rest]) > nms_iou
        order = rest[~(overlaps & (labels[rest] == labels[best]))]
    return corners[kept], scores[kept], labels[kept]


def _iou(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box (4,) with others (n, 4), as corners."""
    top_left = np.maximum(box[:2], others[:, :2])
    bottom_right = np.minimum(box[2:], others[:, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=1)
    area = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1)
    overlap: Floats = shared / np.maximum(area - shared, 1e-9)
    return overlap


def _in_frame(
    corners: Floats, scores: Floats, labels: NDArray[np.int64], region: Region, floor: float
) -> list[Detection]:
    detections = []
    for (x0, y0, x1, y1), score, label in zip(
        corners.tolist(), scores.tolist(), labels.tolist(), strict=True
    ):
        if score < floor:
            continue
        if not (x1 > x0 and y1 > y0 and max(x1, y1) > _SHARE_PX):
            raise MalformedReplyError(
                f"box {x0:g}, {y0:g}, {x1:g}, {y1:g} is not left, top, right, bottom in pixels"
            )
        left, top, right, bottom = to_frame((x0, y0, x1, y1), region)
        # What was seen in the padding, beside the region, is not on the unit.
        if right > left and bottom > top:
            detections.append(
                Detection(
                    class_index=label,
                    confidence=min(score, 1.0),
                    left_px=left,
                    top_px=top,
                    right_px=right,
                    bottom_px=bottom,
                )
            )
    return sorted(detections, key=lambda d: -d.confidence)
