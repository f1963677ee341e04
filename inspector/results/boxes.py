"""Compares findings by the boxes around them: pure arithmetic on corners."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspector.core.places import Polygon
from inspector.core.records import Finding

Corners = NDArray[np.float64]
"""(boxes, 4): left, top, right, bottom in pixels."""


def corners_of(findings: Sequence[Finding]) -> Corners:
    """The corners of the box around each finding that has a place, in the order given."""
    boxes = [box for finding in findings if (box := finding.box) is not None]
    rows = [(b.left_px, b.top_px, b.right_px, b.bottom_px) for b in boxes]
    return np.array(rows, np.float64).reshape(-1, 4)


def areas(boxes: Corners) -> NDArray[np.float64]:
    """Areas (boxes,) in square pixels; 0 for an empty box, as clipping leaves behind."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    product: NDArray[np.float64] = sides.prod(axis=1)
    return product


def shared_areas(box: Corners, others: Corners) -> NDArray[np.float64]:
    """The overlap of one box (4,) with each of the others, in square pixels."""
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


def content(finding: Finding) -> tuple[float, ...]:
    """Sorts findings by their content, not by their origin: best first."""
    what = (-finding.confidence, finding.code_index)
    box = finding.box
    if box is None:
        return what
    corners = (box.left_px, box.top_px, box.right_px, box.bottom_px)
    if isinstance(finding.place, Polygon):
        return (*what, *corners, *itertools.chain(*finding.place.points_px))
    return (*what, *corners)
