"""Draws what designers want on boards: pads, necks, rings, holes, letters, slots. Pure.

Each feature finds a place of its own and returns the colour to draw with, None where it finds no
place. `board` [rows, columns] uint8 has copper 0 and laminate 255, `clear` is 1 where something may
be drawn, and what is to be drawn is set in `ink`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.drawing.draughting import Gray, as_designers_draw, edges

Feature = Callable[[Gray, Gray, Gray, np.random.Generator], int | None]

COPPER, LAMINATE = 0, 255
_CLEAR_PX = 6
_EDGES_TRIED = 6
_SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""


def _pad_with_neck(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A via beside a track or an area of copper, joined to it by a neck."""
    copper = ((board == COPPER) & (clear > 0)).astype(np.uint8)
    places = edges(copper)
    if len(places) == 0:
        return None
    for x, y in places[rng.integers(0, len(places), _EDGES_TRIED)].tolist():
        if _neck_at((x, y), board, clear, ink, rng):
            return COPPER
    return None


def _neck_at(
    edge: tuple[int, int], board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator
) -> bool:
    """Draw a neck from this edge of the copper, and its pad, if there is room."""
    x, y = edge
    radius, width = rng.uniform(8, 24), int(rng.integers(4, 13))
    reach = rng.uniform(6, 36) + radius
    angle = _outward(board, x, y) + rng.normal(0, 0.03)
    cos, sin = math.cos(angle), math.sin(angle)
    far = (x + reach * cos, y + reach * sin)
    # Beyond the edge it starts from, and a margin around the pad, nothing but laminate.
    room = np.zeros_like(ink)
    _disc(room, far, radius + _CLEAR_PX)
    past = width / 2 + _CLEAR_PX + 2  # its round end touches the edge otherwise, and never fits
    start = (x + past * cos, y + past * sin)
    _line(room, start, far, width + 2 * _CLEAR_PX)
    if np.any((room > 0) & (board == COPPER)) or np.any(room > clear):
        return False
    if not (radius < far[0] < ink.shape[1] - radius and radius < far[1] < ink.shape[0] - radius):
        return False
    _line(ink, (x - 3 * cos, y - 3 * sin), far, width)
    _disc(ink, far, radius)
    if rng.random() < 0.3:
        _disc(ink, far, radius * rng.uniform(0.3, 0.6), value=0)
    return True


def _outward(board: Gray, x: int, y: int) -> float:
    """The direction from copper to laminate here, as designers draw: in steps of 45 degrees."""
    around = board[max(0, y - 5) : y + 6, max(0, x - 5) : x + 6] > 0
    rows, columns = np.nonzero(around)
    if len(rows) == 0:
        return 0.0
    dy, dx = rows.mean() + max(0, y - 5) - y, columns.mean() + max(0, x - 5) - x
    return as_designers_draw(math.atan2(dy, dx))


def _dumbbell(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """Two pads with a track between them, standing free."""
    radius = rng.uniform(8, 22)
    length = rng.uniform(2.2, 4.5) * radius
    centre = _place_in(board == LAMINATE, clear, length / 2 + radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    angle = math.radians(45.0) * int(rng.integers(4))
    dx, dy = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    ends = ((centre[0] - dx, centre[1] - dy), (centre[0] + dx, centre[1] + dy))
    _line(ink, *ends, int(rng.integers(3, 12)))
    square = rng.random() < 0.5
    wide, high = radius * rng.uniform(0.5, 0.95, 2)
    for x, y in ends:
        if square:
            _rectangle(ink, (x - wide, y - high), (x + wide, y + high))
        else:
            _disc(ink, (x, y), radius)
    return COPPER


def _ring(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A pad with its hole, standing free."""
    radius = rng.uniform(8, 26)
    centre = _place_in(board == LAMINATE, clear, radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    _disc(ink, centre, radius)
    _disc(ink, centre, radius * rng.uniform(0.25, 0.75), value=0)
    return COPPER


def _dot(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A round or square pad without a track; a small one that lies alone is spurious copper."""
    radius = rng.uniform(10, 22)
    centre = _place_in(board == LAMINATE, clear, radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    if rng.random() < 0.25:
        _rectangle(
            ink, (centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius)
        )
    else:
        _disc(ink, centre, radius)
    return COPPER


def _hole(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A drilled hole in copper: round, where a pin-hole is ragged."""
    radius = rng.uniform(6, 15)
    centre = _place_in(board == COPPER, clear, radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    _disc(ink, centre, radius)
    return LAMINATE


def _row_of_dots(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """Small pads, all alike, at one pitch: round, square or with six corners."""
    points, radius = _row(board == LAMINATE, clear, rng)
    corners = int(rng.choice([0, 0, 4, 6]))
    for x, y in points:
        if corners == 0:
            _disc(ink, (x, y), radius)
        else:
            turns = np.arange(corners) * (2 * math.pi / corners) + math.pi / corners
            outline = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1)
            cv2.fillPoly(ink, [np.round(outline).astype(np.int32)], 1)
    return COPPER if points else None


def _row_of_holes(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """Small vias in an area of copper, all alike, at one pitch."""
    points, radius = _row(board == COPPER, clear, rng)
    for point in points:
        _disc(ink, point, radius)
    return LAMINATE if points else None


def _row(
    area: NDArray[np.bool_], clear: Gray, rng: np.random.Generator
) -> tuple[list[tuple[float, float]], float]:
    """Middles of two to six equal discs inside the area, and their radius."""
    radius = rng.uniform(2.5, 9)
    pitch = radius * rng.uniform(2.6, 5.0) + 6
    start = _place_in(area, clear, radius + _CLEAR_PX, rng)
    if start is None:
        return [], radius
    angle = math.pi / 4 * int(rng.integers(8))
    steps = np.arange(int(rng.integers(2, 7)))
    xs, ys = start[0] + steps * pitch * math.cos(angle), start[1] + steps * pitch * math.sin(angle)
    room = cv2.distanceTransform((area & (clear > 0)).astype(np.uint8), cv2.DIST_L2, 3)
    height, width = room.shape
    points = [
        (float(x), float(y))
        for x, y in zip(xs, ys, strict=True)
        if 0 <= x < width and 0 <= y < height and room[int(y), int(x)] > radius + _CLEAR_PX
    ]
    return (points if len(points) > 1 else []), radius


def _letters(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """One to three letters or digits in copper, read from any side."""
    text = "".join(rng.choice(list(_LETTERS), int(rng.integers(1, 4))))
    scale, width = rng.uniform(0.6, 2.0), int(rng.integers(3, 8))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX]))
    (wide, high), below = cv2.getTextSize(text, font, scale, width)
    line = np.zeros((high + below + 2 * width, wide + 2 * width), np.uint8)
    cv2.putText(line, text, (width, high + width), font, scale, 1, width)
    line = np.rot90(line, int(rng.integers(4)))
    rows, columns = line.shape
    centre = _place_in(board == LAMINATE, clear, max(rows, columns) / 2 + _CLEAR_PX, rng)
    if centre is None:
        return None
    left, top = int(centre[0] - columns / 2), int(centre[1] - rows / 2)
    if left < 0 or top < 0 or left + columns > ink.shape[1] or top + rows > ink.shape[0]:
        return None
    ink[top : top + rows, left : left + columns] = line
    return COPPER


def _slot(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A long pad with a milled slot, or with a row of holes that run into each other."""
    radius = rng.uniform(9, 20)
    length = radius * rng.uniform(0.8, 2.5)
    centre = _place_in(board == LAMINATE, clear, length / 2 + radius + _CLEAR_PX, rng)
    if centre is None:
        return None
    angle = math.pi / 4 * int(rng.integers(4))
    dx, dy = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    ends = (centre[0] - dx, centre[1] - dy), (centre[0] + dx, centre[1] + dy)
    _line(ink, *ends, round(2 * radius))
    inside = radius * rng.uniform(0.35, 0.65)
    count = max(2, round(length / inside) + 1) if rng.random() < 0.5 else 0
    if count:
        for share in np.linspace(0, 1, count):
            x = ends[0][0] * (1 - share) + ends[1][0] * share
            y = ends[0][1] * (1 - share) + ends[1][1] * share
            _disc(ink, (x, y), inside, value=0)
    else:
        _line(ink, *ends, round(2 * inside), value=0)
    return COPPER


def _relief(board: Gray, clear: Gray, ink: Gray, rng: np.random.Generator) -> int | None:
    """A pad in an area of copper, held by spokes: arcs of laminate around it."""
    radius, width = rng.uniform(10, 26), int(rng.integers(3, 8))
    centre = _place_in(board == COPPER, clear, radius + width + _CLEAR_PX, rng)
    if centre is None:
        return None
    _disc(ink, centre, radius + width)
    _disc(ink, centre, radius, value=0)
    spokes = int(rng.choice([1, 2, 4]))
    turn = math.pi / 4 * int(rng.integers(4))
    for spoke in range(spokes):
        angle = turn + spoke * 2 * math.pi / spokes
        far = radius + width + 2
        end = (centre[0] + far * math.cos(angle), centre[1] + far * math.sin(angle))
        _line(ink, centre, end, int(rng.integers(5, 12)), value=0)
    if rng.random() < 0.4:
        _disc(ink, centre, radius * rng.uniform(0.3, 0.6))
    return LAMINATE


_LETTERS = "0123456789ABCDEFGHJKLMNPRSTUVXYZ+-"
FEATURES: tuple[Feature, ...] = (
    _pad_with_neck,
    _pad_with_neck,
    _pad_with_neck,
    _dumbbell,
    _dumbbell,
    _ring,
    _dot,
    _hole,
    _row_of_dots,
    _row_of_holes,
    _letters,
    _slot,
    _relief,
)
"""As often as they stand here."""


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


def _line(
    ink: Gray,
    start: tuple[float, float],
    end: tuple[float, float],
    width: int,
    *,
    value: int = 1,
) -> None:
    cv2.line(ink, _fixed(*start), _fixed(*end), value, width, shift=_SHIFT)


def _rectangle(ink: Gray, start: tuple[float, float], end: tuple[float, float]) -> None:
    cv2.rectangle(ink, _fixed(*start), _fixed(*end), 1, -1, shift=_SHIFT)
