"""Boxes compared with boxes: pure arithmetic on corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspector.core.records import Detection

Corners = NDArray[np.float64]
"""(boxes, 4): left, top, right, bottom in pixels."""


def corners_of(detections: Sequence[Detection]) -> Corners:
    """The corners of each detection, in the order given."""
    rows = [(d.left_px, d.top_px, d.right_px, d.bottom_px) for d in detections]
    return np.array(rows, np.float64).reshape(-1, 4)


def areas(boxes: Corners) -> NDArray[np.float64]:
    """(boxes,) in square pixels; 0 for a box that is none, as clipping leaves behind."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    product: NDArray[np.float64] = sides.prod(axis=1)
    return product


def shared_areas(box: Corners, others: Corners) -> NDArray[np.float64]:
    """What one box (4,) has in common with each of the others, in square pixels."""
    corners = np.concatenate(
        [np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])], axis=1
    )
    return areas(corners)


def overlaps(box: Corners, others: Corners) -> NDArray[np.float64]:
    """Intersection over union of one box (4,) with each of the others; 0 where there is none."""
    shared = shared_areas(box, others)
    union = areas(box[None])[0] + areas(others) - shared
    share: NDArray[np.float64] = shared / np.maximum(union, 1e-9)
    return share


def content(detection: Detection) -> tuple[float, ...]:
    """Sorts detections by what they are and not by where they came from: best first."""
    return (
        -detection.confidence,
        detection.class_index,
        detection.left_px,
        detection.top_px,
        detection.right_px,
        detection.bottom_px,
    )
