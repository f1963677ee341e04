"""Changes a board's design: copper and holes that are wanted, where the scan had none.

A detector that sees few designs learns that a thin neck between a pad and a track is a short, and
that a ring is a pin-hole: trained on DeepPCB's seven groups of boards it raised no alarm on good
boards of those groups, and on every third good board of others. What is drawn here is what
distinguishes design from damage: straight edges, round ends, one width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""left, top, right, bottom."""

_COPPER, _LAMINATE = 0, 255
_CLEAR_PX = 6
_TRIES = 4
_SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""


def redesign(
    boards: Sequence[Gray],
    near: Box,
    rng: np.random.Generator,
    *,
    taken: Sequence[Box] = (),
    features: int = 4,
) -> int:
    """Draw up to so many wanted features, the same on each board; how many found a place.

    `boards` are the board as found and its reference, [rows, columns] uint8 with copper 0 and
    laminate 255, changed in place. The features lie inside `near` and keep clear of the boxes in
    `taken`, so that no defect is covered, joined or cut.
    """
    left, top, right, bottom = near
    parts = [board[top:bottom, left:right] for board in boards]
    clear = np.pad(np.ones((bottom - top - 2, right - left - 2), np.uint8), 1)
    for x0, y0, x1, y1 in taken:
        clear[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = 0
    drawn = 0
    for _ in range(features):
        draw = _FEATURES[int(rng.integers(len(_FEATURES)))]
        for _ in range(_TRIES):
            ink = np.zeros(clear.shape, np.uint8)
            colour = draw(parts[0], clear, ink, rng)
            if colour is not None and not np.any(ink > clear):
                for part in parts:
                    part[ink > 0] = colour
                drawn += 1
                break
    return drawn


def _pad_with_neck(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A via beside a track or an area of copper, joined to it by a neck."""
    copper = ((board == _COPPER) & (clear > 0)).astype(np.uint8)
    rows, columns = np.nonzero(copper & (cv2.erode(copper, np.ones((3, 3), np.uint8)) == 0))
    if len(rows) == 0:
        return None
    at = int(rng.integers(len(rows)))
    x, y = int(columns[at]), int(rows[at])
    radius, width = rng.uniform(9, 24), int(rng.integers(5, 13))
    reach = rng.uniform(6, 36) + radius
    angle = _outward(board, x, y) + rng.normal(0, 0.03)
    cos, sin = math.cos(angle), math.sin(angle)
    far = (x + reach * cos, y + reach * sin)
    # Beyond the edge it starts from, and a margin around the pad, nothing but laminate.
    room = np.zeros_like(ink)
    _disc(room, far, radius + _CLEAR_PX)
    start = (x + (width / 2 + _CLEAR_PX) * cos, y + (width / 2 + _CLEAR_PX) * sin)
    _line(room, start, far, width + 2 * _CLEAR_PX)
    if np.any((room > 0) & (board == _COPPER)) or np.any(room > clear):
        return None
    if not (radius < far[0] < ink.shape[1] - radius and radius < far[1] < ink.shape[0] - radius):
        return None
    _line(ink, (x - 3 * cos, y - 3 * sin), far, width)
    _disc(ink, far, radius)
    if rng.random() < 0.3:
        _disc(ink, far, radius * rng.uniform(0.3, 0.6), value=0)
    return _COPPER


def _outward(board: Gray, x: int, y: int) -> float:
    """The direction from copper to laminate here, as designers draw: in steps of 45 degrees."""
    around = board[max(0, y - 5) : y + 6, max(0, x - 5) : x + 6] > 0
    rows, columns = np.nonzero(around)
    if len(rows) == 0:
        return 0.0
    dy, dx = rows.mean() + max(0, y - 5) - y, columns.mean() + max(0, x - 5) - x
    eighth = math.pi / 4
    return round(math.atan2(dy, dx) / eighth) * eighth


def _dumbbell(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """Two pads with a track between them, standing free."""
    radius = rng.uniform(8, 22)
    length = rng.uniform(2.2, 4.5) * radius
    centre = _place_in(board == _LAMINATE, clear, length / 2 + radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    angle = math.radians(45.0) * int(rng.integers(4))
    dx, dy = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    ends = ((centre[0] - dx, centre[1] - dy), (centre[0] + dx, centre[1] + dy))
    _line(ink, *ends, int(rng.integers(5, 12)))
    square = rng.random() < 0.4
    for x, y in ends:
        if square:
            side = radius * 0.9
            _rectangle(ink, (x - side, y - side), (x + side, y + side))
        else:
            _disc(ink, (x, y), radius)
    return _COPPER


def _ring(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A pad with its hole, standing free."""
    radius = rng.uniform(8, 26)
    centre = _place_in(board == _LAMINATE, clear, radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    _disc(ink, centre, radius)
    _disc(ink, centre, radius * rng.uniform(0.25, 0.75), value=0)
    return _COPPER


def _dot(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A round or square pad without a track."""
    radius = rng.uniform(5.5, 22)
    centre = _place_in(board == _LAMINATE, clear, radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    if rng.random() < 0.25:
        _rectangle(
            ink, (centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius)
        )
    else:
        _disc(ink, centre, radius)
    return _COPPER


def _hole(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A drilled hole in copper: round, where a pin-hole is ragged."""
    radius = rng.uniform(3.5, 13)
    centre = _place_in(board == _COPPER, clear, radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    _disc(ink, centre, radius)
    return _LAMINATE


_Feature = Callable[[Gray, Gray, Gray, np.random.Generator], int | None]
_FEATURES: tuple[_Feature, ...] = (
    _pad_with_neck,
    _pad_with_neck,
    _pad_with_neck,
    _dumbbell,
    _ring,
    _dot,
    _hole,
)


def _place_in(
    area: NDArray[np.bool_], clear: Gray, room_px: float, rng: np.random.Generator
) -> tuple[float, float] | None:
    """A random point with so much room of the area around it."""
    distance = cv2.distanceTransform((area & (clear > 0)).astype(np.uint8), cv2.DIST_L2, 3)
    rows, columns = np.nonzero(distance > room_px)
    if len(rows) == 0:
        return None
    at = int(rng.integers(len(rows)))
    return float(columns[at]), float(rows[at])


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT))


def _disc(ink: Gray, centre: tuple[float, float], radius: float, *, value: int = 1) -> None:
    cv2.circle(ink, _fixed(*centre), round(radius * (1 << _SHIFT)), value, -1, shift=_SHIFT)


def _line(ink: Gray, start: tuple[float, float], end: tuple[float, float], width: int) -> None:
    cv2.line(ink, _fixed(*start), _fixed(*end), 1, width, shift=_SHIFT)


def _rectangle(ink: Gray, start: tuple[float, float], end: tuple[float, float]) -> None:
    cv2.rectangle(ink, _fixed(*start), _fixed(*end), 1, -1, shift=_SHIFT)
