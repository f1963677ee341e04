"""Separates the things on the belt by the gaps between them: pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.triggers.presence.cells import Mask, runs

_GROUPS = 15
_SLANTS = 9
_MOST_SLANT = 0.07
"""4 degrees: how far the gap between two units may be from square."""
_NARROWEST_GAP_CELLS = 2
_FEWEST_ROWS = 0.08
"""Share of the view, across the travel, that a unit covers at least."""
_SOLID_SHARE = 0.8
"""As a share of all cells that no shadow explains: above it, cells that a shadow explains are
shadow."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of columns with something on them."""

    first: int
    end: int
    """One past the last."""
    is_solid: bool
    """Whether things stand out enough to distinguish their shadows, which are left out."""


class Gaps:
    """Finds gaps that run across the whole view, square to the travel or a little slanted."""

    def __init__(self, rows: int, columns: int, row_in_columns: float) -> None:
        """`row_in_columns`: how many columns are as wide as one row is high."""
        self._spots = max(1, round(rows * 0.03))
        self._fewest = max(3, rows * _FEWEST_ROWS)
        groups = min(_GROUPS, rows)
        self._starts = np.arange(groups) * rows // groups
        middle = (np.arange(groups) + 0.5) / groups - 0.5
        slants = np.linspace(-_MOST_SLANT, _MOST_SLANT, _SLANTS) * rows * row_in_columns
        shifts = np.rint(slants[:, None] * middle[None, :])
        self._pad = int(np.abs(shifts).max()) + 1
        self._padded = np.zeros((groups, columns + 2 * self._pad), np.uint8)
        # For each slant, group and column, where in `_padded` it lies.
        row_starts = np.arange(groups)[None, :, None] * self._padded.shape[1]
        along = np.arange(columns)[None, None, :] + self._pad + shifts[:, :, None]
        self._sheared: NDArray[np.intp] = (row_starts + along).astype(np.intp)

    def runs(self, mask: Mask, solid: Mask) -> Iterator[Run]:
        """Yield separate things, in order; `solid` is the part of `mask` that is not shadow."""
        is_solid = bool(np.count_nonzero(solid) >= _SOLID_SHARE * np.count_nonzero(mask))
        covered = solid if is_solid else mask
        filled = np.count_nonzero(covered, axis=0)
        empty = filled <= self._spots
        if empty.all():
            return
        free = self._free(covered, empty)
        for first, end in _runs(~free):
            if filled[first:end].max() >= self._fewest:
                yield Run(*_with_corners(first, end, empty, free), is_solid)

    def _free(self, mask: Mask, empty: Mask) -> Mask:
        """Columns with nothing on them, square or slanted."""
        grouped, pad = self._padded, self._pad
        grouped[:, pad:-pad] = np.logical_or.reduceat(mask, self._starts, axis=0)
        grouped[:, :pad], grouped[:, -pad:] = grouped[:, pad, None], grouped[:, -pad - 1, None]
        counts = np.add.reduce(grouped.ravel().take(self._sheared), axis=1, dtype=np.uint8)
        return np.asarray(empty | (counts <= 1).any(axis=0), np.bool_)


def _runs(occupied: Mask) -> list[tuple[int, int]]:
    """First and after-last of each run of set cells; runs that only a sliver separates are one."""
    joined: list[tuple[int, int]] = []
    for first, end in runs(occupied):
        if joined and first - joined[-1][1] < _NARROWEST_GAP_CELLS:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined


def _with_corners(first: int, end: int, empty: Mask, free: Mask) -> tuple[int, int]:
    """Widen a run over a slanted unit's corners: to where columns are empty, or halfway to it."""
    low = first
    while low > 0 and free[low - 1] and not empty[low - 1]:
        low -= 1
    if low > 0 and not empty[low - 1]:  # another unit's corner begins before this one's ends
        low = (low + first + 1) // 2
    high = end
    while high < len(free) and free[high] and not empty[high]:
        high += 1
    if high < len(free) and not empty[high]:
        high = (high + end) // 2
    return low, high
