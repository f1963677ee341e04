"""How often the station is wrong, as far as people looked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import Judgement
from inspector.reviews.counting import Share, count
from inspector.reviews.standing import KeptReview
from tests.kit.reviews import review

C, F, M, U = Judgement.CONFIRMED, Judgement.FALSE_CALL, Judgement.MISSED, Judgement.UNSURE


def passed(
    *said: tuple[Judgement, str | None], kept_for: str | None = "sample"
) -> list[KeptReview]:
    return [
        review(n, judgement, unit_result="PASSED", code=code, kept_for=kept_for)
        for n, (judgement, code) in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("hits", "base", "low", "high"),
    # As R's binom::binom.wilson and Wikipedia's worked examples have them.
    [(0, 50, 0.0, 0.0713), (1, 50, 0.0035, 0.1050), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_the_interval_is_wilsons(hits: int, base: int, low: float, high: float) -> None:
    assert Share(hits, base).interval == pytest.approx((low, high), abs=5e-5)


def test_nobody_looked_and_nothing_is_known() -> None:
    assert Share(0, 0).interval is None


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_lies_within_0_and_1(found: tuple[int, int]) -> None:
    hits, base = found
    interval = Share(hits, base).interval
    assert interval is not None
    low, high = interval
    assert 0 <= low <= hits / base <= high <= 1
    assert low < high


def test_escapes_are_counted_per_unit_and_per_code() -> None:
    counted = count(
        [
            passed((C, None)),
            passed((C, None)),
            passed((M, "open"), (M, "open"), (M, "short")),
            passed((M, None), kept_for="near_threshold"),
            passed((U, None)),
        ]
    ).passed
    assert (counted.reviewed, counted.escapes, counted.unsure) == (4, 2, 1)
    assert counted.codes == {"open": 1, "short": 1, "other": 1}
    assert counted.by_picture == {"sample": Share(1, 3), "near_threshold": Share(1, 1)}


def test_false_calls_are_counted_per_unit_and_per_defect() -> None:
    whole = review(1, F, codes=["open", "open", "short"])
    one = review(2, C, "d1", code="open", codes=["open"])
    alone = review(3, C, "d9", code="spur", codes=["spur"])
    doubtful = review(4, U, codes=["open"])
    beside = [review(5, C, codes=["spur"]), review(6, M, code="open", codes=["open"])]
    counted = count([[whole, one], [alone], [doubtful], beside]).failed
    assert (counted.reviewed, counted.false_calls, counted.unsure) == (2, 1, 1)
    assert counted.codes == {"open": Share(1, 2), "short": Share(1, 1), "spur": Share(0, 2)}
    assert counted.also_missed == 1


def test_what_was_not_inspected_is_neither_an_escape_nor_a_false_call() -> None:
    counted = count([[review(1, M, unit_result="NOT_INSPECTED")], []])
    assert counted.passed.share == counted.failed.share == Share(0, 0)
