"""What holds of a unit after people looked at it, changed their minds, and took things back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import Judgement, Result
from inspector.reviews.standing import (
    KeptReview,
    ReviewBook,
    Says,
    by_unit,
    conclusion,
    kept_review,
    standing,
)
from tests.kit.reviews import review

C, F, M, U, W = (
    Judgement.CONFIRMED,
    Judgement.FALSE_CALL,
    Judgement.MISSED,
    Judgement.UNSURE,
    Judgement.WITHDRAWN,
)


def back(number: int, of: KeptReview) -> KeptReview:
    return review(number, W, of.defect_id, takes_back=of.id)


def judgements(reviews: list[KeptReview]) -> list[Judgement]:
    return [one.judgement for one in standing(reviews)]


def test_of_several_on_one_matter_the_latest_holds() -> None:
    assert judgements([review(1, C), review(2, F), review(3, U, "d1"), review(4, C, "d1")]) == [
        F,
        C,
    ]


def test_what_was_said_before_a_review_that_is_taken_back_holds_again() -> None:
    first, second = review(1, C), review(2, F)
    assert judgements([first, second, back(3, second)]) == [C]
    assert judgements([first, second, back(3, second), back(4, first)]) == []


def test_each_missed_defect_is_a_matter_of_its_own() -> None:
    one, other = review(1, M, bbox_px=[1, 2, 3, 4]), review(2, M, bbox_px=[9, 9, 3, 4])
    assert judgements([one, other]) == [M, M]
    assert standing([one, other, back(3, one)]) == (other,)


def test_a_missed_defect_does_not_replace_what_was_said_of_the_unit() -> None:
    assert judgements([review(1, C), review(2, M)]) == [C, M]


@given(st.lists(st.sampled_from([C, F, M, U]), max_size=8))
def test_taking_everything_back_leaves_nothing(said: list[Judgement]) -> None:
    reviews = [review(number, judgement) for number, judgement in enumerate(said)]
    taken = [back(100 + number, one) for number, one in enumerate(reviews)]
    assert standing([*reviews, *taken]) == ()


def test_a_review_of_before_there_was_more_to_say_is_read() -> None:
    of_before = {
        "id": "01KB",
        "unit_event_id": "unit",
        "result": "FALSE_CALL",
        "defect_id": "d1",
        "code": "open",
        "time": "2026-11-30T20:00:00+00:00",
    }
    read = kept_review(of_before)
    assert (read.unit_result, read.codes, read.by) == (Result.FAILED, ("open",), "")


@pytest.mark.parametrize(
    ("result", "reviews", "says"),
    [
        (Result.PASSED, [], Says.OPEN),
        (Result.PASSED, [review(1, C)], Says.GOOD),
        (Result.PASSED, [review(1, C), review(2, M)], Says.BAD),
        (Result.PASSED, [review(1, U)], Says.UNSURE),
        (Result.PASSED, [review(1, M), review(2, U)], Says.UNSURE),
        (Result.FAILED, [review(1, C)], Says.BAD),
        (Result.FAILED, [review(1, F)], Says.GOOD),
        (Result.FAILED, [review(1, F, "a")], Says.OPEN),
        (Result.FAILED, [review(1, F, "a"), review(2, F, "b")], Says.GOOD),
        (Result.FAILED, [review(1, F, "a"), review(2, C, "b")], Says.BAD),
        (Result.FAILED, [review(1, F, "a"), review(2, U, "b")], Says.UNSURE),
        (Result.FAILED, [review(1, F), review(2, C, "b")], Says.BAD),
        (Result.FAILED, [review(1, F), review(2, M)], Says.BAD),
        (Result.NOT_INSPECTED, [review(1, M)], Says.BAD),
        (Result.NOT_INSPECTED, [], Says.OPEN),
    ],
)
def test_what_follows_from_what_people_say(
    result: Result, reviews: list[KeptReview], says: Says
) -> None:
    assert conclusion(reviews, result, ["a", "b"] if result is Result.FAILED else []) is says


def test_a_book_forgets_the_units_reviewed_longest_ago() -> None:
    book = ReviewBook(most=3)
    for number, unit in enumerate(["a", "b", "a", "c"]):
        book.add(review(number, C, unit_event_id=unit))
    assert book.of("b") == ()
    assert [len(book.of(unit)) for unit in ("a", "c")] == [2, 1]


def test_a_book_tells_what_holds_of_units_reviewed_since_then() -> None:
    book = ReviewBook()
    early, late = review(1, C, unit_event_id="a"), review(30, F, unit_event_id="b")
    book.add(early)
    book.add(late)
    assert list(book.held(late.seen_s)) == [(late,)]
    assert list(book.held()) == [(early,), (late,)]
    book.add(review(31, W, takes_back=late.id, unit_event_id="b"))
    assert list(book.held()) == [(early,)]


def test_looks_are_told_apart_by_their_units() -> None:
    a, b, c = (review(n, C, unit_event_id=u) for n, u in enumerate(["x", "y", "x"]))
    assert by_unit([a, b, c]) == {"x": (a, c), "y": (b,)}
