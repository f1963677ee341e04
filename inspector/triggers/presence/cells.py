"""Arithmetic on a small picture of cells: pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float32]
"""(3, rows, columns), or parts of it: BGR planes, the travel along the columns."""
Mask = NDArray[np.bool_]

_DEEPEST_SHADOW = 0.55
"""Share of the light that a unit's shadow leaves."""


def shaded(cells: Cells, belt: Cells) -> Cells:
    """(3, ...): the belt in the shadow, or the light, that makes it most like the cells."""
    product = cells[0] * belt[0] + cells[1] * belt[1] + cells[2] * belt[2]
    square = belt[0] * belt[0] + belt[1] * belt[1] + belt[2] * belt[2]
    share = np.clip(product / np.maximum(square, 1), _DEEPEST_SHADOW, 1)
    return np.asarray(belt * share, np.float32)


def unevenness(cells: Cells) -> Cells:
    """(columns,): how little each column looks like belt by itself.

    Belt is plain along and across, and the same in the middle as at the sides of the view, where
    units seldom reach.
    """
    rows = cells.shape[1]
    along = np.abs(np.diff(cells, axis=2)).sum(axis=0).mean(axis=0)
    uneven: Cells = np.abs(np.diff(cells, axis=1)).sum(axis=0).mean(axis=0)
    uneven[1:] += along
    uneven[0] += along[0]
    ends = (cells[:, :2].mean(axis=1) + cells[:, -2:].mean(axis=1)) / 2
    middle = np.median(cells[:, rows // 4 : rows - rows // 4], axis=1)
    return np.asarray(uneven + np.abs(middle - ends).max(axis=0), np.float32)


def runs(line: Mask) -> list[tuple[int, int]]:
    """First and after-last of each run of set cells."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], line, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def grown(mask: Mask, along: int) -> Mask:
    """The set cells and those beside them: one row, and this many columns."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    wide = rows.copy()
    for shift in range(1, along + 1):
        wide[:, shift:] |= rows[:, :-shift]
        wide[:, :-shift] |= rows[:, shift:]
    return wide


def shrunk(mask: Mask, by: int) -> Mask:
    """The set cells without those near, along the first axis, to one not set.

    Beyond the ends counts as set.
    """
    inner = mask.copy()
    for shift in range(1, by + 1):
        inner[shift:] &= mask[:-shift]
        inner[:-shift] &= mask[shift:]
    return inner
