"""Things on the belt are told apart by the gaps between them, square or slanted."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.triggers.presence.cells import Mask
from inspector.triggers.presence.spans import Gaps

COLUMNS = 160


def runs_of(mask: Mask, solid: Mask | None = None) -> list[tuple[int, int]]:
    gaps = Gaps(mask.shape[0], mask.shape[1], row_in_columns=1.0)
    return [(run.first, run.end) for run in gaps.runs(mask, mask if solid is None else solid)]


@st.composite
def masks(draw: st.DrawFn) -> tuple[Mask, Mask]:
    """Blocks, shadows and specks, anywhere; and the part of it that is no shadow."""
    rows, columns = draw(st.integers(6, 60)), draw(st.integers(20, COLUMNS))
    mask = np.zeros((rows, columns), np.bool_)
    for _ in range(draw(st.integers(0, 5))):
        first, end = sorted((draw(st.integers(0, columns)), draw(st.integers(0, columns))))
        top, bottom = sorted((draw(st.integers(0, rows)), draw(st.integers(0, rows))))
        mask[top:bottom, first:end] = True
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask ^= noise.random(mask.shape) < draw(st.sampled_from([0, 0.02, 0.2]))
    return mask, mask & (noise.random(mask.shape) >= draw(st.sampled_from([0, 0.1, 0.5])))


@given(masks())
def test_what_is_found_lies_in_the_view_in_order_and_apart(parts):
    mask, solid = parts
    at = 0
    for first, end in runs_of(mask, solid):
        assert at <= first < end <= mask.shape[1]
        assert mask[:, first:end].any()
        at = end


@given(masks())
def test_a_belt_that_runs_the_other_way_shows_the_same_things(parts):
    mask, solid = parts
    there = runs_of(mask, solid)
    columns = mask.shape[1]
    mirrored = runs_of(mask[:, ::-1].copy(), solid[:, ::-1].copy())
    assert there == [(columns - end, columns - first) for first, end in reversed(mirrored)]


@st.composite
def rows_of_boards(draw: st.DrawFn, *, narrowest_gap: int) -> list[tuple[int, int]]:
    """First column and the one past the last, of boards that lie apart."""
    boards: list[tuple[int, int]] = []
    at = 0
    while True:
        first = at + draw(st.integers(narrowest_gap, 40))
        end = first + draw(st.integers(8, 60))
        if end + narrowest_gap > COLUMNS:
            return boards
        boards.append((first, end))
        at = end


@given(
    boards=rows_of_boards(narrowest_gap=2),
    rows=st.integers(20, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_board_is_found_from_its_first_to_its_last_column_through_specks(boards, rows, seed):
    mask = np.zeros((rows, COLUMNS), np.bool_)
    for first, end in boards:
        mask[rows // 8 : rows - rows // 8, first:end] = True
    for column, row in enumerate(np.random.default_rng(seed).integers(0, rows, COLUMNS)):
        mask[row, column] ^= bool(column % 3 == 0)  # dirt, and holes in the boards
    assert runs_of(mask) == boards


def slanted(boards: list[tuple[int, int]], rows: int, slant_deg: float) -> tuple[Mask, float]:
    """A view of them, and how far their corners reach beyond where their middle ends."""
    mask = np.zeros((rows, COLUMNS), np.bool_)
    shift = math.tan(math.radians(slant_deg)) * (np.arange(rows) + 0.5 - rows / 2)
    for row in range(rows):
        for first, end in boards:
            mask[row, max(0, round(first + shift[row])) : round(end + shift[row])] = True
    return mask, float(np.abs(shift).max())


slants_deg = st.floats(-4, 4)


@given(rows_of_boards(narrowest_gap=12), st.integers(40, 120), slants_deg)
def test_boards_that_lie_a_little_slanted_are_found_with_their_corners(boards, rows, slant_deg):
    mask, reach = slanted(boards, rows, slant_deg)
    found = runs_of(mask)
    assert len(found) == len(boards)
    for (first, end), (found_first, found_end) in zip(boards, found, strict=True):
        assert first - reach - 1 <= found_first <= first - reach + 2
        assert end + reach - 2 <= found_end <= end + reach + 1


@given(rows_of_boards(narrowest_gap=4), st.integers(40, 120), slants_deg)
def test_boards_so_slanted_that_no_column_between_them_is_empty_are_as_many(
    boards, rows, slant_deg
):
    mask, _ = slanted(boards, rows, slant_deg)
    found = runs_of(mask)
    assert len(found) == len(boards)
    for (first, end), (found_first, found_end) in zip(boards, found, strict=True):
        assert found_first <= first + 2
        assert end - 2 <= found_end


@given(boards=rows_of_boards(narrowest_gap=6), shadow=st.integers(0, 6))
def test_a_shadow_beside_a_board_that_stands_out_is_not_the_board(boards, shadow):
    solid = np.zeros((40, COLUMNS), np.bool_)
    for first, end in boards:
        solid[4:36, first:end] = True
    mask = solid.copy()
    for _, end in boards:
        mask[4:36, end : end + shadow] = True
    if np.count_nonzero(solid) >= 0.8 * np.count_nonzero(mask):
        assert runs_of(mask, solid) == boards


@given(st.integers(6, 60))
def test_an_empty_belt_shows_nothing(rows):
    assert runs_of(np.zeros((rows, COLUMNS), np.bool_)) == []
