from typing import Any

import pytest

from inspector.ops.figures import KEPT_MINUTES, Figures, UnitFact

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
