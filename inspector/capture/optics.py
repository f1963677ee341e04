"""Whether a picture is too blurred or too bright to show a defect: pure, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from inspector.core.faults import PICTURE_REFUSED
from inspector.core.geometry import outline_box_px
from inspector.core.optics import Optics
from inspector.core.records import FrameRef, Image, MissReason, Rect

Region = tuple[int, int, int, int]

_BANDS = 12
_BAND_ROWS = 8
_COLUMNS = 3
"""Of so many rows and columns the mean is taken: noise falls to a fifth, and blur stays."""
_APART = 2
"""Means that are compared: twice the slope over the same noise."""
_WIDEST_PX = 1024
"""More of a band says nothing new, and costs time."""
_REACH = 10
"""Means; an edge that is blurred by a sigma of 6 pixels rises within them."""
_LEAST_RISE = 12
"""Grey levels. Edges lower than that do not say how sharp a picture is."""
_SHARPEST = 25
"""Per cent of the bands: a board's are not all of the same kind, and one sharp edge in a quarter of
them proves the focus."""
_CLIPPED_FROM = 252
_DARKEST_TO = 80
"""What is burnt out has nothing left that is darker. A scan in black and white and a part before a
lamp are white in large parts, and have it."""
_MARGIN_PX = 8
"""Around a unit: its own border is an edge, on a blank one the only."""
_GAUSS = 2.507
"""A step of 1 that is blurred by a sigma of s rises by 1 / (2.507 s) per pixel at its steepest."""
_NOISE_ROWS = 4
_NOISE_KERNEL = np.array([[-1, 2, -1]], np.float32)
_NOISE_SHARE = 0.3
"""Of the pixels: so many lie where there is no edge, also where conductors are dense."""
_NOISE_BEND = 0.943
"""What the smallest 30 % of the bends of noise reach, over its standard deviation: 0.385 times the
root of 6."""
_NOTICED_AFTER = 2
"""Refused frames in a row: one may be a hand, or a flash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticsLimits:
    """From where on a picture is refused; 0 never refuses."""

    blur_px: float
    clipped: float

    @property
    def ask(self) -> bool:
        """Whether pictures are measured at all."""
        return self.blur_px > 0 or self.clipped > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a picture is not shown to the model."""

    reason: MissReason
    detail: str


def measure(image: Image, area: Rect, *, across_px: float | None = None) -> Optics:
    """Measure bands of that part of a picture: 0.14 ms of a board, 0.2 ms of all of 1280x720."""
    bands = _bands(image, area)
    # Grey first: means of one channel cost a third of those of three, and differ by rounding only.
    whole = np.asarray(cv2.cvtColor(bands, cv2.COLOR_BGR2GRAY), np.uint8)
    grey = _means(whole)
    _, burnt = cv2.threshold(bands.reshape(len(bands), -1), _CLIPPED_FROM - 1, 1, cv2.THRESH_BINARY)
    levels = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    rise = _rise(grey)
    blue, green, red, _ = cv2.mean(bands)
    return Optics(
        blur_px=_blur_px(grey, rise),
        clipped=cv2.countNonZero(burnt) / bands.size,
        darkest=int(np.searchsorted(levels, grey.size / 100)),
        bright=int(np.searchsorted(levels, grey.size * 9 / 10)),
        contrast=int(rise.max()),
        colour=(blue, green, red),
        noise=_noise(whole),
        across_px=across_px,
    )


def refusal(optics: Optics, limits: OpticsLimits) -> Refusal | None:
    """Why a picture cannot be inspected; None where it can."""
    if 0 < limits.clipped <= optics.clipped and optics.darkest >= _DARKEST_TO:
        detail = f"{PICTURE_REFUSED}too bright: {optics.clipped:.0%} of it is burnt out"
        return Refusal(reason=MissReason.CAMERA_BRIGHT, detail=detail)
    if optics.blur_px is not None and 0 < limits.blur_px <= optics.blur_px:
        detail = f"{PICTURE_REFUSED}blurred: its edges by a sigma of {optics.blur_px:.1f} pixels"
        return Refusal(reason=MissReason.CAMERA_BLURRED, detail=detail)
    return None


def area_of(ref: FrameRef, image: Image, region: Region | None) -> Rect | None:
    """The part of a frame that its unit is in; None where nothing of it is in the frame."""
    height_px, width_px = image.shape[:2]
    left, top, right, bottom = 0.0, 0.0, float(width_px), float(height_px)
    if ref.outline is not None:
        box = outline_box_px(ref.outline)
        left, top = max(left, box[0] - _MARGIN_PX), max(top, box[1] - _MARGIN_PX)
        right, bottom = min(right, box[2] + _MARGIN_PX), min(bottom, box[3] + _MARGIN_PX)
    elif region is not None:
        left, top = float(region[0]), float(region[1])
        right, bottom = left + region[2], top + region[3]
    width, height = int(right) - int(left), int(bottom) - int(top)
    if width < 1 or height < _BAND_ROWS:
        return None
    return Rect(int(left), int(top), width, height)


class OpticsGuard:
    """One camera's; one thread at a time asks, any thread reads `cause`."""

    def __init__(self, limits: OpticsLimits, *, region: Region | None = None) -> None:
        """`region`: what is judged where a unit's place is not known."""
        self._limits = limits
        self._region = region
        self._last: deque[bool] = deque(maxlen=_NOTICED_AFTER)
        self.cause = ""
        """Why pictures are refused; empty while they are not."""

    def change(self, limits: OpticsLimits) -> None:
        """Other limits from the next picture on."""
        self._limits = limits
        if not limits.ask:
            self._last.clear()
            self.cause = ""

    def judge(self, ref: FrameRef, image: Image) -> Refusal | None:
        """Why this frame, chosen for inspection, must not be inspected; None: it may."""
        area = area_of(ref, image, self._region) if self._limits.ask else None
        if area is None:
            return None
        found = refusal(measure(image, area), self._limits)
        self._last.append(found is not None)
        if len(self._last) == _NOTICED_AFTER and found is not None and all(self._last):
            self.cause = found.detail
        elif not any(self._last):
            self.cause = ""
        return found


def _bands(image: Image, area: Rect) -> Image:
    width_px = min(area.width_px, _WIDEST_PX)
    left = area.x_px + (area.width_px - width_px) // 2
    way_px = area.height_px - _BAND_ROWS
    tops = [area.y_px + way_px * band // (_BANDS - 1) for band in range(_BANDS)]
    return np.concatenate([image[t : t + _BAND_ROWS, left : left + width_px] for t in tops])


def _means(grey: Image) -> Image:
    """Of `_BAND_ROWS` by `_COLUMNS` pixels each. A third of what OpenCV's own costs."""
    columns = max(1, grey.shape[1] // _COLUMNS)
    rows = len(grey) // _BAND_ROWS
    sums = grey.reshape(rows, _BAND_ROWS, -1).sum(axis=1, dtype=np.uint16)
    wide = min(_COLUMNS, grey.shape[1])
    boxes = sums[:, : columns * wide].reshape(rows, columns, wide).sum(axis=2, dtype=np.uint16)
    return np.asarray((boxes + _BAND_ROWS * wide // 2) // (_BAND_ROWS * wide), np.uint8)


def _rise(grey: Image) -> Image:
    window = np.ones((1, _REACH), np.uint8)
    rises = cv2.subtract(cv2.dilate(grey, window), cv2.erode(grey, window))
    return np.asarray(rises.max(axis=1), np.uint8)


def _blur_px(grey: Image, rise: Image) -> float | None:
    says = rise >= _LEAST_RISE
    if grey.shape[1] <= _REACH or not says.any():
        return None
    steepest = cv2.absdiff(grey[:, _APART:], grey[:, :-_APART]).max(axis=1)
    blur_px = np.sort(rise[says] * (_APART * _COLUMNS / _GAUSS) / np.maximum(steepest[says], 1))
    return float(blur_px[(len(blur_px) - 1) * _SHARPEST // 100])


def _noise(grey: Image) -> float:
    """From how far pixels are from the mean of their neighbours where there are no edges."""
    rows = np.ascontiguousarray(grey[::_NOISE_ROWS])
    if rows.shape[1] < _NOISE_KERNEL.size:
        return 0.0
    bends = cv2.convertScaleAbs(cv2.filter2D(rows, cv2.CV_16S, _NOISE_KERNEL))
    counts = cv2.calcHist([bends], [0], None, [256], [0, 256]).ravel()
    wanted, below = _NOISE_SHARE * bends.size, np.cumsum(counts)
    level = int(np.searchsorted(below, wanted))
    # Within a level the values are taken to lie evenly.
    part = (wanted - (below[level] - counts[level])) / max(1.0, counts[level])
    return max(0.0, (level - 0.5 + float(part)) / _NOISE_BEND)
