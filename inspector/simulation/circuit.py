"""Lays out the copper of one product: pads, pours, an edge connector, and tracks between them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.simulation.data_matrix import MODULES
from inspector.simulation.routing import Cell, cells_between, route

Mask = NDArray[np.uint8]
"""(height, width) uint8: 255 is copper, 0 is laminate."""

GRID_PX = 26
"""Distance of neighbouring tracks; with widths up to 14 px this leaves the gaps DeepPCB has."""
EDGE_PX = 30
"""No copper nearer to the board's edge: a crop of the board cuts no track."""
QUIET_MODULES = 2
_LABEL_PX = 5 * (MODULES + 2 * QUIET_MODULES)
"""Five pixels per module: readers like it, and the example model sees no defects in it."""
_TRACE_WIDTHS_PX = (8, 9, 10, 11, 12, 14)
_PAD_KINDS = ("round", "round", "square", "disc", "disc", "oblong", "ring")
_NOBODY = -1
_STREAM = 101


@dataclass(frozen=True, slots=True)
class Trace:
    """A straight piece of a track, in board pixels."""

    x0_px: float
    y0_px: float
    x1_px: float
    y1_px: float
    width_px: int

    @property
    def length_px(self) -> float:
        """Distance of its ends."""
        return math.hypot(self.x1_px - self.x0_px, self.y1_px - self.y0_px)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Circuit:
    """The copper of a product; shared between its boards, so its arrays are read-only."""

    copper: Mask
    tracks: tuple[Trace, ...]
    nets: NDArray[np.int32]
    """Number of the connected piece of copper at each pixel; 0 is laminate."""
    depth_px: NDArray[np.float32]
    """Inside copper: distance to its edge."""
    room_px: NDArray[np.float32]
    """On the laminate: distance to the nearest copper, label or edge of the board."""
    label_px: tuple[int, int, int, int]
    """x, y, width, height of the serial's label."""
    marks: tuple[tuple[float, float], ...] = ()
    """Places of the design that look like defects; a real one is never there."""


@dataclass(slots=True)
class _Layout:
    """What is where while a product is laid out; cells hold the number of their owner, or 0."""

    rng: np.random.Generator
    copper: Mask
    cells: NDArray[np.int32]
    origin_px: tuple[int, int]
    tracks: list[Trace] = field(default_factory=list)
    pads: list[Cell] = field(default_factory=list)
    joined: set[int] = field(default_factory=set)
    """Pads, by index, that already have a track."""
    holes: list[tuple[int, int, int]] = field(default_factory=list)
    """x, y, radius; drilled last, so that no track runs over one."""

    def centre_px(self, cell: Cell) -> tuple[int, int]:
        return self.origin_px[0] + cell[0] * GRID_PX, self.origin_px[1] + cell[1] * GRID_PX

    def is_free(self, left: int, top: int, right: int, bottom: int) -> bool:
        """Whether these cells, both ends included, are on the board and nobody's."""
        rows, columns = self.cells.shape
        if left < 0 or top < 0 or right >= columns or bottom >= rows:
            return False
        return not self.cells[top : bottom + 1, left : right + 1].any()

    def own(self, terminal: Cell, left: int, top: int, right: int, bottom: int) -> None:
        """Give these cells, as far as they are on the board, to a new pad."""
        self.pads.append(terminal)
        self.cells[max(0, top) : bottom + 1, max(0, left) : right + 1] = len(self.pads)


@lru_cache(maxsize=8)
def lay_out(seed: int, product: int, width_px: int, height_px: int) -> Circuit:
    """Return the circuit of a product; about 0.1 s once, then remembered. Any thread."""
    rng = np.random.default_rng([seed, _STREAM, product])
    columns = max(1, (width_px - 2 * EDGE_PX) // GRID_PX + 1)
    rows = max(1, (height_px - 2 * EDGE_PX) // GRID_PX + 1)
    layout = _Layout(
        rng=rng,
        copper=np.zeros((height_px, width_px), np.uint8),
        cells=np.zeros((rows, columns), np.int32),
        origin_px=(
            (width_px - (columns - 1) * GRID_PX) // 2,
            (height_px - (rows - 1) * GRID_PX) // 2,
        ),
    )
    label = _reserve_label(layout)
    for finger, pin in _add_connector(layout):
        _connect(layout, finger, pin, width_px=10)
    _add_pours(layout)
    _add_pads(layout)
    _add_tracks(layout)
    for x, y, radius in layout.holes:
        cv2.circle(layout.copper, (x, y), radius, 0, -1)
    return describe(_roughen(layout.copper, rng), tuple(layout.tracks), label)


def _reserve_label(layout: _Layout) -> tuple[int, int, int, int]:
    """Keep the top left corner free; a board too small for a label has one of no size."""
    rows, columns = layout.cells.shape
    cells = _LABEL_PX // GRID_PX + 2
    if min(rows, columns) < 3 * cells:
        return (0, 0, 0, 0)
    layout.cells[:cells, :cells] = _NOBODY
    left, top = layout.centre_px((0, 0))
    return (left - 10, top - 10, _LABEL_PX, _LABEL_PX)


def _add_connector(layout: _Layout) -> list[tuple[int, int]]:
    """Contacts along the bottom and a row of pins above; returns the pads to join, in order."""
    rows, columns = layout.cells.shape
    if rows < 14 or columns < 20:  # noqa: PLR2004 - a small board has no room for a connector
        return []
    count = 8
    first = int(layout.rng.integers(1, columns - count - 1))
    pins = int(layout.rng.integers(1, columns - 2 * count))
    pin_row = int(layout.rng.integers(rows // 3, rows // 2))
    bottom = layout.centre_px((0, rows - 1))[1]
    bus = []
    for index in range(count):
        finger, pin = (first + index, rows - 3), (pins + 2 * index, pin_row)
        x, y = layout.centre_px(finger)
        cv2.rectangle(layout.copper, (x - 8, y), (x + 8, bottom), 255, -1)
        layout.own(finger, finger[0], rows - 3, finger[0], rows)
        _draw_pad(layout, pin, "square" if index == 0 else "round")
        bus.append((len(layout.pads) - 2, len(layout.pads) - 1))
    # From the side towards which the pins lie, so that no track bars the way of the next.
    return bus if pins + count < first + count // 2 else bus[::-1]


def _add_pours(layout: _Layout) -> None:
    rows, columns = layout.cells.shape
    for _ in range(max(1, rows * columns // 180)):
        wide, high = int(layout.rng.integers(3, 8)), int(layout.rng.integers(3, 6))
        for _try in range(30):
            x = int(layout.rng.integers(0, max(1, columns - wide)))
            y = int(layout.rng.integers(0, max(1, rows - high)))
            if layout.is_free(x, y, x + wide, y + high):
                _pour(layout, x, y, wide, high)
                break


def _pour(layout: _Layout, x: int, y: int, wide: int, high: int) -> None:
    """A plane with cut corners and a few drilled holes."""
    (left, top), (right, bottom) = layout.centre_px((x, y)), layout.centre_px((x + wide, y + high))
    left, top, right, bottom = left + 4, top + 4, right - 4, bottom - 4
    cut = int(layout.rng.integers(12, 30))
    outline = [(left + cut, top), (right, top), (right, bottom - cut), (right - cut, bottom)]
    outline += [(left, bottom), (left, top + cut)]
    cv2.fillPoly(layout.copper, [np.array(outline, np.int32)], 255)
    layout.own((x + wide // 2, y + high // 2), x, y, x + wide, y + high)
    for hole_x in range(x + 1, x + wide, 3):
        hole_y = y + 1 + int(layout.rng.integers(0, max(1, high - 1)))
        radius = int(layout.rng.choice((9, 11, 13)))
        layout.holes.append((*layout.centre_px((hole_x, hole_y)), radius))


def _add_pads(layout: _Layout) -> None:
    rows, columns = layout.cells.shape
    for _ in range(rows * columns * 2):
        x, y = int(layout.rng.integers(0, columns)), int(layout.rng.integers(0, rows))
        kind = str(layout.rng.choice(_PAD_KINDS))
        reach = 2 if kind == "ring" else 1
        if not layout.is_free(x, y, x, y) or len(layout.pads) > rows * columns // 9:
            continue
        around = layout.cells[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        inside = reach <= x < columns - reach and reach <= y < rows - reach
        if not around.any() and (inside or kind != "ring"):
            _draw_pad(layout, (x, y), kind)


def _draw_pad(layout: _Layout, cell: Cell, kind: str) -> None:
    (column, row), (x, y) = cell, layout.centre_px(cell)
    half = int(layout.rng.integers(17, 20))
    hole = int(layout.rng.integers(8, 10))
    # The four neighbours are the pad's too: no other track comes close.
    layout.own(cell, column - 1, row, column + 1, row)
    layout.cells[max(0, row - 1) : row + 2, column] = len(layout.pads)
    if kind == "oblong":
        wide, high = (half, 9) if layout.rng.random() < 0.5 else (9, half)  # noqa: PLR2004
        cv2.rectangle(layout.copper, (x - wide, y - high), (x + wide, y + high), 255, -1)
    elif kind == "square":
        cv2.rectangle(layout.copper, (x - half, y - half), (x + half, y + half), 255, -1)
    elif kind == "ring":
        half, hole = 30, 13
        layout.cells[row - 1 : row + 2, column - 1 : column + 2] = len(layout.pads)
        cv2.circle(layout.copper, (x, y), half, 255, -1)
    else:
        half = 13 if kind == "disc" else half
        cv2.circle(layout.copper, (x, y), half, 255, -1)
    if kind not in {"disc", "oblong"}:
        layout.holes.append((x, y, hole))


def _add_tracks(layout: _Layout) -> None:
    """Connect each pad to one not connected yet; what finds no way stays alone."""
    lonely = [pad for pad in range(len(layout.pads)) if pad not in layout.joined]
    layout.rng.shuffle(lonely)
    while len(lonely) > 1:
        first = lonely.pop(0)
        for second in sorted(lonely, key=lambda pad: _dullness(layout, first, pad))[:8]:
            width = int(layout.rng.choice(_TRACE_WIDTHS_PX))
            if _connect(layout, first, second, width_px=width):
                lonely.remove(second)
                break


def _dullness(layout: _Layout, first: int, second: int) -> int:
    """Order in which partners are tried: about six cells away is best."""
    (x0, y0), (x1, y1) = layout.pads[first], layout.pads[second]
    return abs(max(abs(x1 - x0), abs(y1 - y0)) - 6)


def _connect(layout: _Layout, first: int, second: int, *, width_px: int) -> bool:
    owners = (0, first + 1, second + 1)
    corners = route(~np.isin(layout.cells, owners), layout.pads[first], layout.pads[second])
    if corners is None:
        return False
    layout.joined |= {first, second}
    points = [layout.centre_px(cell) for cell in corners]
    for start, end in itertools.pairwise(points):
        cv2.line(layout.copper, start, end, 255, width_px)
        layout.tracks.append(Trace(*start, *end, width_px))
    for x, y in cells_between(corners):
        layout.cells[y, x] = first + 1
    return True


def _roughen(copper: Mask, rng: np.random.Generator) -> Mask:
    """Give edges the slight unevenness of etched copper."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, copper.shape).astype(np.float32), (0, 0), 1.6)
    soft = cv2.GaussianBlur(copper.astype(np.float32), (0, 0), 1.2) + noise * 90
    return np.where(soft > 127, 255, 0).astype(np.uint8)  # noqa: PLR2004


def describe(
    copper: Mask, tracks: tuple[Trace, ...], label_px: tuple[int, int, int, int]
) -> Circuit:
    """Return the circuit that this copper is."""
    _, nets = cv2.connectedComponents(copper)
    taken = copper.copy()
    x, y, width, height = label_px
    taken[y : y + height, x : x + width] = 255
    cv2.rectangle(taken, (0, 0), (taken.shape[1] - 1, taken.shape[0] - 1), 255, 1)
    circuit = Circuit(
        copper=copper,
        tracks=tracks,
        nets=nets.astype(np.int32),
        depth_px=cv2.distanceTransform(copper, cv2.DIST_L2, 5).astype(np.float32),
        room_px=cv2.distanceTransform(255 - taken, cv2.DIST_L2, 5).astype(np.float32),
        label_px=label_px,
    )
    for array in (circuit.copper, circuit.nets, circuit.depth_px, circuit.room_px):
        array.flags.writeable = False
    return circuit
