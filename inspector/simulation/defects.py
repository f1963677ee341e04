"""Damages a circuit the six ways DeepPCB knows, where each way makes sense."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import cv2
import numpy as np

from inspector.simulation.circuit import Circuit, Mask
from inspector.simulation.site import Point, Site, ahead

_TRIES = 400
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
    centres: list[Point] = list(circuit.marks)
    for code in codes:
        before = copper.copy()
        site = Site(circuit, copper, tuple(centres), rng)
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


def _draw_open(site: Site) -> Point | None:
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
            ahead(ahead(point, across, offset), along, side * gap / 2 + site.jitter(1.8))
            for offset in offsets
        ]
    site.fill(edges, _LAMINATE)
    return point


def _draw_short(site: Site) -> Point | None:
    found = site.beside_a_track(clear_px=14)
    if found is None:
        return None
    _, edge, out, along = found
    start = ahead(edge, out, -2)
    away, net = site.free_way_px(edge, out, 42)
    if net in {0, site.net_at(start)}:
        return None
    slant = site.jitter(away / 3)
    way = [
        ahead(ahead(start, out, part * (away + 5)), along, part * slant + site.jitter(2))
        for part in (0.0, 0.35, 0.7, 1.0)
    ]
    if site.net_at(way[-1]) != net:
        return None
    site.scribble(way, int(site.rng.integers(4, 7)), _COPPER)
    return ahead(edge, out, away / 2)


def _draw_mousebite(site: Site) -> Point | None:
    found = site.beside_a_track(clear_px=18)
    if found is None:
        return None
    track, edge, out, along = found
    depth = min(8.0, track.width_px * float(site.rng.uniform(0.45, 0.62)))
    half = float(site.rng.uniform(3.5, 6.5))
    bite = [
        ahead(ahead(edge, along, part * half + site.jitter(1)), out, -depth * deep)
        for part, deep in ((-1, -0.4), (-0.9, 0.5), (-0.3, 0.95), (0.3, 1.0), (0.8, 0.5), (1, -0.4))
    ]
    site.fill(bite, _LAMINATE)
    return edge


def _draw_spur(site: Site) -> Point | None:
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
        ahead(ahead(edge, along, part * half + lean * max(0.0, far)), out, length * far)
        for part, far in ((-1.1, -0.3), (-1, 0.4), (-0.6, 0.9), (0.5, 1.0), (0.9, 0.4), (1.2, -0.3))
    ]
    site.fill(shape, _COPPER)
    return edge


def _draw_copper(site: Site) -> Point | None:
    centre = site.somewhere(site.circuit.room_px, 18)
    if centre is None:
        return None
    _draw_squiggle(
        site, centre, length_px=20, thickness_px=int(site.rng.integers(4, 7)), value=_COPPER
    )
    return centre


def _draw_pin_hole(site: Site) -> Point | None:
    centre = site.somewhere(site.circuit.depth_px, 10)
    if centre is None:
        return None
    _draw_squiggle(
        site, centre, length_px=12, thickness_px=int(site.rng.integers(4, 6)), value=_LAMINATE
    )
    return centre


def _draw_squiggle(
    site: Site, centre: Point, *, length_px: float, thickness_px: int, value: int
) -> None:
    angle = float(site.rng.uniform(0, math.tau))
    points = [centre]
    for _ in range(2):
        angle += site.jitter(0.9)
        step = float(site.rng.uniform(0.25, 0.5)) * length_px
        points.append(ahead(points[-1], (math.cos(angle), math.sin(angle)), step))
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


_DRAW: MappingProxyType[DefectCode, Callable[[Site], Point | None]] = MappingProxyType(
    {
        DefectCode.OPEN: _draw_open,
        DefectCode.SHORT: _draw_short,
        DefectCode.MOUSEBITE: _draw_mousebite,
        DefectCode.SPUR: _draw_spur,
        DefectCode.COPPER: _draw_copper,
        DefectCode.PIN_HOLE: _draw_pin_hole,
    }
)
