from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.geometry import encloses, on_picture
from inspector.core.places import WHOLE_UNIT, Box, Point, Polygon, clipped, hull
from inspector.core.records import Letterbox, Rect, Region

L_SHAPE = ((0.0, 0.0), (6.0, 0.0), (6.0, 2.0), (2.0, 2.0), (2.0, 4.0), (0.0, 4.0))
points = st.tuples(st.integers(-50, 50).map(float), st.integers(-50, 50).map(float))


def square(left: float, top: float, side: float) -> Box:
    return Box(left_px=left, top_px=top, right_px=left + side, bottom_px=top + side)


@st.composite
def round_shapes(draw: st.DrawFn) -> tuple[Point, ...]:
    """Without dents: corners on a circle, in order."""
    x, y, radius = draw(st.floats(-40, 40)), draw(st.floats(-40, 40)), draw(st.floats(5, 30))
    turns = sorted(draw(st.sets(st.integers(0, 35), min_size=3, max_size=12)))
    return tuple(
        (x + radius * math.cos(turn / 18 * math.pi), y + radius * math.sin(turn / 18 * math.pi))
        for turn in turns
    )


def test_a_shape_has_an_area_a_middle_and_a_box_whichever_way_round_it_is_told() -> None:
    for told in (L_SHAPE, L_SHAPE[::-1]):
        shape = Polygon(points_px=told)
        assert shape.area_px == 16
        assert shape.around == Box(left_px=0, top_px=0, right_px=6, bottom_px=4)
        assert shape.middle_px == pytest.approx((2.5, 1.5))


def test_a_box_that_clipping_left_behind_has_no_area() -> None:
    assert Box(left_px=5, top_px=5, right_px=3, bottom_px=9).area_px == 0


def test_a_line_is_no_area_and_its_middle_is_that_of_its_box() -> None:
    line = Polygon(points_px=((0, 0), (4, 4), (8, 8)))
    assert line.area_px == 0
    assert line.middle_px == (4, 4)


@given(round_shapes(), st.floats(-60, 40), st.floats(-60, 40), st.floats(1, 80))
def test_what_is_clipped_lies_in_both_and_all_that_does_is_kept(
    shape: tuple[Point, ...], left: float, top: float, side: float
) -> None:
    limits = square(left, top, side)
    kept = clipped(shape, limits)
    for x, y in kept:
        assert limits.left_px <= x <= limits.right_px
        assert limits.top_px <= y <= limits.bottom_px
    # On a grid of places: in the clipped shape exactly where in the shape and in the box.
    inside = [
        (px, py)
        for px in range(-80, 121, 3)
        for py in range(-80, 121, 3)
        if encloses(shape, px + 0.37, py + 0.61)
        and limits.left_px + 0.01 < px + 0.37 < limits.right_px - 0.01
        and limits.top_px + 0.01 < py + 0.61 < limits.bottom_px - 0.01
    ]
    for px, py in inside:
        assert len(kept) >= 3
        assert encloses(kept, px + 0.37, py + 0.61)
    if len(kept) >= 3:
        area = Polygon(points_px=kept).area_px
        assert area <= min(limits.area_px, Polygon(points_px=shape).area_px) * (1 + 1e-9)


@given(st.lists(points, max_size=20))
def test_a_hull_holds_every_point_and_has_no_dent(some: list[Point]) -> None:
    around = hull(some)
    assert set(around) <= set(some)
    if len(around) < 3:
        return
    for (ax, ay), (bx, by) in zip(around, (*around[1:], around[0]), strict=True):
        for px, py in some:
            assert (bx - ax) * (py - ay) - (by - ay) * (px - ax) >= -1e-9


REGION = Region(
    frame=None,  # type: ignore[arg-type] # only where it lies is asked
    rect=Rect(20, 10, 128, 64),
    letterbox=Letterbox(scale=0.5, left_px=0, top_px=16),
)


def test_a_shape_is_moved_to_the_picture_as_a_box_is_and_clipped_to_its_region() -> None:
    box = Box(left_px=10, top_px=20, right_px=20, bottom_px=30)
    assert on_picture(box, REGION) == Box(left_px=40, top_px=18, right_px=60, bottom_px=38)
    rhombus = Polygon(points_px=((15, 20), (20, 25), (15, 30), (10, 25)))
    moved = on_picture(rhombus, REGION)
    assert isinstance(moved, Polygon)
    assert moved.around == on_picture(box, REGION)
    assert moved.area_px == 4 * rhombus.area_px
    half_out = Polygon(points_px=((60, 20), (70, 20), (70, 30), (60, 30)))
    clipped_away = on_picture(half_out, REGION)
    assert isinstance(clipped_away, Polygon)
    assert clipped_away.around == Box(left_px=140, top_px=18, right_px=148, bottom_px=38)


def test_what_lies_in_the_padding_is_nowhere_and_the_whole_unit_is_everywhere() -> None:
    padding = Box(left_px=10, top_px=2, right_px=20, bottom_px=9)
    assert on_picture(padding, REGION) is None
    assert on_picture(Polygon(points_px=padding.corners_px), REGION) is None
    assert on_picture(WHOLE_UNIT, REGION) is WHOLE_UNIT
