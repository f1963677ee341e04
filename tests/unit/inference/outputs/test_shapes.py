from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.places import Polygon
from inspector.inference.outputs.shapes import outline_of, parts_of


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
def test_the_outline_of_a_rectangle_runs_along_the_edges_of_its_pixels(
    left: int, top: int, wide: int, high: int
) -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[top : top + high, left : left + wide] = True
    outline = outline_of(mask)
    assert outline is not None
    polygon = Polygon(points_px=tuple((x, y) for x, y in outline.tolist()))
    assert polygon.area_px == wide * high
    box = polygon.around
    assert (box.left_px, box.top_px) == (left, top)
    assert (box.right_px, box.bottom_px) == (left + wide, top + high)


@given(st.floats(4, 18), st.floats(4, 18), st.floats(0, np.pi))
def test_the_outline_of_any_shape_encloses_about_as_much_as_the_shape(
    long: float, short: float, turn: float
) -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    mask = (along / long) ** 2 + (across / short) ** 2 <= 1
    outline = outline_of(mask)
    assert outline is not None
    area = Polygon(points_px=tuple((a, b) for a, b in outline.tolist())).area_px
    way_around = 2 * np.pi * max(long, short)
    assert abs(area - mask.sum()) <= 0.75 * way_around
    assert len(outline) <= 64


def test_an_empty_mask_has_no_outline_and_of_two_parts_the_larger_one_counts() -> None:
    mask = np.zeros((20, 20), np.bool_)
    assert outline_of(mask) is None
    mask[2:4, 2:4] = mask[10:16, 10:16] = True
    outline = outline_of(mask)
    assert outline is not None
    assert outline.min() == 10


def test_parts_come_the_largest_first_and_no_more_than_asked_for() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[0:2, 0:2] = mask[5:9, 5:9] = mask[12:15, 12:15] = True
    sizes = [int(part.sum()) for _rows, _columns, part in parts_of(mask, at_most=2)]
    assert sizes == [16, 9]
    rows, columns, part = parts_of(mask, at_most=1)[0]
    assert (rows, columns) == (slice(5, 9), slice(5, 9))
    assert part.all()
