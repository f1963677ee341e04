"""Routes a track between two pads on a coarse grid, in steps of 45 degrees."""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int]
"""(column, row) of the grid."""

# Counter-clockwise from east, so that the difference of two indices is the turn in 45 degrees.
_STEPS: tuple[Cell, ...] = (
    (1, 0),
    (1, 1),
    (0, 1),
    (-1, 1),
    (-1, 0),
    (-1, -1),
    (0, -1),
    (1, -1),
)
_TURN_COST = (0.0, 0.5, 2.5)
"""By turn in 45 degrees; sharper turns are not made, as in real layouts."""


def route(blocked: NDArray[np.bool_], start: Cell, goal: Cell) -> tuple[Cell, ...] | None:
    """Return the corners of the cheapest way from `start` to `goal`, or None.

    `blocked` is (rows, columns) and true where another net is. A diagonal step passes only
    where both cells beside it are free, so that two tracks never cross.
    """
    rows, columns = blocked.shape
    came_from: dict[tuple[Cell, int], tuple[Cell, int]] = {}
    cost: dict[tuple[Cell, int], float] = {(start, -1): 0.0}
    queue: list[tuple[float, Cell, int]] = [(_octile(start, goal), start, -1)]
    while queue:
        _, cell, heading = heapq.heappop(queue)
        if cell == goal:
            return _corners(came_from, (cell, heading))
        for turned, (dx, dy) in enumerate(_STEPS):
            turn = 0 if heading < 0 else min((turned - heading) % 8, (heading - turned) % 8)
            x, y = cell[0] + dx, cell[1] + dy
            if turn >= len(_TURN_COST) or not (0 <= x < columns and 0 <= y < rows):
                continue
            if blocked[y, x] or (dx and dy and (blocked[cell[1], x] or blocked[y, cell[0]])):
                continue
            reached = cost[cell, heading] + math.hypot(dx, dy) + _TURN_COST[turn]
            if reached < cost.get(((x, y), turned), math.inf):
                cost[(x, y), turned] = reached
                came_from[(x, y), turned] = (cell, heading)
                heapq.heappush(queue, (reached + _octile((x, y), goal), (x, y), turned))
    return None


def cells_between(corners: tuple[Cell, ...]) -> list[Cell]:
    """Every cell on the way through `corners`, both ends included."""
    cells = [corners[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        length = max(abs(x1 - x0), abs(y1 - y0))
        dx, dy = (x1 - x0) // length, (y1 - y0) // length
        cells += [(x0 + dx * step, y0 + dy * step) for step in range(1, length + 1)]
    return cells


def _octile(cell: Cell, goal: Cell) -> float:
    dx, dy = abs(cell[0] - goal[0]), abs(cell[1] - goal[1])
    return max(dx, dy) + (math.sqrt(2) - 1) * min(dx, dy)


def _corners(
    came_from: dict[tuple[Cell, int], tuple[Cell, int]], last: tuple[Cell, int]
) -> tuple[Cell, ...]:
    corners = [last[0]]
    state = last
    while state in came_from:
        before = came_from[state]
        if before[1] != state[1]:
            corners.append(before[0])
        state = before
    return tuple(reversed(corners))
