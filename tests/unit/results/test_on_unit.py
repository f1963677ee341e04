"""What was seen in a frame, moved onto the unit in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.geometry import (
    Affine,
    back,
    fit,
    frame_matrix,
    moved,
    then,
    upright_matrix,
    upright_size_px,
)
from inspector.core.places import Box, Polygon
from inspector.core.recipes import DIFFERENCES
from inspector.core.records import (
    CloseUp,
    Difference,
    Finding,
    Letterbox,
    Outline,
    Placed,
    Rect,
    Region,
)
from inspector.results.on_unit import DEFECT_WEIGHT, of_differences, of_region, on_unit
from tests.kit import compared_units as compared
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


LIES = Outline(centre_x_px=300, centre_y_px=240, width_px=320, height_px=300, turn_deg=20)
"""Turned by much: a box around a box that was turned would be larger by half."""


def region(outline: Outline | None, *, placed: Affine | None, on_reference: bool = True) -> Region:
    one = compared.frame(compared.board().picture, outline=outline)
    known = None if placed is None else Placed(likeness=1.0, shift_px=0.0, matrix=placed)
    rect = Rect(0, 0, compared.WIDTH_PX, compared.HEIGHT_PX)
    return Region(
        frame=replace(one, ref=replace(one.ref, placed=known)),
        rect=rect,
        letterbox=fit(rect, width_px=640, height_px=640),
        on_reference=on_reference,
    )


def test_what_was_seen_on_the_reference_lies_where_it_is_on_the_unit() -> None:
    # The outline is four pixels off, the registration is not.
    found = replace(LIES, centre_x_px=304)
    one = region(found, placed=upright_matrix(LIES))
    (seen,) = of_region([seen_at(100, 80, 10)], one)
    there = moved(upright_matrix(found), *moved(frame_matrix(LIES), 100, 80))
    assert box_of(seen).middle_px == pytest.approx(there)
    assert box_of(seen).right_px - box_of(seen).left_px == pytest.approx(20)
    assert box_of(seen).bottom_px - box_of(seen).top_px == pytest.approx(20)


def test_a_unit_that_is_larger_than_its_reference_has_larger_boxes() -> None:
    half = then(upright_matrix(LIES), ((0.5, 0, 0), (0, 0.5, 0)))
    (seen,) = of_region([seen_at(50, 40, 5)], region(LIES, placed=half))
    assert (box_of(seen).left_px, box_of(seen).top_px) == pytest.approx((90, 70))
    assert (box_of(seen).right_px, box_of(seen).bottom_px) == pytest.approx((110, 90))


def test_without_an_outline_it_lies_in_the_frame() -> None:
    moved_by: Affine = ((1.0, 0.0, -7.0), (0.0, 1.0, 3.0))
    (seen,) = of_region([seen_at(100, 80, 10)], region(None, placed=moved_by))
    assert (box_of(seen).left_px, box_of(seen).top_px) == pytest.approx((97, 67))
    assert (box_of(seen).right_px, box_of(seen).bottom_px) == pytest.approx((117, 87))


def test_what_lies_beside_the_unit_is_not_the_units_and_what_reaches_over_is_cut() -> None:
    beside = then(upright_matrix(LIES), ((1.0, 0.0, 20.0), (0.0, 1.0, 0.0)))
    one = region(LIES, placed=beside)
    assert not of_region([seen_at(10, 80, 5)], one)
    (cut,) = of_region([seen_at(25, 80, 10)], one)
    assert (box_of(cut).left_px, box_of(cut).right_px) == pytest.approx((0, 15))


def test_regions_that_are_not_on_a_reference_are_as_ever() -> None:
    seen = (seen_at(100, 80, 10),)
    upright = replace(region(LIES, placed=None, on_reference=False), upright=LIES)
    assert of_region(seen, upright) is seen
    assert of_region(seen, region(None, placed=None, on_reference=False)) is seen
    plain = of_region(seen, region(LIES, placed=None, on_reference=False))
    assert plain == on_unit(seen, LIES)


@given(any_outline, st.tuples(shares, shares))
def test_a_perfect_registration_changes_no_place(outline: Outline, place: tuple[float, float]):
    x_px, y_px = place[0] * outline.width_px, place[1] * outline.height_px
    one = region(outline, placed=upright_matrix(outline))
    width_px, height_px = upright_size_px(outline)
    seen = of_region([seen_at(x_px, y_px, 8)], one)
    if 1 < x_px < width_px - 1 and 1 < y_px < height_px - 1:
        (found,) = seen
        assert box_of(found).left_px == pytest.approx(max(0, x_px - 8), abs=1e-6)
        assert box_of(found).bottom_px == pytest.approx(min(height_px, y_px + 8), abs=1e-6)
    assert moved(back(upright_matrix(outline)), *moved(upright_matrix(outline), x_px, y_px)) == (
        pytest.approx((x_px, y_px), abs=1e-6)
    )


def test_a_shape_and_what_is_about_the_whole_come_back_too() -> None:
    one = region(LIES, placed=upright_matrix(LIES))
    shape, beside = rhombus(100, 80, half_px=6), rhombus(-9, 80, half_px=6)
    found = of_region([shape, beside, of_the_whole()], one)
    assert found[1:] == (of_the_whole(),)
    (seen, *_) = found
    assert isinstance(seen.place, Polygon)
    assert seen.place.middle_px == pytest.approx((100, 80))
    assert seen.place.area_px == pytest.approx(72)


def compared_region(differs_at: tuple[int, int] | None, *, rect: Rect | None = None) -> Region:
    """A region that differs from its reference in one cell (row, column), or nowhere."""
    one = region(LIES, placed=upright_matrix(LIES))
    part = rect or one.rect
    box = fit(part, width_px=640, height_px=640)
    cells = np.zeros((80, 80), bool)
    if differs_at is not None:
        cells[differs_at] = True
    return replace(one, rect=part, letterbox=box, differing=cells)


def test_what_is_as_on_the_reference_is_no_defect_however_sure_the_model_is() -> None:
    seen = replace(seen_at(100, 80, 10), confidence=0.99)
    assert of_region([seen], compared_region(None)) == ()
    box = fit(Rect(0, 0, compared.WIDTH_PX, compared.HEIGHT_PX), width_px=640, height_px=640)
    column, row = (
        int((at_px * box.scale + offset_px) // 8)
        for at_px, offset_px in ((100, box.left_px), (80, box.top_px))
    )
    assert len(of_region([seen], compared_region((row, column)))) == 1
    assert of_region([seen], compared_region((row, column + 4))) == ()
    assert of_region([seen], compared_region((row + 4, column))) == ()


def test_a_difference_is_looked_for_in_the_tile_that_the_region_is() -> None:
    # A tile of 200 by 200 pixels is not enlarged: its corner lies at 220, 220 of the input.
    tile = Rect(100, 60, 200, 200)
    seen = seen_at(150, 100, 10)
    row, column = (40 + 220) // 8, (50 + 220) // 8
    assert len(of_region([seen], compared_region((row, column), rect=tile))) == 1
    assert of_region([seen], compared_region((row, column + 4), rect=tile)) == ()


def test_shapes_are_asked_by_what_is_around_them_and_the_whole_unit_is_not_asked() -> None:
    whole = of_the_whole()
    assert of_region([rhombus(100, 80, 10), whole], compared_region(None)) == (whole,)


def close_up_region(*close_ups: CloseUp) -> Region:
    side_px = compared.INPUT.width_px
    one = region(LIES, placed=upright_matrix(LIES))
    return replace(
        one,
        rect=Rect(0, 0, side_px, side_px),
        letterbox=Letterbox(scale=1.0, left_px=0, top_px=0),
        close_ups=close_ups,
    )


def close_up(x_px: float, y_px: float, *, column: int = 0) -> CloseUp:
    """Of 64 pixels, twice as large; a difference of 6 pixels lies in its middle."""
    place = Box(left_px=x_px - 3, top_px=y_px - 3, right_px=x_px + 3, bottom_px=y_px + 3)
    return CloseUp(
        cell=Rect(64 * column, 0, 64, 64),
        middle_px=(x_px, y_px),
        enlarged=2.0,
        differences=(Difference(place=place, weight=9.0),),
    )


def test_what_a_close_up_shows_is_told_at_its_place_on_the_unit() -> None:
    shown = close_up_region(close_up(100, 80), close_up(200, 150, column=1))
    first, second = of_region([seen_at(32, 32, 6), seen_at(64 + 36, 30, 8)], shown)
    assert first.is_close_up
    assert second.is_close_up
    left, top, right, bottom = corners_of(first)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((100, 80))
    # 12 pixels are 6 of the reference, and a margin of 10 is 5 in a close-up of twice the size.
    assert (right - left, bottom - top) == pytest.approx((16, 16))
    left, top, right, bottom = corners_of(second)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((202, 149))


def test_of_a_close_up_only_what_lies_where_the_unit_differs_is_a_finding() -> None:
    shown = close_up_region(close_up(100, 80))
    assert of_region([seen_at(10, 10, 6)], shown) == ()
    assert of_region([seen_at(200, 32, 6)], shown) == (), "nothing is shown there"
    assert of_region([of_the_whole()], shown) == ()


def test_of_a_place_in_a_close_up_the_surest_finding_is_told() -> None:
    shown = close_up_region(close_up(100, 80))
    sure = replace(seen_at(32, 32, 8), code_index=1, confidence=0.9)
    (found,) = of_region([sure, replace(seen_at(33, 32, 7), confidence=0.7)], shown)
    assert (found.code_index, found.confidence) == (1, 0.9)


def test_what_differs_from_the_reference_is_a_finding_the_surer_the_heavier() -> None:
    one = region(LIES, placed=upright_matrix(LIES)).frame.ref
    assert one.placed is not None
    place = Box(left_px=97, top_px=77, right_px=103, bottom_px=83)
    differences = tuple(Difference(place=place, weight=w) for w in (DEFECT_WEIGHT, 30.0))
    ref = replace(one, placed=replace(one.placed, differences=differences))
    border, large = of_differences(ref, 6)
    assert (border.code_index, border.model) == (6, DIFFERENCES)
    assert border.confidence == pytest.approx(0.5)
    assert large.confidence == pytest.approx(0.75)
    assert border.box is not None
    assert border.box.middle_px == pytest.approx((100, 80))
    assert of_differences(replace(ref, placed=None), 6) == ()
