"""What a pen leaves on a circuit: the marks that DeepPCB's makers drew, and where they begin. Pure.

Their marks differ from one group of boards to the next: a shaky line, a straight bar as clean as a
track, hatching and scribble that leave specks of copper, a flat bump along an edge. A detector that
has seen few kinds of marks takes the others for design.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.drawing.draughting import (
    Box,
    Gray,
    Points,
    ahead,
    any_size,
    as_designers_draw,
    edges,
    turned,
)

OPEN, SHORT, MOUSEBITE, SPUR, COPPER, PIN_HOLE = range(6)
"""Indices into drawing.CLASSES."""

Mask = NDArray[np.bool_]

HANDS: dict[int, dict[str, float]] = {
    OPEN: {"line": 0.3, "hatching": 0.2, "scribble": 0.25, "bar": 0.25},
    SHORT: {"line": 0.4, "hatching": 0.1, "scribble": 0.1, "bar": 0.35, "corner": 0.05},
    MOUSEBITE: {"line": 0.75, "bump": 0.25},
    SPUR: {"line": 0.5, "bump": 0.3, "hatching": 0.2},
    COPPER: {"line": 0.75, "loop": 0.15, "thread": 0.1},
    PIN_HOLE: {"line": 0.75, "loop": 0.15, "thread": 0.1},
}
"""How a defect of each kind is drawn, and how often."""
_AT_NARROW_PLACES = 0.4
"""So many of the cuts go where a thin neck meets a pad or an area, and so many of the bridges where
two pieces of copper lie close to each other."""
_NECK_PX, _PAD_PX, _GAP_PX = 15, 17, 13
_FARTHEST_PX = 70
_WIDEST_BAR_PX = 45


@dataclass(frozen=True)
class Stroke:
    """Lines [n, 2] with their widths in pixels, and filled outlines [n, 2]."""

    lines: tuple[tuple[Points, int], ...] = ()
    areas: tuple[Points, ...] = ()

    @property
    def points(self) -> Points:
        """All of them, [n, 2]."""
        return np.concatenate([*(points for points, _ in self.lines), *self.areas])

    @property
    def reach_px(self) -> int:
        """How far ink may lie from the points."""
        return max((width for _, width in self.lines), default=0) // 2 + 1

    def ink(self, shape: tuple[int, ...], origin: Points) -> Mask:
        """The pixels of a picture [rows, columns] whose first pixel is at `origin` (x, y)."""
        ink = np.zeros(shape, np.uint8)
        for points, width in self.lines:
            path = np.round(points - origin).astype(np.int32)
            cv2.polylines(ink, [path], False, 1, max(width, 1))
        for outline in self.areas:
            cv2.fillPoly(ink, [np.round(outline - origin).astype(np.int32)], 1)
        return ink > 0


@dataclass(frozen=True)
class Terrain:
    """The copper around a place: where its edges are and which way they face."""

    board: Gray
    near: Box
    edges: NDArray[np.int64]
    """[n, 2] x, y of copper pixels beside laminate, in the window."""
    necks: NDArray[np.int64]
    """Those of them where a thin piece of copper meets a broad one."""
    gaps: NDArray[np.int64]
    """Those where a narrow piece of laminate lies beside them."""
    outward: NDArray[np.float32]
    """[rows, columns, 2] x, y of the direction from copper to laminate, not normalised."""
    inside_px: NDArray[np.float32]
    """Distance of a copper pixel to the laminate; and of laminate to copper below."""
    outside_px: NDArray[np.float32]

    @classmethod
    def around(cls, board: Gray, near: Box) -> Terrain:
        """The window `near` of a board [rows, columns], copper 0 and laminate 255."""
        left, top, right, bottom = near
        window = board[top:bottom, left:right]
        soft = cv2.GaussianBlur(window, (9, 9), 2.5)
        slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0)
        slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1)
        copper = (window == 0).astype(np.uint8)
        places = edges(copper)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_NECK_PX, _NECK_PX))
        # Opened by a disc, a pad's own outline loses a pixel here and there: no neck.
        broad = cv2.dilate(
            cv2.morphologyEx(copper, cv2.MORPH_OPEN, disc), np.ones((3, 3), np.uint8)
        )
        beside_broad = cv2.dilate(broad, np.ones((_PAD_PX, _PAD_PX), np.uint8))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_GAP_PX, _GAP_PX))
        narrow = cv2.morphologyEx(copper, cv2.MORPH_CLOSE, disc) - copper
        beside_narrow = cv2.dilate(narrow, np.ones((3, 3), np.uint8))
        at = places[:, 1], places[:, 0]
        return cls(
            board,
            near,
            places,
            places[(broad == 0)[at] & (beside_broad > 0)[at]],
            places[beside_narrow[at] > 0],
            np.stack([slope_x, slope_y], axis=2),
            cv2.distanceTransform(copper, cv2.DIST_L2, 3),
            cv2.distanceTransform(1 - copper, cv2.DIST_L2, 3),
        )

    def stroke(self, kind: int, rng: np.random.Generator) -> Stroke | None:
        """A random stroke that may become such a defect; None where none can start."""
        hand = str(rng.choice(list(HANDS[kind]), p=list(HANDS[kind].values())))
        if kind in {PIN_HOLE, COPPER}:
            return self._enclosed(kind, hand, rng)
        return self._from_an_edge(kind, hand, rng) if len(self.edges) else None

    def _from_an_edge(self, kind: int, hand: str, rng: np.random.Generator) -> Stroke:
        places = {OPEN: self.necks, SHORT: self.gaps}.get(kind, self.edges)
        if not len(places) or rng.random() >= _AT_NARROW_PLACES:
            places = self.edges
        x, y = (int(v) for v in places[int(rng.integers(len(places)))])
        slope = self.outward[y, x]
        towards = 1.0 if kind in {SPUR, SHORT} else -1.0
        angle = float(np.arctan2(towards * slope[1], towards * slope[0]))
        if hand == "bump":
            return Stroke(areas=(self._bump(x, y, angle, rng),))
        clean = hand in {"bar", "corner"}
        angle = _clean_angle(angle, rng) if clean else angle + rng.normal(0, 0.35)
        length_px = any_size(rng, 5, 26)
        if kind in {OPEN, SHORT}:
            length_px = self._way_through(x, y, angle, copper=kind == OPEN)
        start = self._at(x, y)
        match hand:
            case "bar":
                return _bar(start, angle, length_px, rng)
            case "corner":
                return _corner(start, angle, length_px, rng)
            case "scribble":
                return _scribble(start, angle, length_px, rng)
        path = _path(start, angle, length_px, rng, back_px=3 if kind in {OPEN, SHORT} else 1)
        return _hatching(path, angle, rng) if hand == "hatching" else _line(path, rng)

    def _at(self, x: int, y: int) -> Points:
        return np.array([x + self.near[0], y + self.near[1]], np.float64)

    def _enclosed(self, kind: int, hand: str, rng: np.random.Generator) -> Stroke | None:
        """A stroke amid copper or laminate."""
        width_px = int(rng.integers(3, 8)) if hand == "line" else int(rng.integers(2, 5))
        radius_px = any_size(rng, 6, 15) if hand == "loop" else 0.0
        depth = self.inside_px if kind == PIN_HOLE else self.outside_px
        ys, xs = np.nonzero(depth >= radius_px + width_px / 2 + 2.5)
        if len(xs) == 0:
            return None
        at = int(rng.integers(len(xs)))
        start, angle = self._at(int(xs[at]), int(ys[at])), rng.uniform(0, 2 * np.pi)
        if hand == "loop":
            return _loop(start, radius_px, width_px, rng)
        if hand == "thread":
            return Stroke(((_path(start, angle, any_size(rng, 20, 60), rng), width_px),))
        length_px = any_size(rng, 5, 26) * rng.choice([0.15, 0.6, 1.0])
        return _line(_path(start, angle, length_px, rng), rng, width_px)

    def _bump(self, x: int, y: int, angle: float, rng: np.random.Generator) -> Points:
        """An outline that lies along the edge, half of it beyond: round, or with corners."""
        along = any_size(rng, 4, 18)
        across = min(rng.uniform(4, 11), 1.6 * along)
        corners = int(rng.choice([4, 6, 24]))
        turns = (np.arange(corners) + 0.5) * (2 * np.pi / corners)
        outline = np.stack([across * np.cos(turns), along * np.sin(turns)], axis=1)
        outline /= np.cos(np.pi / corners)
        if rng.random() < 0.5:
            outline += rng.normal(0, 0.8, outline.shape)
        return self._at(x, y) + turned(outline, angle)

    def _way_through(self, x: int, y: int, angle: float, *, copper: bool) -> float:
        """How far a line runs in copper (or laminate) until it has crossed it, plus 3 px."""
        steps = np.arange(2, _FARTHEST_PX)
        xs = np.round(x + np.cos(angle) * steps).astype(int)
        ys = np.round(y + np.sin(angle) * steps).astype(int)
        height, width = self.inside_px.shape
        there = (xs >= 0) & (xs < width) & (ys >= 0) & (ys < height)
        here = self.inside_px if copper else self.outside_px
        over = np.flatnonzero(here[ys[there], xs[there]] == 0)
        return float(steps[over[0]] + 3) if len(over) else 30.0


def _clean_angle(angle: float, rng: np.random.Generator) -> float:
    """Most often as designers draw."""
    return as_designers_draw(angle) if rng.random() < 0.7 else angle + rng.normal(0, 0.15)


def _path(
    start: Points, angle: float, length_px: float, rng: np.random.Generator, back_px: float = 0
) -> Points:
    """A slightly bent way of so many pixels from the start."""
    parts = max(2, round(length_px / 6))
    turns = angle + np.cumsum(rng.normal(0, 0.2, parts))
    steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (length_px + back_px) / parts
    first = start - back_px * ahead(angle)
    return np.vstack([first, first + np.cumsum(steps, axis=0)])


def _line(path: Points, rng: np.random.Generator, width_px: int | None = None) -> Stroke:
    """One broad line, sometimes with a dab, or several thin shaky ones over each other."""
    if width_px is None:
        width_px = int(rng.integers(3, 8)) if rng.random() < 0.85 else int(rng.integers(8, 15))
    if rng.random() < 0.25:
        count = int(rng.integers(2, 5))
        shaky = [path + rng.normal(0, 1.8, path.shape) for _ in range(count)]
        return Stroke(tuple((one, int(rng.integers(2, 4))) for one in shaky))
    lines = [(path + rng.normal(0, 0.5, path.shape), width_px)]
    if rng.random() < 0.3:
        at = path[rng.integers(len(path))]
        lines.append((np.stack([at, at]), 2 * int(rng.integers(2, 3 + width_px))))
    return Stroke(tuple(lines))


def _loop(middle: Points, radius_px: float, width_px: int, rng: np.random.Generator) -> Stroke:
    """A pen once around, not always until it is closed: what lies within stays as it was."""
    turns = np.linspace(0, rng.uniform(0.75, 1.05) * 2 * np.pi, 14) + rng.uniform(0, 2 * np.pi)
    away = radius_px * rng.uniform(0.75, 1.0, len(turns))
    flat = rng.uniform(0.45, 1.0)
    outline = np.stack([away * np.cos(turns), flat * away * np.sin(turns)], axis=1)
    return Stroke(((middle + turned(outline, rng.uniform(0, np.pi)), width_px),))


def _hatching(path: Points, angle: float, rng: np.random.Generator) -> Stroke:
    """Thin lines beside each other; between them, specks stay."""
    count, pitch_px = int(rng.integers(3, 7)), rng.uniform(2.0, 4.5)
    offsets = (np.arange(count) - (count - 1) / 2) * pitch_px
    lines = []
    for offset in offsets:
        slip_px = rng.normal(0, 1.5)
        aside = turned(np.array([[slip_px, offset]]), angle)
        one = path + aside + rng.normal(0, 0.8, path.shape)
        lines.append((one, int(rng.integers(1, 4))))
    return Stroke(tuple(lines))


def _scribble(start: Points, angle: float, length_px: float, rng: np.random.Generator) -> Stroke:
    """A thin pen to and fro, until it is through: ragged ends, and specks between."""
    turns = int(rng.integers(6, 16))
    across = rng.uniform(-2, length_px, turns)
    across[:2] = -2, length_px  # once all the way, at least
    aside = rng.uniform(-1, 1, turns) * rng.uniform(2, 9)
    points = start + turned(np.stack([across, aside], axis=1), angle)
    return Stroke(((points, int(rng.integers(1, 4))),))


def _bar(start: Points, angle: float, length_px: float, rng: np.random.Generator) -> Stroke:
    """A straight bar, as clean as a track or a little ragged: thin, or a patch."""
    width_px = any_size(rng, 3, _WIDEST_BAR_PX)
    back_px = 3 + width_px / 5
    steps = np.linspace(-back_px, length_px + width_px / 5, max(2, round(length_px / 5)))
    sides = np.stack([steps, np.full_like(steps, width_px / 2)], axis=1)
    outline = np.concatenate([sides, (sides * (1, -1))[::-1]])
    if rng.random() < 0.4:
        outline += rng.normal(0, 0.9, outline.shape)
    return Stroke(areas=(start + turned(outline, angle),))


def _corner(start: Points, angle: float, length_px: float, rng: np.random.Generator) -> Stroke:
    """A track of two straight pieces, or of three, as a designer would have drawn it."""
    on = ahead(angle)
    first = start - 3 * on
    bend = first + (3 + length_px * rng.uniform(0.3, 0.9)) * on
    other = angle + float(rng.choice([-1, 1])) * np.pi / float(rng.choice([2, 4]))
    second = bend + rng.uniform(8, 45) * ahead(other)
    corners = [first, bend, second]
    if rng.random() < 0.4:
        corners.append(second - (second - start) @ on * on)
    return Stroke(((np.stack(corners), int(rng.integers(3, 9))),))
