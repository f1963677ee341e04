"""From pictures of any size to what the detector takes, and back. Pure.

A picture larger than the input is cut into tiles at its own scale, never shrunk: small defects
vanish, and detectors are bad away from the scale they learnt. Neighbouring tiles overlap by
`OVERLAP_PX`, and a detection counts in the tile in whose core its centre lies, half an overlap away
from the seams: so every defect up to that size is seen whole, once. A smaller picture stands in
the middle of gray, as the service places it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from training.data.boards import FloatArray, Picture
from training.model.detections import Detections

SIZE_PX = 640
OVERLAP_PX = 128
PADDING_GRAY = 114
"""Around a picture that is smaller than the input; the service uses the same."""
_GRAY_AXES = 2


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of the picture."""

    start_px: int
    core_from_px: float
    core_to_px: float


@dataclass(frozen=True)
class Tile:
    """Where one input lies in the picture."""

    across: Span
    down: Span

    def cut(self, picture: Picture) -> Picture:
        """The tile's pixels, SIZE_PX x SIZE_PX; gray where it reaches out of the picture."""
        rows, columns = picture.shape[:2]
        top, left = self.down.start_px, self.across.start_px
        inside = picture[max(top, 0) : top + SIZE_PX, max(left, 0) : left + SIZE_PX]
        above, before = max(-top, 0), max(-left, 0)
        below, after = max(top + SIZE_PX - rows, 0), max(left + SIZE_PX - columns, 0)
        margins = [(above, below), (before, after), (0, 0)][: picture.ndim]
        return np.pad(inside, margins, constant_values=PADDING_GRAY)

    def in_picture(self, found: Detections) -> Detections:
        """Detections of this tile whose centre lies in its core, in pixels of the picture."""
        left, top = self.across.start_px, self.down.start_px
        boxes = found.boxes + np.array([left, top, left, top], np.float32)
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        ours = (
            (self.across.core_from_px <= x)
            & (x < self.across.core_to_px)
            & (self.down.core_from_px <= y)
            & (y < self.down.core_to_px)
        )
        return Detections(boxes[ours], found.scores[ours], found.classes[ours])


def tiles_of(picture: Picture) -> list[Tile]:
    """The tiles that cover a picture; one, for a picture that fits into the input."""
    rows, columns = picture.shape[:2]
    return [Tile(across, down) for down in _spans(rows) for across in _spans(columns)]


def _spans(length_px: int) -> Iterator[Span]:
    if length_px <= SIZE_PX:
        yield Span((length_px - SIZE_PX) // 2, -math.inf, math.inf)
        return
    count = math.ceil((length_px - OVERLAP_PX) / (SIZE_PX - OVERLAP_PX))
    starts = [round(i * (length_px - SIZE_PX) / (count - 1)) for i in range(count)]
    # A seam is the middle of what two neighbours share.
    seams = [(a + SIZE_PX + b) / 2 for a, b in pairwise(starts)]
    limits = [-math.inf, *seams, math.inf]
    for start, (low, high) in zip(starts, pairwise(limits), strict=True):
        yield Span(start, low, high)


def assemble(picture: Picture, reference: Picture | None = None) -> FloatArray:
    """One input of the detector, [3, rows, columns] float32 0..1; both uint8, gray or BGR.

    Red, green, blue; for the variant with a golden board, what `stack` makes.
    """
    shown = _rgb(picture) if reference is None else stack(picture, reference)
    # A quotient and not a product with 1/255, which differs in the last bit.
    return np.ascontiguousarray(shown.transpose(2, 0, 1), np.float32) / np.float32(255)


def stack(picture: Picture, reference: Picture) -> Picture:
    """[rows, columns, 3]: gray of the board, gray of its reference, 128 + half their difference."""
    found, wanted = _gray(picture), _gray(reference)
    difference = cv2.addWeighted(found, 0.5, wanted, -0.5, 128)
    return np.asarray(cv2.merge([found, wanted, difference]), np.uint8)


def _rgb(picture: Picture) -> Picture:
    order = cv2.COLOR_GRAY2RGB if picture.ndim == _GRAY_AXES else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(picture, order), np.uint8)


def _gray(picture: Picture) -> Picture:
    if picture.ndim == _GRAY_AXES:
        return picture
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
