"""Between a frame and the upright picture of a unit in it."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.geometry import (
    frame_matrix,
    moved,
    outline_box_px,
    upright_matrix,
    upright_size_px,
)
from inspector.core.records import Outline
from inspector.evidence.upright import cut_upright

sizes = st.floats(1, 3000)
places = st.floats(-3000, 3000)
outlines = st.builds(
    Outline,
    centre_x_px=places,
    centre_y_px=places,
    width_px=sizes,
    height_px=sizes,
    turn_deg=st.floats(-45, 45),
)


def corners_px(outline: Outline) -> list[tuple[float, float]]:
    back = frame_matrix(outline)
    return [moved(back, x, y) for x in (0, outline.width_px) for y in (0, outline.height_px)]


@given(outlines, places, places)
def test_a_point_comes_back_to_where_it_was(outline: Outline, x_px: float, y_px: float) -> None:
    back = moved(frame_matrix(outline), *moved(upright_matrix(outline), x_px, y_px))
    assert np.allclose(back, (x_px, y_px), atol=1e-6)


@given(outlines)
def test_the_outlines_centre_is_the_middle_of_the_picture(outline: Outline) -> None:
    middle = moved(upright_matrix(outline), outline.centre_x_px, outline.centre_y_px)
    assert np.allclose(middle, (outline.width_px / 2, outline.height_px / 2), atol=1e-6)


@given(outlines)
def test_the_box_around_an_outline_touches_all_its_sides(outline: Outline) -> None:
    left, top, right, bottom = outline_box_px(outline)
    xs, ys = zip(*corners_px(outline), strict=True)
    assert np.allclose((left, top, right, bottom), (min(xs), min(ys), max(xs), max(ys)), atol=1e-6)


def test_a_positive_turn_is_clockwise_as_seen() -> None:
    outline = Outline(centre_x_px=50, centre_y_px=50, width_px=40, height_px=20, turn_deg=30)
    right_edge = moved(frame_matrix(outline), 40, 10)
    assert right_edge[0] > 50
    assert right_edge[1] > 50, "the right edge of a unit turned clockwise lies lower"


def test_an_unturned_unit_on_whole_pixels_is_cut_out_exactly() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (80, 120, 3), np.uint8)
    outline = Outline(centre_x_px=50, centre_y_px=35, width_px=60, height_px=30, turn_deg=0)
    assert np.array_equal(cut_upright(frame, outline), frame[20:50, 20:80])


def test_the_picture_is_as_large_as_the_outline_and_its_own_memory() -> None:
    outline = Outline(centre_x_px=50, centre_y_px=35, width_px=60.6, height_px=0.2, turn_deg=3)
    picture = cut_upright(np.zeros((80, 120, 3), np.uint8), outline)
    assert upright_size_px(outline) == (61, 1)
    assert picture.shape == (1, 61, 3)
    assert picture.flags.owndata


def test_what_was_not_in_the_frame_is_black() -> None:
    outline = Outline(centre_x_px=0, centre_y_px=40, width_px=40, height_px=20, turn_deg=0)
    picture = cut_upright(np.full((80, 120, 3), 200, np.uint8), outline)
    assert (picture[:, :19] == 0).all()
    assert (picture[:, 21:] == 200).all()


@given(st.floats(-45, 45), st.floats(140, 180), st.floats(140, 180))
def test_a_mark_on_a_turned_unit_is_found_where_the_matrix_says(
    turn_deg: float, centre_x_px: float, centre_y_px: float
) -> None:
    outline = Outline(
        centre_x_px=centre_x_px,
        centre_y_px=centre_y_px,
        width_px=200,
        height_px=120,
        turn_deg=turn_deg,
    )
    frame = np.zeros((320, 320, 3), np.uint8)
    mark = moved(frame_matrix(outline), 60.0, 30.0)
    shift = 8
    centre = tuple(round((value - 0.5) * (1 << shift)) for value in mark)
    cv2.circle(frame, centre, 6 << shift, (255, 255, 255), -1, cv2.LINE_AA, shift)
    rows, columns = np.indices((120, 200))
    weight = cut_upright(frame, outline)[..., 0].astype(float)
    found = ((columns + 0.5) * weight).sum(), ((rows + 0.5) * weight).sum()
    assert np.allclose(np.array(found) / weight.sum(), (60, 30), atol=0.1)
