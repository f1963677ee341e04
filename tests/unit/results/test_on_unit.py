"""What was seen in a frame, moved onto the unit in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.geometry import frame_matrix, moved, upright_size_px
from inspector.core.records import Detection, Outline
from inspector.results.on_unit import on_unit
from tests.kit.units_in_view import outlines

any_outline = outlines(centre_px=(0, 2000), side_px=(40, 900))
shares = st.floats(-0.5, 1.5)
"""Of the unit's width or height: 0 to 1 lies on it."""


def seen_at(x_px: float, y_px: float, half_px: float) -> Detection:
    return Detection(
        class_index=3,
        confidence=0.75,
        left_px=x_px - half_px,
        top_px=y_px - half_px,
        right_px=x_px + half_px,
        bottom_px=y_px + half_px,
    )


def at(outline: Outline, x_share: float, y_share: float, half_px: float) -> Detection:
    """Seen in the frame, at a place of the unit."""
    x_px, y_px = moved(
        frame_matrix(outline), x_share * outline.width_px, y_share * outline.height_px
    )
    return seen_at(x_px, y_px, half_px)


@given(any_outline, st.lists(st.tuples(shares, shares, st.floats(1, 60)), max_size=8))
def test_only_what_lies_on_the_unit_is_the_units_and_all_of_it(outline, places):
    frame = [replace(at(outline, *place), class_index=n) for n, place in enumerate(places)]
    found = on_unit(frame, outline)
    kept = [one.class_index for one in found]
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
        assert 0 <= one.left_px < one.right_px <= width_px
        assert 0 <= one.top_px < one.bottom_px <= height_px
        assert (one.class_index, one.confidence) == (3, 0.75)


@given(any_outline, st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(1, 5))
def test_a_defect_stays_where_it_is_on_the_unit_however_the_unit_lies(
    outline, x_share, y_share, half_px
):
    (one,) = on_unit([at(outline, x_share, y_share, half_px)], outline)
    middle_px = ((one.left_px + one.right_px) / 2, (one.top_px + one.bottom_px) / 2)
    expected_px = (x_share * outline.width_px, y_share * outline.height_px)
    assert middle_px == pytest.approx(expected_px, abs=1e-6)
    width_px = one.right_px - one.left_px
    assert 2 * half_px - 1e-6 <= width_px <= 2 * half_px * 2**0.5 + 1e-6, "it holds all of it"


@given(any_outline, st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.integers(-500, 500))
def test_a_unit_somewhere_else_in_the_frame_shows_the_same(outline, x_share, y_share, by_px):
    seen = at(outline, x_share, y_share, 10)
    elsewhere = replace(outline, centre_x_px=outline.centre_x_px + by_px)
    there = replace(seen, left_px=seen.left_px + by_px, right_px=seen.right_px + by_px)
    (one,), (other,) = on_unit([seen], outline), on_unit([there], elsewhere)
    corners = (one.left_px, one.top_px, one.right_px, one.bottom_px)
    assert (other.left_px, other.top_px, other.right_px, other.bottom_px) == pytest.approx(
        corners, abs=1e-6
    )
