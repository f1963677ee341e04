from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.page.figures import KEPT_MINUTES, Figures, UnitFact

NOON_S = 1_800_000_000.0 - 1_800_000_000 % 900
"""A moment at which steps of 1, 5 and 15 minutes begin."""


def fact(at_s: float, result: str = "PASSED", **more: Any) -> UnitFact:
    given: dict[str, Any] = {"codes": (), "took_ms": 100.0, "in_time": True} | more
    return UnitFact(seen_s=NOON_S + at_s, result=result, **given)


def counted(*facts: UnitFact) -> Figures:
    figures = Figures()
    for one in facts:
        figures.add(one)
    return figures


def test_totals_count_results_codes_and_late_ones_of_their_time_only():
    figures = counted(
        fact(-61, "FAILED", codes=("open",)),
        fact(0, "FAILED", codes=("open", "short", "open")),
        fact(59),
        fact(60, "NOT_INSPECTED", in_time=False, took_ms=0.0),
        fact(121),
    )
    totals = figures.totals(NOON_S, NOON_S + 120)
    assert totals.results == {"FAILED": 1, "PASSED": 1, "NOT_INSPECTED": 1}
    assert list(totals.codes.items()) == [("open", 2), ("short", 1)]
    assert (totals.units, totals.late) == (3, 1)


def test_a_unit_that_nobody_inspected_neither_raises_nor_lowers_the_yield():
    figures = counted(fact(0), fact(1), fact(2), fact(3, "FAILED"), fact(4, "NOT_INSPECTED"))
    assert figures.totals(NOON_S, NOON_S + 60).pass_share == pytest.approx(0.75)


def test_without_units_there_is_no_yield_and_no_latency():
    totals = Figures().totals(NOON_S, NOON_S + 60)
    assert (totals.pass_share, totals.median_ms, totals.p95_ms) == (None, None, None)


def test_latencies_are_told_to_five_percent():
    figures = counted(*(fact(n / 10, took_ms=float(n + 1)) for n in range(1000)))
    totals = figures.totals(NOON_S, NOON_S + 120)
    assert totals.median_ms == pytest.approx(500, rel=0.05)
    assert totals.p95_ms == pytest.approx(950, rel=0.05)


def test_a_series_has_every_step_also_the_empty_ones():
    figures = counted(fact(10), fact(310), fact(890, "FAILED"))
    series = figures.series(NOON_S, NOON_S + 899, 5)
    assert [at for at, _ in series] == [NOON_S, NOON_S + 300, NOON_S + 600]
    assert [t.results for _, t in series] == [{"PASSED": 1}, {"PASSED": 1}, {"FAILED": 1}]
    empty = figures.series(NOON_S + 900, NOON_S + 1199, 5)
    assert [t.units for _, t in empty] == [0]


def test_what_is_older_than_a_day_is_forgotten():
    figures = counted(fact(0), fact(3600))
    figures.forget_before(NOON_S + (KEPT_MINUTES + 1) * 60)
    assert figures.totals(NOON_S - 60, NOON_S + 7200).units == 1


facts = st.builds(
    fact,
    st.floats(0, 7200),
    st.sampled_from(["PASSED", "FAILED", "NOT_INSPECTED", "ERROR"]),
    codes=st.lists(st.sampled_from(["open", "short"]), max_size=3).map(tuple),
    took_ms=st.floats(1, 1e6),
    in_time=st.booleans(),
)
counted_facts = st.lists(facts, max_size=40)


@given(found=counted_facts, from_s=st.floats(-600, 7000), length_s=st.floats(0, 7200))
def test_each_unit_is_in_exactly_one_step_of_the_series(found, from_s, length_s):
    figures = counted(*found)
    from_s += NOON_S
    for step_minutes in (1, 5, 15):
        series = figures.series(from_s, from_s + length_s, step_minutes)
        starts = [at for at, _ in series]
        step_s = 60 * step_minutes
        assert starts == list(range(starts[0], starts[-1] + 1, step_s)), "without a hole"
        assert starts[0] <= from_s < starts[0] + step_s
        assert starts[-1] <= from_s + length_s < starts[-1] + step_s
        shown = [one for one in found if starts[0] <= one.seen_s < starts[-1] + step_s]
        total = sum((Counter(totals.results) for _, totals in series), Counter())
        assert total == Counter(one.result for one in shown)
        codes = sum((Counter(totals.codes) for _, totals in series), Counter())
        assert codes == Counter(code for one in shown for code in one.codes)
        assert sum(totals.late for _, totals in series) == sum(not one.in_time for one in shown)


@given(found=counted_facts, minute=st.integers(0, 120))
def test_before_and_after_a_minute_are_all_there_is(found, minute):
    figures, parted_s = counted(*found), NOON_S + minute * 60
    before, after = figures.totals(0, parted_s), figures.totals(parted_s, NOON_S + 7260)
    assert before.units == sum(one.seen_s < parted_s for one in found)
    assert before.units + after.units == len(found)
    assert before.late + after.late == sum(not one.in_time for one in found)


@given(st.lists(facts, min_size=1, max_size=40))
def test_latencies_are_told_to_five_percent_whatever_they_are(found):
    totals = counted(*found).totals(NOON_S, NOON_S + 7260)
    took_ms = sorted(one.took_ms for one in found)
    assert totals.median_ms is not None
    assert totals.p95_ms is not None
    assert totals.median_ms == pytest.approx(took_ms[(len(took_ms) - 1) // 2], rel=0.05, abs=0.1)
    assert took_ms[0] * 0.95 - 0.1 <= totals.median_ms <= totals.p95_ms
    assert totals.p95_ms <= took_ms[-1] * 1.05 + 0.1
    slower = sum(one > totals.p95_ms * 1.05 + 0.1 for one in took_ms)
    assert slower <= 0.05 * len(took_ms)


@given(counted_facts)
def test_a_yield_is_a_share_of_what_was_inspected(found):
    totals = counted(*found).totals(NOON_S, NOON_S + 7260)
    results = Counter(one.result for one in found)
    inspected = results["PASSED"] + results["FAILED"]
    assert (totals.pass_share is None) == (inspected == 0)
    if totals.pass_share is not None:
        assert totals.pass_share * inspected == pytest.approx(results["PASSED"])


@given(found=counted_facts, later_s=st.floats(0, 3 * 86_400))
def test_a_day_is_kept_and_not_much_more(found, later_s):
    figures, now_s = counted(*found), NOON_S + later_s
    figures.forget_before(now_s)
    left = figures.totals(0, NOON_S + 7260).units
    assert left >= sum(one.seen_s >= now_s - 86_400 for one in found)
    assert left <= sum(one.seen_s >= now_s - (KEPT_MINUTES + 1) * 60 for one in found)
