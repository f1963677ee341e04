"""What may be said of a unit, and what is refused in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inspector.core.records import Judgement, KeptFor, Result
from inspector.page.answers import BadRequestError, read_said
from inspector.page.review_routes import RefusedError, ReviewSaid, review_said
from tests.kit.reviews import review

CODES = ("open", "short")
SIZE = (640, 480)
DEFECTS = [{"id": "d1", "code": "open"}, {"id": "d2", "code": "short"}]


def event(result: str = "FAILED", *, evidence: bool = True, **kept: str) -> dict[str, Any]:
    return {
        "id": "unit",
        "camera": "top",
        "unit": {"id": "PCB-1"},
        "result": result,
        "defects": DEFECTS if result == "FAILED" else [],
        "evidence": [{"uri": "file:///x.jpg", **kept}] if evidence else [],
    }


def said(of: dict[str, Any], reviews: Any = (), size: Any = SIZE, **what: Any) -> Any:
    body = read_said(json.dumps(what).encode(), ReviewSaid, expected="a review")
    return review_said(of, body, reviews=reviews, codes=CODES, size=size)


def test_a_call_is_confirmed_or_false_with_a_name_and_a_comment() -> None:
    found = said(event(), judgement="FALSE_CALL", defect_id="d2", by=" Anna ", comment="a shadow")
    assert (found.judgement, found.code, found.codes) == (Judgement.FALSE_CALL, "short", ("short",))
    assert (found.by, found.comment, found.unit_result) == ("Anna", "a shadow", Result.FAILED)
    whole = said(event(), judgement="CONFIRMED")
    assert (whole.defect_id, whole.code, whole.codes) == (None, None, ("open", "short"))


def test_a_missed_defect_has_a_code_and_a_box_to_a_tenth_of_a_pixel() -> None:
    near = event("PASSED", kept_for="near_threshold")
    found = said(near, judgement="MISSED", code="open", bbox_px=[10.04, 20, 30.55, 40])
    assert (found.code, found.bbox_px, found.defect_id) == ("open", (10.0, 20, 30.6, 40), None)
    assert (found.unit_result, found.kept_for) == (Result.PASSED, KeptFor.NEAR_THRESHOLD)
    assert said(near, judgement="MISSED").bbox_px is None
    assert said(near, judgement="MISSED", bbox_px=[0, 0, 640, 480]).bbox_px == (0, 0, 640, 480)


def test_why_a_picture_of_before_was_kept_follows_from_the_verdict() -> None:
    assert said(event("PASSED"), judgement="CONFIRMED").kept_for is KeptFor.SAMPLE
    assert said(event(), judgement="CONFIRMED").kept_for is KeptFor.VERDICT
    assert said(event("PASSED", evidence=False), judgement="CONFIRMED").kept_for is None


def test_a_review_is_taken_back_by_its_id() -> None:
    missed = review(1, Judgement.MISSED, code="open", codes=["open"], bbox_px=[1, 2, 3, 4])
    found = said(event("PASSED"), [missed], judgement="WITHDRAWN", takes_back=missed.id)
    assert (found.takes_back, found.code, found.bbox_px) == (missed.id, "open", (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ({}, "judgement: missing"),
        (
            {"judgement": "GOOD"},
            "judgement: found 'GOOD'; expected 'CONFIRMED', 'FALSE_CALL', 'MISSED', 'UNSURE' or 'W",
        ),
        ({"judgement": "CONFIRMED", "defect_id": 3}, "defect_id: found 3; expected text in quotes"),
        ({"judgement": "CONFIRMED", "defect_id": "d3"}, "defect_id is none of this unit's"),
        ({"judgement": "CONFIRMED", "bbox_px": [1, 2, 3, 4]}, "bbox_px is for MISSED"),
        ({"judgement": "CONFIRMED", "by": 7}, "by: found 7; expected text in quotes"),
        ({"judgement": "CONFIRMED", "comment": "x" * 301}, "expected at most 300 characters"),
        ({"judgement": "MISSED", "defect_id": "d1"}, "defect_id is for what was called"),
        ({"judgement": "MISSED", "code": "dent"}, "code is 'dent', expected one of open, short"),
        (
            {"judgement": "MISSED", "bbox_px": [1, 2, 3]},
            "bbox_px: found [1, 2, 3]; expected at least 4",
        ),
        ({"judgement": "MISSED", "bbox_px": "1234"}, "bbox_px: found '1234'; expected a list"),
        (
            {"judgement": "MISSED", "bbox_px": [1, 2, 3, True]},
            "bbox_px.4: found True; expected a n",
        ),
        (
            {"judgement": "MISSED", "bbox_px": [1, 2, 3, float("nan")]},
            "bbox_px.4: found nan; expec",
        ),
        ({"judgement": "MISSED", "bbox_px": [1, 2, 0.5, 9]}, "0.5 x 9 pixels, expected 1 x 1"),
        ({"judgement": "MISSED", "bbox_px": [600, 2, 41, 9]}, "to 641, 11, expected within the"),
        ({"judgement": "MISSED", "bbox_px": [-1, 2, 41, 9]}, "from -1, 2 to 40, 11"),
        ({"judgement": "WITHDRAWN"}, "takes_back is missing"),
    ],
)
def test_what_cannot_be_read_is_one_line(what: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        said(event(), **what)
    assert problem in str(refused.value)


MISSED = review(1, Judgement.MISSED)


@pytest.mark.parametrize(
    ("of", "reviews", "size", "what", "problem"),
    [
        (event("PASSED"), [], SIZE, {"judgement": "FALSE_CALL"}, "the unit is PASSED: only a"),
        (event("NOT_INSPECTED"), [], SIZE, {"judgement": "FALSE_CALL"}, "is NOT_INSPECTED: only"),
        (event("NOT_INSPECTED"), [], SIZE, {"judgement": "CONFIRMED"}, "no verdict to confirm"),
        (event("PASSED"), [MISSED], SIZE, {"judgement": "CONFIRMED"}, "take that back first"),
        (event("PASSED"), [MISSED], SIZE, {"judgement": "UNSURE"}, "take that back first"),
        (
            event("PASSED", evidence=False),
            [],
            None,
            {"judgement": "MISSED", "bbox_px": [1, 2, 3, 4]},
            "no picture of the unit was kept",
        ),
        (
            event("PASSED"),
            [],
            None,
            {"judgement": "MISSED", "bbox_px": [1, 2, 3, 4]},
            "no longer there",
        ),
        (
            event(),
            [],
            SIZE,
            {"judgement": "WITHDRAWN", "takes_back": MISSED.id},
            "no longer applies",
        ),
    ],
)
def test_what_does_not_fit_the_unit_is_refused(
    of: dict[str, Any], reviews: Any, size: Any, what: dict[str, Any], problem: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        said(of, reviews, size, **what)
    assert problem in str(refused.value)


def test_nothing_is_said_twice_of_what_is_in_doubt() -> None:
    assert said(event("NOT_INSPECTED"), judgement="UNSURE").unit_result is Result.NOT_INSPECTED
    assert said(event(), judgement="UNSURE", defect_id="d1").code == "open"
