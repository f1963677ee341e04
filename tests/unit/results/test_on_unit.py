"""What was seen in a frame, moved onto the unit in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.geometry import frame_matrix, moved, upright_size_px
from inspector.core.places import Polygon
from inspector.core.records import Finding, Outline
from inspector.results.on_unit import on_unit
from tests.kit.findings import box_of, boxed, corners_of, of_the_whole, rhombus, shifted
from tests.kit.units_in_view import outlines

any_outline = outlines(centre_px=(0, 2000), side_px=(40, 900))
shares = st.floats(-0.5, 1.5)
"""Of the unit's width or height: 0 to 1 lies on it."""


def seen_at(x_px: float, y_px: float, half_px: float) -> Finding:
    return boxed(
        code_index=3,
        confidence=0.75,
        left_px=x_px - half_px,
        top_px=y_px - half_px,
        right_px=x_px + half_px,
        bottom_px=y_px + half_px,
    )


def at(outline: Outline, x_share: float, y_share: float, half_px: float) -> Finding:
    """Seen in the frame, at a place of the unit."""
    x_px, y_px = moved(
        frame_matrix(outline), x_share * outline.width_px, y_share * outline.height_px
    )
    return seen_at(x_px, y_px, half_px)


@given(any_outline, st.lists(st.tuples(shares, shares, st.floats(1, 60)), max_size=8))
def test_only_what_lies_on_the_unit_is_the_units_and_all_of_it(outline, places):
    frame = [replace(at(outline, *place), code_index=n) for n, place in enumerate(places)]
    found = on_unit(frame, outline)
    kept = [one.code_index for one in found]
    width_px, height_px = upright_size_px(outline)
    for number, (x_share, y_share, _) in enumerate(places):
        # A pixel at the edge is the rounding's.
        x_px, y_px = x_share * outline.width_px, y_share * outline.height_px
        if 0.5 < x_px < width_px - 0.5 and 0.5 < y_px < height_px - 0.5:
            assert number in kept
        elif not (-0.5 <= x_px <= width_px + 0.5 and -0.5 <= y_px <= height_px + 0.5):
            assert number not in kept
    assert kept == sorted(kept), "in the order they came"


@given(any_outline, st.lists(st.tuples(shares, shares, st.floats(1, 60)), max_size=8))
def test_what_is_told_lies_in_the_picture_of_the_unit_and_covers_something(outline, places):
    width_px, height_px = upright_size_px(outline)
    for one in on_unit([at(outline, *place) for place in places], outline):
        left_px, top_px, right_px, bottom_px = corners_of(one)
        assert 0 <= left_px < right_px <= width_px
        assert 0 <= top_px < bottom_px <= height_px
        assert (one.code_index, one.confidence) == (3, 0.75)


@given(any_outline, st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(1, 5))
def test_a_defect_stays_where_it_is_on_the_unit_however_the_unit_lies(
    outline, x_share, y_share, half_px
):
    (one,) = on_unit([at(outline, x_share, y_share, half_px)], outline)
    middle_px = box_of(one).middle_px
    expected_px = (x_share * outline.width_px, y_share * outline.height_px)
    assert middle_px == pytest.approx(expected_px, abs=1e-6)
    width_px = box_of(one).right_px - box_of(one).left_px
    assert 2 * half_px - 1e-6 <= width_px <= 2 * half_px * 2**0.5 + 1e-6, "it holds all of it"


@given(any_outline, st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.integers(-500, 500))
def test_a_unit_somewhere_else_in_the_frame_shows_the_same(outline, x_share, y_share, by_px):
    seen = at(outline, x_share, y_share, 10)
    elsewhere = replace(outline, centre_x_px=outline.centre_x_px + by_px)
    there = shifted(seen, by_px, 0)
    (one,), (other,) = on_unit([seen], outline), on_unit([there], elsewhere)
    assert corners_of(other) == pytest.approx(corners_of(one), abs=1e-6)


@given(any_outline, st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_a_shape_keeps_its_middle_and_its_area_however_the_unit_lies(outline, x_share, y_share):
    x_px, y_px = moved(
        frame_matrix(outline), x_share * outline.width_px, y_share * outline.height_px
    )
    (one,) = on_unit([rhombus(x_px, y_px, half_px=3)], outline)
    expected_px = (x_share * outline.width_px, y_share * outline.height_px)
    assert isinstance(one.place, Polygon)
    assert one.place.middle_px == pytest.approx(expected_px, abs=1e-6)
    assert one.place.area_px == pytest.approx(18, abs=1e-6)


@given(any_outline)
def test_a_shape_beside_the_unit_is_not_the_units_and_one_at_its_edge_is_cut(outline):
    width_px, height_px = upright_size_px(outline)
    matrix = frame_matrix(outline)
    beside = rhombus(*moved(matrix, -9, height_px / 2), half_px=6)
    at_edge = rhombus(*moved(matrix, 2, height_px / 2), half_px=8)
    (one,) = on_unit([beside, at_edge], outline)
    left_px, top_px, right_px, bottom_px = corners_of(one)
    assert 0 <= left_px < right_px <= width_px
    assert 0 <= top_px < bottom_px <= height_px
    assert isinstance(one.place, Polygon)
    assert one.place.area_px < 128


@given(any_outline)
def test_what_is_about_the_whole_unit_is_not_moved(outline):
    assert on_unit([of_the_whole()], outline) == (of_the_whole(),)
