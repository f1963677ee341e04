"""Damages a circuit the six ways DeepPCB knows, where each way makes sense."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.simulation.circuit import Circuit, Mask, Track

_Point = tuple[float, float]
_TRIES = 400
_APART_PX = 70
"""Centres of two defects of a board are at least this far apart, so that boxes never touch."""
_BORDER_PX = 34
_MARGIN_PX = 8
_SMALLEST_BOX_PX = 26
"""DeepPCB's annotators left about ten pixels around a defect and drew no box under 25."""
_COPPER, _LAMINATE = 255, 0


class DefectCode(StrEnum):
    """What can be wrong with a board; the classes of the example model, in its order."""

    OPEN = "open"
    SHORT = "short"
    MOUSEBITE = "mousebite"
    SPUR = "spur"
    COPPER = "copper"
    PIN_HOLE = "pin-hole"


@dataclass(frozen=True, slots=True)
class TrueDefect:
    """A defect that is really there."""

    code: DefectCode
    bbox_px: tuple[int, int, int, int]
    """x, y, width, height in the pixels of the picture it belongs to; all damage lies inside."""


def codes_of_board(number: int, *, seed: int, defect_rate: float) -> tuple[DefectCode, ...]:
    """Return what is wrong with a board: nothing, or one to four defects of any kind."""
    rng = np.random.default_rng([seed, 102, number])
    if rng.random() >= defect_rate:
        return ()
    codes = tuple(DefectCode)
    return tuple(codes[int(rng.integers(len(codes)))] for _ in range(rng.integers(1, 5)))


def damage(
    circuit: Circuit, codes: Sequence[DefectCode], rng: np.random.Generator
) -> tuple[Mask, tuple[TrueDefect, ...]]:
    """Return the copper of one damaged board, and where it is damaged.

    A defect for which the circuit has no place left (a very small board) is left out of both.
    """
    copper = circuit.copper.copy()
    defects: list[TrueDefect] = []
    centres: list[_Point] = []
    for code in codes:
        before = copper.copy()
        site = _Site(circuit, copper, tuple(centres), rng)
        for _ in range(_TRIES):
            centre = _DRAW[code](site)
            if centre is None:
                continue
            bbox = _changed_box(before, copper)
            if bbox is None:
                copper[:] = before
                continue
            centres.append(centre)
            defects.append(TrueDefect(code, bbox))
            break
    return copper, tuple(defects)


@dataclass(frozen=True, slots=True)
class _Site:
    """What a defect may look at and draw on."""

    circuit: Circuit
    copper: Mask
    taken: tuple[_Point, ...]
    rng: np.random.Generator

    def allows(self, point: _Point) -> bool:
        """Whether a defect may be here: away from the edge, the label and other defects."""
        height, width = self.copper.shape
        x, y = point
        left, top, label_width, label_height = self.circuit.label_px
        in_label = (
            left - _BORDER_PX < x < left + label_width + _BORDER_PX
            and top - _BORDER_PX < y < top + label_height + _BORDER_PX
        )
        return (
            _BORDER_PX <= x < width - _BORDER_PX
            and _BORDER_PX <= y < height - _BORDER_PX
            and not in_label
            and all(math.dist(point, other) >= _APART_PX for other in self.taken)
        )

    def on_a_track(self, *, clear_px: float) -> tuple[Track, _Point, _Point] | None:
        """A random track, a point in its middle, and the direction along it."""
        usable = [track for track in self.circuit.tracks if track.length_px > 2 * clear_px + 4]
        if not usable:
            return None
        lengths = np.array([track.length_px for track in usable])
        track = usable[int(self.rng.choice(len(usable), p=lengths / lengths.sum()))]
        along = (
            (track.x1_px - track.x0_px) / track.length_px,
            (track.y1_px - track.y0_px) / track.length_px,
        )
        at = float(self.rng.uniform(clear_px, track.length_px - clear_px))
        point = (track.x0_px + along[0] * at, track.y0_px + along[1] * at)
        # Inside a pour or a pad the track has no edge of its own.
        depth = self.circuit.depth_px[round(point[1]), round(point[0])]
        if not self.allows(point) or abs(depth - track.width_px / 2) > 2:  # noqa: PLR2004
            return None
        return track, point, along

    def beside_a_track(self, *, clear_px: float) -> tuple[Track, _Point, _Point, _Point] | None:
        """As `on_a_track`, with a point on one edge and the direction away from the track."""
        found = self.on_a_track(clear_px=clear_px)
        if found is None:
            return None
        track, point, along = found
        side = 1 if self.rng.random() < 0.5 else -1  # noqa: PLR2004
        out = (-along[1] * side, along[0] * side)
        return track, _ahead(point, out, track.width_px / 2), out, along

    def free_way_px(self, start: _Point, out: _Point, limit_px: int) -> tuple[int, int]:
        """How far it is to the next copper that way, and that copper's net; 0 if none."""
        height, width = self.copper.shape
        for step in range(3, limit_px):
            x, y = (round(value) for value in _ahead(start, out, step))
            if not (0 <= x < width and 0 <= y < height):
                break
            if self.circuit.nets[y, x]:
                return step, int(self.circuit.nets[y, x])
        return limit_px, 0

    def net_at(self, point: _Point) -> int:
        return int(self.circuit.nets[round(point[1]), round(point[0])])

    def somewhere(self, distances_px: NDArray[np.float32], at_least_px: float) -> _Point | None:
        """A random point of the board, if it is far enough inside."""
        height, width = distances_px.shape
        x, y = int(self.rng.integers(width)), int(self.rng.integers(height))
        point = (float(x), float(y))
        return point if distances_px[y, x] >= at_least_px and self.allows(point) else None

    def fill(self, points: Sequence[_Point], value: int) -> None:
        corners = np.round(np.array(points)).astype(np.int32)
        cv2.fillPoly(self.copper, [corners], value)

    def scribble(self, points: Sequence[_Point], thickness_px: int, value: int) -> None:
        corners = np.round(np.array(points)).astype(np.int32)
        cv2.polylines(self.copper, [corners], isClosed=False, color=value, thickness=thickness_px)

    def jitter(self, spread_px: float) -> float:
        return float(self.rng.uniform(-spread_px, spread_px))


def _ahead(point: _Point, direction: _Point, distance_px: float) -> _Point:
    return point[0] + direction[0] * distance_px, point[1] + direction[1] * distance_px


def _draw_open(site: _Site) -> _Point | None:
    found = site.on_a_track(clear_px=26)
    if found is None:
        return None
    track, point, along = found
    across = (-along[1], along[0])
    gap = float(site.rng.uniform(5, 9))
    edges = []
    for side in (-1, 1):
        reach = track.width_px / 2 + 2
        offsets = np.linspace(-reach, reach, 5) * -side
        edges += [
            _ahead(_ahead(point, across, offset), along, side * gap / 2 + site.jitter(1.8))
            for offset in offsets
        ]
    site.fill(edges, _LAMINATE)
    return point


def _draw_short(site: _Site) -> _Point | None:
    found = site.beside_a_track(clear_px=14)
    if found is None:
        return None
    _, edge, out, along = found
    start = _ahead(edge, out, -2)
    away, net = site.free_way_px(edge, out, 42)
    if net in {0, site.net_at(start)}:
        return None
    slant = site.jitter(away / 3)
    way = [
        _ahead(_ahead(start, out, part * (away + 5)), along, part * slant + site.jitter(2))
        for part in (0.0, 0.35, 0.7, 1.0)
    ]
    if site.net_at(way[-1]) != net:
        return None
    site.scribble(way, int(site.rng.integers(4, 7)), _COPPER)
    return _ahead(edge, out, away / 2)


def _draw_mousebite(site: _Site) -> _Point | None:
    found = site.beside_a_track(clear_px=18)
    if found is None:
        return None
    track, edge, out, along = found
    depth = min(8.0, track.width_px * float(site.rng.uniform(0.45, 0.62)))
    half = float(site.rng.uniform(3.5, 6.5))
    bite = [
        _ahead(_ahead(edge, along, part * half + site.jitter(1)), out, -depth * deep)
        for part, deep in ((-1, -0.4), (-0.9, 0.5), (-0.3, 0.95), (0.3, 1.0), (0.8, 0.5), (1, -0.4))
    ]
    site.fill(bite, _LAMINATE)
    return edge


def _draw_spur(site: _Site) -> _Point | None:
    found = site.beside_a_track(clear_px=20)
    if found is None:
        return None
    _, edge, out, along = found
    length = float(site.rng.uniform(7, 12))
    if site.free_way_px(edge, out, 24)[0] < length + 8:
        return None
    half = float(site.rng.uniform(2.5, 4.5))
    lean = site.jitter(5)
    shape = [
        _ahead(_ahead(edge, along, part * half + lean * max(0.0, far)), out, length * far)
        for part, far in ((-1.1, -0.3), (-1, 0.4), (-0.6, 0.9), (0.5, 1.0), (0.9, 0.4), (1.2, -0.3))
    ]
    site.fill(shape, _COPPER)
    return edge


def _draw_copper(site: _Site) -> _Point | None:
    centre = site.somewhere(site.circuit.room_px, 18)
    if centre is None:
        return None
    _draw_squiggle(
        site, centre, length_px=20, thickness_px=int(site.rng.integers(4, 7)), value=_COPPER
    )
    return centre


def _draw_pin_hole(site: _Site) -> _Point | None:
    centre = site.somewhere(site.circuit.depth_px, 10)
    if centre is None:
        return None
    _draw_squiggle(
        site, centre, length_px=12, thickness_px=int(site.rng.integers(4, 6)), value=_LAMINATE
    )
    return centre


def _draw_squiggle(
    site: _Site, centre: _Point, *, length_px: float, thickness_px: int, value: int
) -> None:
    angle = float(site.rng.uniform(0, math.tau))
    points = [centre]
    for _ in range(2):
        angle += site.jitter(0.9)
        step = float(site.rng.uniform(0.25, 0.5)) * length_px
        points.append(_ahead(points[-1], (math.cos(angle), math.sin(angle)), step))
    shift_x, shift_y = points[0][0] - points[1][0], points[0][1] - points[1][1]
    points = [(x + shift_x, y + shift_y) for x, y in points]
    site.scribble(points, thickness_px, value)
    for x, y in points:
        spot = (round(x + site.jitter(2)), round(y + site.jitter(2)))
        cv2.circle(site.copper, spot, int(site.rng.integers(1, thickness_px // 2 + 2)), value, -1)


def _changed_box(before: Mask, after: Mask) -> tuple[int, int, int, int] | None:
    rows, columns = np.nonzero(before != after)
    if rows.size < 6:  # noqa: PLR2004 - nothing a camera could see
        return None
    height, width = before.shape
    spans = []
    for low, high, limit in (
        (int(columns.min()), int(columns.max()) + 1, width),
        (int(rows.min()), int(rows.max()) + 1, height),
    ):
        grow = max(_MARGIN_PX, math.ceil((_SMALLEST_BOX_PX - (high - low)) / 2))
        spans.append((max(0, low - grow), min(limit, high + grow)))
    (left, right), (top, bottom) = spans
    return left, top, right - left, bottom - top


_DRAW: MappingProxyType[DefectCode, Callable[[_Site], _Point | None]] = MappingProxyType(
    {
        DefectCode.OPEN: _draw_open,
        DefectCode.SHORT: _draw_short,
        DefectCode.MOUSEBITE: _draw_mousebite,
        DefectCode.SPUR: _draw_spur,
        DefectCode.COPPER: _draw_copper,
        DefectCode.PIN_HOLE: _draw_pin_hole,
    }
)
