"""Draws defects on real circuits, as DeepPCB's makers did: short pen strokes in copper or laminate.

What a stroke is called follows from what it does to the copper around it, so that every drawn
label is true: it cuts a track in two (open), joins two (short), bites an edge (mousebite),
lengthens one (spur), stands free (copper) or lies enclosed (pin-hole).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.drawing.draughting import Box, Gray
from training.drawing.strokes import (
    COPPER,
    MOUSEBITE,
    OPEN,
    PIN_HOLE,
    SHORT,
    SPUR,
    Mask,
    Stroke,
    Terrain,
)

CLASSES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""DeepPCB's order; copper is dark."""
_REMOVES_COPPER = frozenset({OPEN, MOUSEBITE, PIN_HOLE})

BOX_MARGIN_PX = 10
"""DeepPCB's boxes lie this far around the damage (median over 2,000 boxes of its train part)."""
_WINDOW_PX = 48
"""How far around a stroke its effect on the copper is looked at."""
_SLIVER_PX = 30
"""Pieces of copper smaller than this are rough edges and specks, not parts of the circuit."""
_FEWEST_CHANGED_PX = {OPEN: 10, SHORT: 10, MOUSEBITE: 30, SPUR: 30, COPPER: 30, PIN_HOLE: 30}
"""A hairline cuts a track, or joins two: what is only as large bites nothing."""
_TRIES = 12


@dataclass(frozen=True)
class Drawn:
    """One drawn defect: index into CLASSES; left, top, right, bottom with DeepPCB's margin."""

    kind: int
    box: Box


def draw_defects(
    board: Gray,
    kinds: Sequence[int],
    near: Box,
    rng: np.random.Generator,
    *,
    taken: Sequence[Box] = (),
) -> list[Drawn]:
    """Draw one defect of each kind, where one fits, and return those that were drawn.

    `board` is [rows, columns] uint8 with copper 0 and laminate 255, changed in place; the middle
    of each defect is inside `near` (left, top, right, bottom), its box clear of those in `taken`.
    """
    terrain = Terrain.around(board, near)
    drawn: list[Drawn] = []
    boxes = list(taken)
    for kind in kinds:
        box = _draw_one(terrain, kind, boxes, rng)
        if box is not None:
            boxes.append(box)
            drawn.append(Drawn(kind, box))
    return drawn


def _draw_one(
    terrain: Terrain, kind: int, taken: Sequence[Box], rng: np.random.Generator
) -> Box | None:
    left, top, right, bottom = terrain.near
    for _ in range(_TRIES):
        stroke = terrain.stroke(kind, rng)
        if stroke is None:
            return None
        middle_x, middle_y = np.mean(stroke.points, axis=0)
        if not (left <= middle_x < right and top <= middle_y < bottom):
            continue
        box = _put(terrain.board, kind, stroke, taken)
        if box is not None:
            return box
    return None


def _put(board: Gray, kind: int, stroke: Stroke, taken: Sequence[Box]) -> Box | None:
    """Draw the stroke if it does what its name says; the box around what it changed."""
    height, width = board.shape
    points, margin = stroke.points, _WINDOW_PX + stroke.reach_px
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - margin, 0)
    x1, y1 = np.ceil(points.max(axis=0)).astype(int) + margin
    before = board[y0 : min(y1, height), x0 : min(x1, width)]
    ink = stroke.ink(before.shape, np.array([x0, y0], np.float64))
    after = before.copy()
    after[ink] = 255 if kind in _REMOVES_COPPER else 0
    changed = after != before
    large_enough = np.count_nonzero(changed) >= _FEWEST_CHANGED_PX[kind]
    if not large_enough or effect(before, after, ink) != kind:
        return None
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    box = (
        int(max(x0 + columns[0] - BOX_MARGIN_PX, 0)),
        int(max(y0 + rows[0] - BOX_MARGIN_PX, 0)),
        int(min(x0 + columns[-1] + 1 + BOX_MARGIN_PX, width)),
        int(min(y0 + rows[-1] + 1 + BOX_MARGIN_PX, height)),
    )
    if any(_overlap(box, other) for other in taken):
        return None
    before[:] = after
    return box


def _overlap(one: Box, other: Box) -> bool:
    apart = one[0] > other[2] or one[2] < other[0] or one[1] > other[3] or one[3] < other[1]
    return not apart


def effect(before: Gray, after: Gray, ink: Mask) -> int | None:
    """What kind of defect the ink made of this piece of board; None when it is none of them."""
    reach = cv2.dilate(ink.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    removed = bool(np.any(after[ink] > before[ink]))
    if removed:
        if not np.any(before[reach]):
            return PIN_HOLE
        pieces = _pieces_of_copper(after, amid=ink) - _pieces_of_copper(before)
        if pieces > 0:
            return OPEN
        return MOUSEBITE if pieces == 0 else None
    if np.all(before[reach]):
        return COPPER
    pieces = _pieces_of_copper(after) - _pieces_of_copper(before)
    if pieces < 0:
        return SHORT
    return SPUR if pieces == 0 else None


def _pieces_of_copper(board: Gray, amid: Mask | None = None) -> int:
    """Parts of the circuit; islands that lie wholly between the lines of a stroke are none."""
    copper = (board == 0).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(copper, connectivity=8)
    left, top, width, height, area = stats[1:].T
    counts = area >= _SLIVER_PX
    if amid is not None:
        x, y, wide, high = cv2.boundingRect(amid.astype(np.uint8))
        across = (left >= x) & (left + width <= x + wide)
        counts &= ~(across & (top >= y) & (top + height <= y + high))
    return int(np.count_nonzero(counts))
