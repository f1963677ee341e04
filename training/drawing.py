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
from numpy.typing import NDArray

CLASSES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""DeepPCB's order; copper is dark."""
OPEN, SHORT, MOUSEBITE, SPUR, COPPER, PIN_HOLE = range(6)
_REMOVES_COPPER = frozenset({OPEN, MOUSEBITE, PIN_HOLE})

BOX_MARGIN_PX = 10
"""DeepPCB's boxes lie this far around the damage (median over 2,000 boxes of its train part)."""
_WINDOW_PX = 48
"""How far around a stroke its effect on the copper is looked at."""
_SLIVER_PX = 12
"""Pieces of copper smaller than this are rough edges, not parts of the circuit."""
_FEWEST_CHANGED_PX = 30
_TRIES = 12

Mask = NDArray[np.bool_]
Gray = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""left, top, right, bottom."""


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
    terrain = _Terrain.around(board, near)
    drawn: list[Drawn] = []
    boxes = list(taken)
    for kind in kinds:
        box = _draw_one(terrain, kind, boxes, rng)
        if box is not None:
            boxes.append(box)
            drawn.append(Drawn(kind, box))
    return drawn


def _draw_one(
    terrain: _Terrain, kind: int, taken: Sequence[Box], rng: np.random.Generator
) -> Box | None:
    left, top, right, bottom = terrain.near
    for _ in range(_TRIES):
        stroke = terrain.stroke(kind, rng)
        if stroke is None:
            return None
        middle_x, middle_y = np.mean(stroke.points, axis=0)
        if not (left <= middle_x < right and top <= middle_y < bottom):
            continue
        box = _put(terrain.board, kind, stroke, taken, rng)
        if box is not None:
            return box
    return None


@dataclass(frozen=True)
class _Stroke:
    points: NDArray[np.float64]
    """[n, 2] x, y in pixels of the board."""
    width_px: int


def _put(
    board: Gray, kind: int, stroke: _Stroke, taken: Sequence[Box], rng: np.random.Generator
) -> Box | None:
    """Draw the stroke if it does what its name says; the box around what it changed."""
    height, width = board.shape
    points = stroke.points
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - _WINDOW_PX, 0)
    x1, y1 = np.ceil(points.max(axis=0)).astype(int) + _WINDOW_PX
    before = board[y0 : min(y1, height), x0 : min(x1, width)]
    ink = _ink(before.shape, points - (x0, y0), stroke.width_px, rng)
    after = before.copy()
    after[ink] = 255 if kind in _REMOVES_COPPER else 0
    changed = after != before
    if np.count_nonzero(changed) < _FEWEST_CHANGED_PX or effect(before, after, ink) != kind:
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
    pieces = _pieces_of_copper(after) - _pieces_of_copper(before)
    reach = cv2.dilate(ink.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    removed = bool(np.any(after[ink] > before[ink]))
    if removed:
        if not np.any(before[reach]):
            return PIN_HOLE
        if pieces > 0:
            return OPEN
        return MOUSEBITE if pieces == 0 else None
    if np.all(before[reach]):
        return COPPER
    if pieces < 0:
        return SHORT
    return SPUR if pieces == 0 else None


def _pieces_of_copper(board: Gray) -> int:
    copper = (board == 0).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(copper, connectivity=8)
    return int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] >= _SLIVER_PX))


def _ink(
    shape: tuple[int, ...], points: NDArray[np.float64], width_px: int, rng: np.random.Generator
) -> Mask:
    """The pixels of a stroke: one broad line, or several thin shaky ones beside each other."""
    ink = np.zeros(shape, np.uint8)
    scribbled = rng.random() < 0.25
    for _ in range(int(rng.integers(2, 5)) if scribbled else 1):
        path = points + rng.normal(0, 1.8 if scribbled else 0.5, points.shape)
        thickness = int(rng.integers(2, 4)) if scribbled else width_px
        cv2.polylines(ink, [np.round(path).astype(np.int32)], False, 1, thickness)
    if not scribbled and rng.random() < 0.3:
        x, y = np.round(points[rng.integers(len(points))]).astype(int)
        cv2.circle(ink, (int(x), int(y)), int(rng.integers(2, 3 + width_px)), 1, -1)
    return ink > 0


@dataclass(frozen=True)
class _Terrain:
    """The copper around a place: where its edges are and which way they face."""

    board: Gray
    near: Box
    edges: NDArray[np.int64]
    """[n, 2] x, y of copper pixels beside laminate, in the window."""
    outward: NDArray[np.float32]
    """[rows, columns, 2] x, y of the direction from copper to laminate, not normalised."""
    inside_px: NDArray[np.float32]
    """Distance of a copper pixel to the laminate; and of laminate to copper below."""
    outside_px: NDArray[np.float32]

    @classmethod
    def around(cls, board: Gray, near: Box) -> _Terrain:
        left, top, right, bottom = near
        window = board[top:bottom, left:right]
        soft = cv2.GaussianBlur(window, (9, 9), 2.5)
        slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0)
        slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1)
        copper = (window == 0).astype(np.uint8)
        rim = copper & (cv2.erode(copper, np.ones((3, 3), np.uint8)) == 0)
        rows, columns = np.nonzero(rim)
        return cls(
            board,
            near,
            np.stack([columns, rows], axis=1).astype(np.int64),
            np.stack([slope_x, slope_y], axis=2),
            cv2.distanceTransform(copper, cv2.DIST_L2, 3),
            cv2.distanceTransform(1 - copper, cv2.DIST_L2, 3),
        )

    def stroke(self, kind: int, rng: np.random.Generator) -> _Stroke | None:
        """A random stroke that may become such a defect; None where no path can start."""
        width_px = int(rng.integers(3, 8))
        length_px = float(np.exp(rng.uniform(np.log(5), np.log(26))))
        if kind in {PIN_HOLE, COPPER}:
            depth = self.inside_px if kind == PIN_HOLE else self.outside_px
            ys, xs = np.nonzero(depth >= width_px / 2 + 2.5)
            if len(xs) == 0:
                return None
            at = int(rng.integers(len(xs)))
            angle = rng.uniform(0, 2 * np.pi)
            length_px *= rng.choice([0.15, 0.6, 1.0])
            path = self._path(np.array([xs[at], ys[at]]), angle, length_px, rng)
            return _Stroke(path, width_px)
        if len(self.edges) == 0:
            return None
        x, y = self.edges[int(rng.integers(len(self.edges)))]
        slope = self.outward[y, x]
        towards = 1.0 if kind in {SPUR, SHORT} else -1.0
        angle = float(np.arctan2(towards * slope[1], towards * slope[0]))
        angle += rng.normal(0, 0.35)
        if kind in {OPEN, SHORT}:
            length_px = self._way_through(x, y, angle, copper=kind == OPEN)
        back_px = 3 if kind in {OPEN, SHORT} else 1
        path = self._path(np.array([x, y]), angle, length_px, rng, back_px=back_px)
        return _Stroke(path, width_px)

    def _way_through(self, x: int, y: int, angle: float, *, copper: bool) -> float:
        """How far a line runs in copper (or laminate) until it has crossed it, plus 3 px."""
        steps = np.arange(2, 70)
        xs = np.round(x + np.cos(angle) * steps).astype(int)
        ys = np.round(y + np.sin(angle) * steps).astype(int)
        height, width = self.inside_px.shape
        there = (xs >= 0) & (xs < width) & (ys >= 0) & (ys < height)
        here = self.inside_px if copper else self.outside_px
        over = np.flatnonzero(here[ys[there], xs[there]] == 0)
        return float(steps[over[0]] + 3) if len(over) else 30.0

    def _path(
        self,
        start: NDArray[np.int64],
        angle: float,
        length_px: float,
        rng: np.random.Generator,
        back_px: float = 0,
    ) -> NDArray[np.float64]:
        """A slightly bent way of so many pixels from the start."""
        parts = max(2, round(length_px / 6))
        turns = angle + np.cumsum(rng.normal(0, 0.2, parts))
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (length_px + back_px) / parts
        first = start + self.near[:2] - back_px * np.array([np.cos(angle), np.sin(angle)])
        return np.vstack([first, first + np.cumsum(steps, axis=0)])
