"""Tracks between pads: where they may go, and that they go there."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.simulation.routing import Cell, cells_between, route


@st.composite
def boards(draw: st.DrawFn) -> tuple[np.ndarray, Cell, Cell]:
    """A grid with other nets on it, and two free cells."""
    rows, columns = draw(st.integers(1, 10)), draw(st.integers(1, 10))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    blocked = noise.random((rows, columns)) < draw(st.sampled_from([0, 0.1, 0.3]))
    ends = [(draw(st.integers(0, columns - 1)), draw(st.integers(0, rows - 1))) for _ in range(2)]
    for x, y in ends:
        blocked[y, x] = False
    return blocked, ends[0], ends[1]


@given(boards())
def test_a_track_goes_from_pad_to_pad_over_free_cells_only(board):
    blocked, start, goal = board
    corners = route(blocked, start, goal)
    if corners is None:
        assert blocked.any()
        return
    way = cells_between(corners)
    assert (way[0], way[-1]) == (start, goal)
    assert len(set(way)) == len(way), "it does not cross itself"
    for (x0, y0), (x1, y1) in itertools.pairwise(way):
        assert max(abs(x1 - x0), abs(y1 - y0)) == 1, "cell by cell"
        assert not blocked[y1, x1]
        assert not blocked[y0, x1]
        assert not blocked[y1, x0], "no corner is cut: two tracks would cross"


@given(boards())
def test_no_turn_of_a_track_is_sharper_than_a_right_angle(board):
    corners = route(*board)
    if corners is None:
        return
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(corners)]
    for (dx0, dy0), (dx1, dy1) in itertools.pairwise(steps):
        assert dx0 * dx1 + dy0 * dy1 >= 0
        assert dx0 * dy1 != dx1 * dy0, "a corner is where it turns"
    for dx, dy in steps:
        assert dx == 0 or dy == 0 or abs(dx) == abs(dy), "in steps of 45 degrees"


@given(boards())
def test_on_an_empty_board_the_way_is_as_short_as_it_can_be(board):
    blocked, start, goal = board
    corners = route(np.zeros_like(blocked), start, goal)
    assert corners is not None
    across = max(abs(goal[0] - start[0]), abs(goal[1] - start[1]))
    assert len(cells_between(corners)) == across + 1
