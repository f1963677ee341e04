"""A fixed mark in a camera's pictures, whose place shows whether the camera was moved. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.records import Image, Rect

PATCH_PX = 32
"""The longer side, at most, at which it is compared: larger marks are shrunk by a whole number."""
REACH = 10
"""How far around its place it is searched for, in pixels of the patch."""
NEAR_PX = 10
"""Pixels of the picture, each way, in which it is looked for first: there it nearly always is, and
of a mark of 130x90 that is half as much to look at."""
LEARNED_FROM = 5
"""How many pictures in a row must show the same."""
_SAME_LIKENESS = 0.8
_FOUND_LIKENESS = 0.5
"""Correlation below which it is not there, or covered. A mark blurred by a sigma of 6 has 0.7."""
_PLAIN_PROFILE = 2.0
"""Deviation, in grey levels, of a patch's profile that says nothing of where it lies."""
_LEAST_LEVELS = 20
"""Grey levels between its dark and its light parts: a plain surface lies anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mark:
    """What the mark looks like."""

    rect: Rect
    """Where it lies in the picture."""
    patch: Image
    """(height, width) grey, shrunk to `PATCH_PX`."""


class MarkFinder:
    """Learns the mark from the first pictures, and finds it again. One thread at a time."""

    def __init__(self, rect: Rect) -> None:
        self.rect = rect
        self._shrink = max(1, math.ceil(max(rect.width_px, rect.height_px) / PATCH_PX))
        self._seen: list[Image] = []

    def forget(self) -> None:
        """Learn it again."""
        self._seen.clear()

    def learn(self, image: Image) -> Mark | None:
        """The mark, once pictures in a row show the same there; None before."""
        rect = self.rect
        patch = self._grey(image, rect.x_px, rect.y_px, rect.width_px, rect.height_px)
        if int(patch.max()) - int(patch.min()) < _LEAST_LEVELS:
            self._seen.clear()
            return None
        if self._seen and _likeness(patch, self._seen[-1]) < _SAME_LIKENESS:
            self._seen.clear()
        self._seen.append(patch)
        if len(self._seen) < LEARNED_FROM:
            return None
        middle = np.asarray(np.median(np.stack(self._seen), axis=0), np.uint8)
        self._seen.clear()
        return Mark(rect=rect, patch=middle)

    def shift_px(self, image: Image, mark: Mark) -> float | None:
        """How far it lies from its place; None where it is not found nearby."""
        near = min(REACH, math.ceil(NEAR_PX / self._shrink))
        found_px = self._found_px(image, mark, near)
        return self._found_px(image, mark, REACH) if found_px is None and near < REACH else found_px

    def _found_px(self, image: Image, mark: Mark, reach: int) -> float | None:
        """How far from its place it looks most like itself; None where that is beyond reach."""
        height_px, width_px = image.shape[:2]
        rect, reach_px = mark.rect, reach * self._shrink
        # Whole steps of the shrunk picture, so that both are shrunk alike.
        left = min(reach, rect.x_px // self._shrink) * self._shrink
        top = min(reach, rect.y_px // self._shrink) * self._shrink
        right = min(reach_px, width_px - rect.x_px - rect.width_px)
        below = min(reach_px, height_px - rect.y_px - rect.height_px)
        whole = _whole_grey(
            image,
            rect.x_px - left,
            rect.y_px - top,
            left + rect.width_px + right,
            top + rect.height_px + below,
        )
        like = cv2.matchTemplate(self._shrunk(whole), mark.patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(like)
        # At its edge the search ends where the mark may not: unless the picture ends there, too.
        is_at_an_edge = (
            (column == 0 and left == reach_px)
            or (row == 0 and top == reach_px)
            or (column == like.shape[1] - 1 and right == reach_px)
            or (row == like.shape[0] - 1 and below == reach_px)
        )
        if not best >= _FOUND_LIKENESS or (is_at_an_edge and reach < REACH):
            return None
        across = _peak(like[row], column) * self._shrink
        down = _peak(like[:, column], row) * self._shrink
        if self._shrink > 1:
            # A parabola between shrunk pixels is wrong by up to two fifths of one.
            at = (column * self._shrink, row * self._shrink)
            across, down = _refined(whole, mark.patch, at, self._shrink, (across, down))
        return math.hypot(across - left, down - top)

    def _grey(self, image: Image, x: int, y: int, width: int, height: int) -> Image:
        return self._shrunk(_whole_grey(image, x, y, width, height))

    def _shrunk(self, grey: Image) -> Image:
        if self._shrink == 1:
            return grey
        rows, columns = (side // self._shrink for side in grey.shape)
        whole = grey[: rows * self._shrink, : columns * self._shrink]
        return np.asarray(
            cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8
        )


def _whole_grey(image: Image, x: int, y: int, width: int, height: int) -> Image:
    part = image[y : y + height, x : x + width]
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.uint8)


def _refined(
    grey: Image, patch: Image, at: tuple[int, int], shrink: int, found: tuple[float, float]
) -> tuple[float, float]:
    """Where the shrunk patch lies in the unshrunk picture, x and y, by its profiles.

    `at` is its place within less than a shrunk pixel; `found` stands where a profile is plain.
    """
    (x, y), (rows, columns) = at, patch.shape
    height, width = rows * shrink, columns * shrink
    before_x, before_y = max(0, x - shrink), max(0, y - shrink)
    across = grey[y : y + height, before_x : x + shrink + width].mean(axis=0, dtype=np.float32)
    down = grey[before_y : y + shrink + height, x : x + width].mean(axis=1, dtype=np.float32)
    refined_x = _place_of(across, patch.mean(axis=0), shrink)
    refined_y = _place_of(down, patch.mean(axis=1), shrink)
    return (
        found[0] if refined_x is None else before_x + refined_x,
        found[1] if refined_y is None else before_y + refined_y,
    )


def _place_of(profile: NDArray[Any], wanted: NDArray[Any], shrink: int) -> float | None:
    """Where in a profile the shrunk one fits best; None if that one is plain."""
    wanted = wanted - wanted.mean()
    if float(wanted.std()) < _PLAIN_PROFILE:
        return None
    means = np.convolve(profile, np.full(shrink, 1 / shrink), "valid")
    last = (len(wanted) - 1) * shrink
    starts = np.arange(max(1, len(means) - last))
    seen = means[starts[:, None] + np.arange(0, last + 1, shrink)]
    seen = seen - seen.mean(axis=1, keepdims=True)
    like = seen @ wanted / np.maximum(np.linalg.norm(seen, axis=1), 1e-6)
    return _peak(like, int(like.argmax()))


def _likeness(one: Image, other: Image) -> float:
    return float(cv2.matchTemplate(one, other, cv2.TM_CCOEFF_NORMED)[0, 0])


def _peak(values: NDArray[Any], at: int) -> float:
    """The maximum between values: the vertex of a parabola through the highest three."""
    if not 0 < at < len(values) - 1:
        return float(at)
    before, top, after = (float(value) for value in values[at - 1 : at + 2])
    bend = before - 2 * top + after
    return at if bend >= 0 else at + 0.5 * (before - after) / bend
