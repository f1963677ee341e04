"""Which places of a unit are shown to the model once more, enlarged."""

from __future__ import annotations

from inspector.batching.close_ups import CELLS, ENLARGED, LEAST_WEIGHT, close_ups_of
from inspector.core.places import Box
from inspector.core.records import Difference, Rect
from tests.kit.compared_units import INPUT


def difference(x_px: float, y_px: float, *, weight: float = 9.0, side_px: float = 6) -> Difference:
    half = side_px / 2
    place = Box(
        left_px=x_px - half, top_px=y_px - half, right_px=x_px + half, bottom_px=y_px + half
    )
    return Difference(place=place, weight=weight)


def test_each_difference_is_the_middle_of_a_cell_the_largest_first() -> None:
    small, large = difference(40, 60, weight=5), difference(200, 90, weight=50)
    first, second = close_ups_of([small, large], INPUT)
    side_px = INPUT.width_px // CELLS
    assert (first.middle_px, first.cell) == ((200, 90), Rect(0, 0, side_px, side_px))
    assert (second.middle_px, second.cell) == ((40, 60), Rect(side_px, 0, side_px, side_px))
    assert first.differences == (large,)
    assert first.enlarged == ENLARGED


def test_what_is_as_small_as_dust_is_not_shown() -> None:
    dust = difference(40, 60, weight=LEAST_WEIGHT - 0.1)
    assert close_ups_of([dust], INPUT) == ()
    assert len(close_ups_of([dust, difference(90, 90)], INPUT)) == 1


def test_neighbours_share_a_cell() -> None:
    near, far = difference(105, 100, weight=5), difference(140, 100, weight=4)
    first, second = close_ups_of([difference(100, 100), near, far], INPUT)
    assert near in first.differences
    assert second.differences == (far,)


def test_a_large_difference_is_enlarged_less_so_that_its_surroundings_are_seen() -> None:
    (large,) = close_ups_of([difference(100, 100, side_px=30)], INPUT)
    assert 1 < large.enlarged < ENLARGED
    (huge,) = close_ups_of([difference(100, 100, side_px=300)], INPUT)
    assert huge.enlarged == 1


def test_what_has_no_room_is_left_out_and_cells_lie_beside_each_other() -> None:
    many = [difference(50 * n, 10, weight=100 - n) for n in range(30)]
    shown = close_ups_of(many, INPUT)
    assert len(shown) == CELLS * CELLS
    assert [one.differences for one in shown] == [(one,) for one in many[: CELLS * CELLS]]
    corners = {(one.cell.x_px, one.cell.y_px) for one in shown}
    assert len(corners) == CELLS * CELLS
    assert all(one.cell.x_px + one.cell.width_px <= INPUT.width_px for one in shown)
    assert all(one.cell.y_px + one.cell.height_px <= INPUT.height_px for one in shown)
