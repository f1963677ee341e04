from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inspector.core.geometry import Affine, back, fit, moved, on_picture, scaled_px, then, to_frame
from inspector.core.places import Box, Polygon
from inspector.core.records import CameraId, Frame, FrameRef, Image, Rect, Region

REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)


class NoLease:
    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def region(rect: Rect, width_px: int, height_px: int) -> Region:
    box = fit(rect, width_px=width_px, height_px=height_px)
    return Region(frame=Frame(ref=REF, lease=NoLease()), rect=rect, letterbox=box)


rects = st.builds(
    Rect, st.integers(0, 500), st.integers(0, 500), st.integers(16, 5000), st.integers(16, 5000)
)
sides = st.sampled_from([64, 320, 640, 1024])
shares = st.floats(0, 1)


@given(rects, sides, sides)
def test_a_region_lies_inside_the_input_centred_and_never_enlarged(
    rect: Rect, width_px: int, height_px: int
) -> None:
    box = fit(rect, width_px=width_px, height_px=height_px)
    wide, high = scaled_px(rect.width_px, box.scale), scaled_px(rect.height_px, box.scale)
    assert 0 < box.scale <= 1
    assert box.left_px >= 0
    assert box.top_px >= 0
    right_px, bottom_px = width_px - box.left_px - wide, height_px - box.top_px - high
    assert right_px - box.left_px in (0, 1)
    assert bottom_px - box.top_px in (0, 1)
    if box.scale < 1:
        assert wide == width_px or high == height_px


@given(rects, sides, sides, st.tuples(shares, shares, shares, shares))
def test_a_box_in_the_region_comes_back_to_where_it_was(
    rect: Rect, width_px: int, height_px: int, box_shares: tuple[float, float, float, float]
) -> None:
    x0, y0, x1, y1 = box_shares
    seen = region(rect, width_px, height_px)
    box = seen.letterbox
    # Beyond this a whole side is squeezed into a few pixels, and rounding is all that is left.
    assume(min(rect.width_px, rect.height_px) * box.scale >= 4)
    (left, right), (top, bottom) = sorted((x0, x1)), sorted((y0, y1))
    wide, high = scaled_px(rect.width_px, box.scale), scaled_px(rect.height_px, box.scale)
    corners = (
        box.left_px + left * wide,
        box.top_px + top * high,
        box.left_px + right * wide,
        box.top_px + bottom * high,
    )
    back = to_frame(corners, seen)
    expected = (
        rect.x_px + left * rect.width_px,
        rect.y_px + top * rect.height_px,
        rect.x_px + right * rect.width_px,
        rect.y_px + bottom * rect.height_px,
    )
    # Half a model pixel: what rounding the scaled side to whole pixels may move a corner.
    assert all(abs(a - b) <= 0.5 / box.scale + 1e-6 for a, b in zip(back, expected, strict=True))


corner = st.floats(-2000, 2000)


@given(rects, sides, st.tuples(corner, corner, corner, corner))
def test_no_box_reaches_beyond_its_region(
    rect: Rect, side_px: int, corners_px: tuple[float, float, float, float]
) -> None:
    left, top, right, bottom = to_frame(corners_px, region(rect, side_px, side_px))
    assert all(rect.x_px <= x <= rect.x_px + rect.width_px for x in (left, right))
    assert all(rect.y_px <= y <= rect.y_px + rect.height_px for y in (top, bottom))


@given(rects, sides, sides)
def test_a_region_that_may_be_enlarged_fills_the_input_in_one_direction(
    rect: Rect, width_px: int, height_px: int
) -> None:
    box = fit(rect, width_px=width_px, height_px=height_px, enlarges=True)
    wide, high = scaled_px(rect.width_px, box.scale), scaled_px(rect.height_px, box.scale)
    assert wide <= width_px
    assert high <= height_px
    assert wide == width_px or high == height_px
    assert min(box.left_px, box.top_px) >= 0


def test_a_known_letterbox() -> None:
    box = fit(Rect(0, 0, 1280, 720), width_px=640, height_px=640)
    assert (box.scale, box.left_px, box.top_px) == (0.5, 0, 140)
    seen = region(Rect(100, 50, 1280, 720), 640, 640)
    assert to_frame((10, 150, 20, 160), seen) == (120, 70, 140, 90)


numbers = st.floats(-3, 3)
matrices = st.builds(lambda *n: (n[:3], n[3:]), *[numbers] * 6)


@given(matrices, matrices, numbers, numbers)
def test_one_movement_then_another_is_both(
    first: Affine, second: Affine, x_px: float, y_px: float
) -> None:
    at_once = moved(then(first, second), x_px, y_px)
    assert np.allclose(at_once, moved(second, *moved(first, x_px, y_px)), atol=1e-9)


@given(matrices, numbers, numbers)
def test_the_way_back_leads_back(matrix: Affine, x_px: float, y_px: float) -> None:
    (a, b, _), (d, e, _) = matrix
    assume(abs(a * e - b * d) > 0.01)
    assert np.allclose(moved(back(matrix), *moved(matrix, x_px, y_px)), (x_px, y_px), atol=1e-6)


@given(st.integers(8, 900), st.integers(8, 900), st.integers(32, 640), st.integers(32, 640))
def test_a_stretched_region_fills_the_input_and_places_find_their_way_back(
    width: int, height: int, wide: int, high: int
) -> None:
    rect = Rect(30, 40, width, height)
    box = fit(rect, width_px=wide, height_px=high, stretches=True)
    assert (box.left_px, box.top_px) == (0, 0)
    assert box.scale * width == pytest.approx(wide)
    assert box.scale_down * height == pytest.approx(high)
    region = Region(frame=Frame(ref=REF, lease=NoLease()), rect=rect, letterbox=box)
    whole = on_picture(Box(left_px=0, top_px=0, right_px=wide, bottom_px=high), region)
    assert isinstance(whole, Box)
    assert (whole.left_px, whole.top_px) == (30, 40)
    assert (whole.right_px, whole.bottom_px) == pytest.approx((30 + width, 40 + height))
    corners = ((0, 0), (wide / 2, 0), (wide / 2, high))
    shape = on_picture(Polygon(points_px=corners), region)
    assert isinstance(shape, Polygon)
    assert shape.area_px == pytest.approx(width * height / 4)
