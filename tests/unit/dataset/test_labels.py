"""What is labelled on a picture, and which units are left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.places import Polygon
from inspector.core.records import Judgement
from inspector.dataset.labels import Also, Label, Labelled, LeftOut, is_wanted, labelled
from tests.kit.reviews import review

C, F, M, U = Judgement.CONFIRMED, Judgement.FALSE_CALL, Judgement.MISSED, Judgement.UNSURE
SIZE = (640, 480)
ALL = frozenset(Also)
HERE, THERE = [10.0, 20.0, 30.0, 40.0], [100.5, 50.0, 12.5, 9.0]


def call(name: str, bbox: list[float] | None, code: str = "open", polygon: Any = None) -> Any:
    return {"id": name, "code": code, "bbox_px": bbox, "polygon_px": polygon}


CALLS = [call("a", HERE), call("b", THERE, "short")]


def event(result: str = "FAILED", kept_for: str | None = None) -> dict[str, Any]:
    kept = {} if kept_for is None else {"kept_for": kept_for}
    return {"result": result, "evidence": [{"uri": "file:///x.jpg", **kept}]}


def boxes(found: Labelled | LeftOut) -> list[tuple[str, list[float]]]:
    assert isinstance(found, Labelled), found
    return [(label.code, list(label.bbox_px)) for label in found.labels]


def test_what_was_confirmed_is_labelled_and_what_was_false_is_not() -> None:
    said = [review(1, C), review(2, F, "a")]
    assert boxes(labelled(event(), CALLS, said, SIZE)) == [("short", THERE)]
    assert boxes(labelled(event(), CALLS, [review(1, F)], SIZE)) == []
    each = [review(1, C, "a"), review(2, C, "b")]
    assert boxes(labelled(event(), CALLS, each, SIZE)) == [("open", HERE), ("short", THERE)]


def test_what_was_missed_is_added() -> None:
    missed = review(3, M, code="spur", bbox_px=[1.5, 2.5, 10, 20])
    found = labelled(event("PASSED"), [], [missed], SIZE)
    assert boxes(found) == [("spur", [1.5, 2.5, 10, 20])]
    beside = labelled(event(), CALLS, [review(1, F), missed], SIZE)
    assert boxes(beside) == [("spur", [1.5, 2.5, 10, 20])]


def test_a_confirmed_good_unit_has_no_labels_and_is_in() -> None:
    found = labelled(event("PASSED"), [], [review(1, C)], SIZE)
    assert found == Labelled(labels=(), is_reviewed=True)


@pytest.mark.parametrize(
    ("of", "calls", "said", "why"),
    [
        (event(), CALLS, [review(1, C), review(2, U, "a")], LeftOut.UNSURE),
        (event("PASSED"), [], [review(1, U)], LeftOut.UNSURE),
        (event(), CALLS, [review(1, C, "a")], LeftOut.PARTLY_JUDGED),
        (event(), CALLS, [review(1, M, code="open", bbox_px=HERE)], LeftOut.PARTLY_JUDGED),
        (event(), [call("a", None)], [review(1, C)], LeftOut.NO_PLACE),
        (event("PASSED"), [], [review(1, M, code="open")], LeftOut.NO_PLACE),
        (event("PASSED"), [], [review(1, M, bbox_px=HERE)], LeftOut.NO_CODE),
        (event(), [call("a", [640, 0, 9, 9])], [review(1, C)], LeftOut.OUTSIDE),
    ],
)
def test_a_unit_in_doubt_is_left_out_as_a_whole(
    of: Any, calls: Any, said: Any, why: LeftOut
) -> None:
    assert labelled(of, calls, said, SIZE) is why


def test_a_false_call_about_the_unit_as_a_whole_needs_no_place() -> None:
    assert boxes(labelled(event(), [call("a", None)], [review(1, F)], SIZE)) == []


def test_what_nobody_reviewed_is_wanted_only_where_somebody_asks() -> None:
    kinds = {
        Also.FAILED: event(),
        Also.NEAR: event("PASSED", "near_threshold"),
        Also.SAMPLE: event("PASSED", "sample"),
    }
    for kind, of in kinds.items():
        assert [also for also in Also if is_wanted(of, [], frozenset({also}))] == [kind]
        assert not is_wanted(of, [], frozenset())
    assert not is_wanted(event("NOT_INSPECTED"), [], ALL)
    assert not is_wanted({"result": "PASSED", "evidence": []}, [], ALL)


def test_what_nobody_reviewed_has_the_stations_labels_and_says_so() -> None:
    found = labelled(event(), CALLS, [], SIZE, ALL)
    assert isinstance(found, Labelled)
    assert (found.is_reviewed, len(found.labels)) == (False, 2)
    partly = labelled(event(), CALLS, [review(1, F, "a")], SIZE, ALL)
    assert boxes(partly) == [("short", THERE)]
    assert isinstance(partly, Labelled)
    assert not partly.is_reviewed


def test_a_box_is_cut_at_the_border_of_the_picture() -> None:
    over = [call("a", [-2.0, 470.0, 12.0, 12.0])]
    assert boxes(labelled(event(), over, [review(1, C)], SIZE)) == [("open", [0, 470, 10, 10])]


coordinates = st.floats(-50, 700).map(lambda v: round(v, 1))
points = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=12)


@given(points, st.floats(0, 3))
def test_a_shapes_box_is_that_of_its_event_whatever_corners_were_left_away(
    corners: list[tuple[float, float]], more: float
) -> None:
    around = Polygon(points_px=tuple(corners)).around
    bbox = [around.left_px - more, around.top_px - more, 0.0, 0.0]
    bbox[2] = around.right_px + more - bbox[0]
    bbox[3] = around.bottom_px + more - bbox[1]
    found = labelled(event(), [call("a", bbox, polygon=corners)], [review(1, C)], SIZE)
    if isinstance(found, LeftOut):
        assert found is LeftOut.OUTSIDE
        return
    (label,) = found.labels
    x, y, width, height = label.bbox_px
    assert 0 <= x < x + width <= SIZE[0] + 0.01
    assert 0 <= y < y + height <= SIZE[1] + 0.01
    if label.polygon_px is not None:
        own = Polygon(points_px=label.polygon_px).around
        sides = (own.left_px, own.top_px, own.right_px, own.bottom_px)
        assert sides == pytest.approx((x, y, x + width, y + height), abs=0.02)


def test_a_label_is_kept_to_a_hundredth_of_a_pixel() -> None:
    assert Label(code="open", bbox_px=(1.0, 2.0, 3.0, 4.0)).polygon_px is None
    found = labelled(event(), [call("a", [0.126, 1.0, 2.0, 2.0])], [review(1, C)], SIZE)
    assert boxes(found) == [("open", [0.13, 1.0, 2.0, 2.0])]
