"""Boxes compared with boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import Finding
from inspector.results.boxes import areas, content, corners_of, overlaps, shared_areas
from tests.kit.findings import box_of, boxed, shifted

pixels = st.floats(-50, 5000)
sizes_px = st.floats(0.01, 500)


@st.composite
def detections(draw: st.DrawFn) -> Finding:
    left_px, top_px = draw(pixels), draw(pixels)
    return boxed(
        code_index=draw(st.integers(0, 5)),
        confidence=draw(st.floats(0, 1)),
        left_px=left_px,
        top_px=top_px,
        right_px=left_px + draw(sizes_px),
        bottom_px=top_px + draw(sizes_px),
    )


@st.composite
def near_each_other(draw: st.DrawFn) -> list[Finding]:
    """Some of which overlap."""
    first = draw(detections())
    found = [first]
    for right_px, down_px in draw(st.lists(st.tuples(st.floats(-300, 300), st.floats(-300, 300)))):
        found.append(shifted(first, right_px, down_px))
    return [*found, *draw(st.lists(detections(), max_size=5))]


@given(near_each_other())
def test_an_overlap_is_a_share_the_same_from_both_sides_and_whole_with_itself(found):
    boxes = corners_of(found)
    table = np.array([overlaps(box, boxes) for box in boxes])
    assert ((table >= 0) & (table <= 1 + 1e-9)).all()
    assert table == pytest.approx(table.T, abs=1e-9)
    assert np.diag(table) == pytest.approx(1)


@given(near_each_other())
def test_what_two_share_is_in_both_and_no_more_than_either(found):
    boxes = corners_of(found)
    for box in boxes:
        shared = shared_areas(box, boxes)
        assert (shared <= np.minimum(areas(boxes), areas(box[None])) * (1 + 1e-9)).all()
        apart = (
            (boxes[:, 0] >= box[2])
            | (boxes[:, 2] <= box[0])
            | (boxes[:, 1] >= box[3])
            | (boxes[:, 3] <= box[1])
        )
        assert ((shared == 0) == apart).all()


@given(near_each_other(), st.integers(-2000, 2000), st.integers(-2000, 2000))
def test_where_in_the_picture_boxes_lie_does_not_change_their_overlap(found, right_px, down_px):
    there = corners_of(found)
    elsewhere = corners_of([shifted(one, right_px, down_px) for one in found])
    before, after = overlaps(there[0], there), overlaps(elsewhere[0], elsewhere)
    assert before == pytest.approx(after, abs=1e-4)


@given(detections(), st.floats(0, 1000), st.floats(0, 1000))
def test_a_box_that_clipping_left_behind_shares_nothing(one, beyond_x_px, beyond_y_px):
    box = box_of(one)
    behind = replace(box, right_px=box.left_px - beyond_x_px, bottom_px=box.top_px - beyond_y_px)
    left_behind = replace(one, place=behind)
    boxes = corners_of([one, left_behind])
    assert areas(boxes)[1] == 0
    assert overlaps(boxes[1], boxes).tolist() == [0, 0]
    assert overlaps(boxes[0], boxes)[1] == 0


def test_no_detections_are_no_boxes():
    assert corners_of([]).shape == (0, 4)
    assert overlaps(np.array([0, 0, 9, 9.0]), corners_of([])).shape == (0,)


@given(
    st.lists(detections(), max_size=8).flatmap(lambda d: st.tuples(st.just(d), st.permutations(d)))
)
def test_the_order_they_came_in_does_not_change_which_is_first(both):
    found, shuffled = both
    ordered = sorted(found, key=content)
    assert sorted(shuffled, key=content) == ordered
    confidences = [one.confidence for one in ordered]
    assert confidences == sorted(confidences, reverse=True), "the best first"
