"""Finds where a unit differs from its product's reference, by pixels and without a model.

A unit is compared with what its reference shows within a pixel around, as light as it is there.
What differs by a fifth of the reference's contrast, over more than a line of one pixel, is a
difference. Where units differ anyway, and in the surroundings of that, nothing is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.batching.comparing import Grey, Planes, ReferencePlanes, gain_of, shown_beside
from inspector.core.geometry import fit, then
from inspector.core.newest import Newest
from inspector.core.places import Box
from inspector.core.recipes import Reference
from inspector.core.records import Difference, Image, Letterbox, Placed, Rect
from inspector.core.warping import into_letterbox

COMPARED_PX = 640
"""The longer side at which a unit is compared, at most."""
LEAST_PX = 4
"""The fewest pixels of a difference."""
MOST = 64
"""How many of the largest differences of a frame are kept; a unit with more is not the right
product."""
RIM_SHARE = 0.006
"""Of the longer side: what lies nearer to a unit's edge may be the belt, as outlines go."""
SURROUNDINGS_SHARE = 0.02
"""As a share of the longer side: within this distance of a place where units differ anyway, nothing
counts as a difference."""
MARK_SHARE = 0.25
"""As a share of the longer side: the largest size of a mark."""
PAPER_SHARE = 0.35
"""As a share of a mark's longer side: how far the label that it is printed on may extend around
it."""
GAP_SHARE = 0.007
"""As a share of the longer side: parts closer together than this are one mark."""
_KEPT = 8
_AROUND: NDArray[np.uint8] = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """The parts of a reference that units are compared with; computed once."""

    rect: Rect
    letterbox: Letterbox
    planes: Planes
    lightest: Grey
    darkest: Grey
    """What the reference shows within a pixel around."""
    compared: Grey
    """255 where a difference counts."""


class Differences:
    """Compares units with their references. One thread at a time."""

    def __init__(self) -> None:
        self._planes = ReferencePlanes()
        self._known: Newest[str, _Prepared] = Newest(_KEPT)

    def of(self, image: Image, placed: Placed, reference: Reference) -> tuple[Difference, ...]:
        """Where a frame differs from the reference that it was placed on, the largest first.

        Some 4 ms of CPU.
        """
        prepared = self._of(reference)
        unit = np.empty_like(prepared.lightest)
        matrix = then(placed.matrix, into_letterbox(prepared.rect, prepared.letterbox))
        shown_beside(image, matrix, prepared.planes, unit, scale=prepared.letterbox.scale)
        return tuple(_differences(unit, prepared))

    def _of(self, reference: Reference) -> _Prepared:
        return self._known.used(reference.sha256, lambda: self._prepared(reference))

    def _prepared(self, reference: Reference) -> _Prepared:
        height_px, width_px = reference.deviation.shape
        share = min(1.0, COMPARED_PX / max(height_px, width_px))
        size_px = (max(1, round(width_px * share)), max(1, round(height_px * share)))
        rect = Rect(0, 0, width_px, height_px)
        letterbox = fit(rect, width_px=size_px[0], height_px=size_px[1])
        planes = self._planes.sized(reference, rect, letterbox, size_px)
        return _Prepared(
            rect=rect,
            letterbox=letterbox,
            planes=planes,
            lightest=np.asarray(cv2.dilate(planes.wanted, _AROUND), np.uint8),
            darkest=np.asarray(cv2.erode(planes.wanted, _AROUND), np.uint8),
            compared=_compared(planes),
        )


def _compared(planes: Planes) -> Grey:
    """255 where a difference counts: not at the rim, and not where units differ anyway."""
    longer_px = max(planes.wanted.shape)
    inside = np.pad((planes.outside == 0).astype(np.uint8), 1)
    rim_px = max(1, math.ceil(RIM_SHARE * longer_px))
    inside = cv2.erode(inside, np.ones((2 * rim_px + 1, 2 * rim_px + 1), np.uint8))[1:-1, 1:-1]
    compared = np.where(inside > 0, np.uint8(255), np.uint8(0))
    if planes.natural is not None:
        compared[_natural(planes.natural) > 0] = 0
    return np.ascontiguousarray(compared)


def _natural(natural: Grey) -> Grey:
    """Where units differ anyway, without lines one pixel wide, and the surroundings of that."""
    longer_px = max(natural.shape)
    strong = cv2.morphologyEx((natural > 0).astype(np.uint8), cv2.MORPH_OPEN, _AROUND)
    around = np.asarray(cv2.dilate(strong, _disc(SURROUNDINGS_SHARE * longer_px)), np.uint8)
    marks = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, _disc(GAP_SHARE * longer_px))
    _count, _labels, places, _middles = cv2.connectedComponentsWithStats(marks)
    for left, top, width_px, height_px, _area in places[1:].tolist():
        larger_px = max(width_px, height_px)
        if larger_px <= MARK_SHARE * longer_px:
            paper_px = math.ceil(PAPER_SHARE * larger_px)
            rows = slice(max(0, top - paper_px), top + height_px + paper_px)
            around[rows, max(0, left - paper_px) : left + width_px + paper_px] = 1
    return around


def _disc(reach_px: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(reach_px)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _differences(unit: Grey, prepared: _Prepared) -> list[Difference]:
    planes = prepared.planes
    gain = gain_of(unit, planes)
    above = cv2.subtract(unit, cv2.multiply(prepared.lightest, gain, dtype=cv2.CV_8U))
    below = cv2.subtract(cv2.multiply(prepared.darkest, gain, dtype=cv2.CV_8U), unit)
    beyond = cv2.bitwise_and(cv2.max(above, below), prepared.compared)
    mask = (beyond >= planes.differs_from).astype(np.uint8)
    # What is one pixel wide is an edge etched a little differently.
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _AROUND[:2, :2]), np.uint8)
    if not mask.any():
        return []
    count, labels, places, _middles = cv2.connectedComponentsWithStats(mask)
    weights = np.bincount(labels.ravel(), beyond.ravel(), count) / planes.contrast
    found = [
        Difference(
            place=_on_reference(prepared, *places[label, :4].tolist()), weight=float(weights[label])
        )
        for label in range(1, count)
        if places[label, cv2.CC_STAT_AREA] >= LEAST_PX
    ]
    return sorted(found, key=lambda difference: -difference.weight)[:MOST]


def _on_reference(prepared: _Prepared, left: int, top: int, width: int, height: int) -> Box:
    box = prepared.letterbox
    return Box(
        left_px=(left - box.left_px) / box.scale,
        top_px=(top - box.top_px) / box.scale,
        right_px=(left + width - box.left_px) / box.scale,
        bottom_px=(top + height - box.top_px) / box.scale,
    )
