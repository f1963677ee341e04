from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from inspector.core.basics import CameraId
from inspector.core.faults import ProcessRule
from inspector.results.process_rules import (
    DELIBERATE,
    JudgedOne,
    PlacedDefect,
    ProcessLimits,
    ProcessRules,
)
from inspector.service.station_process import process_limits
from inspector.settings.process_sections import ProcessSettings

DEFAULT = process_limits(ProcessSettings())
THREE = ProcessLimits(same_place=3)
Place = tuple[str, float, float]


def unit(
    number: int,
    *places: Place,
    result: str = "",
    reason: str | None = None,
    product: str = "controller",
) -> JudgedOne:
    """A unit with defects of 20x10 pixels around these middles."""
    return JudgedOne(
        camera=CameraId("top"),
        product=product,
        number=number,
        unit_id=f"top-{number}",
        event_id=f"event {number}",
        result=result or ("FAILED" if places else "PASSED"),
        reason=reason,
        defects=tuple(
            PlacedDefect(code=code, bbox_px=(x - 10, y - 5, 20, 10)) for code, x, y in places
        ),
        picture_uri=f"file:///{number}.jpg",
    )


def alarms_after(limits: ProcessLimits, units: Iterable[JudgedOne]) -> list[list[str]]:
    rules = ProcessRules(limits)
    return [sorted(alarm.value for alarm in rules.see(one)) for one in units]


def missed(number: int, reason: str = "stale") -> JudgedOne:
    return unit(number, result="NOT_INSPECTED", reason=reason)


def test_the_same_place_is_an_alarm_at_exactly_the_third_unit() -> None:
    rules = ProcessRules(THREE)
    spots = [(100.0, 50.0), (104.0, 47.0), (98.0, 55.0), (101.0, 50.0)]
    for number, (x, y) in enumerate(spots[:2]):
        assert not rules.see(unit(number, ("open", x, y), ("short", 300 + 60 * number, 9)))
    alarm = rules.see(unit(2, ("open", *spots[2])))[ProcessRule.SAME_PLACE]
    assert alarm.cause == ("3 units in a row have open at the same place: 88, 50 (20x10 px)")
    assert (alarm.unit.number, alarm.unit.picture_uri) == (2, "file:///2.jpg")
    assert alarm.defect == PlacedDefect(code="open", bbox_px=(88, 50, 20, 10))
    # It goes on: the alarm stays the one of the third unit.
    assert rules.see(unit(3, ("open", *spots[3])))[ProcessRule.SAME_PLACE] is alarm
    assert not rules.see(unit(4))


SPOT = ("open", 9.0, 9.0)


@pytest.mark.parametrize(
    ("what", "units"),
    [
        ("another code", [unit(0, SPOT), unit(1, ("short", 9, 9)), unit(2, SPOT)]),
        ("another place", [unit(0, SPOT), unit(1, ("open", 9, 31)), unit(2, SPOT)]),
        ("a good one between", [unit(0, SPOT), unit(1), unit(2, SPOT), unit(3, SPOT)]),
        ("two on one unit", [unit(0, SPOT, ("open", 12, 9)), unit(1, SPOT)]),
    ],
)
def test_it_is_none_with(what: str, units: list[JudgedOne]) -> None:
    assert not any(alarms_after(THREE, units)), what


def test_units_that_were_not_inspected_neither_break_a_row_nor_count() -> None:
    units = [unit(0, ("open", 9, 9)), missed(1), unit(2, ("open", 9, 9)), missed(3)]
    assert alarms_after(THREE, [*units, unit(4, ("open", 9, 9))])[-2:] == [[], ["same_place"]]
    failed = alarms_after(ProcessLimits(failed=3), [*units, unit(4, ("open", 300, 9))])
    assert failed[-2:] == [[], ["failed"]]


def test_failed_and_not_inspected_in_a_row() -> None:
    limits = ProcessLimits(failed=2, not_inspected=2)
    row = [unit(0, ("a", 1, 1)), unit(1, ("b", 9, 9)), missed(2), missed(3), unit(4)]
    assert alarms_after(limits, row) == [
        [],
        ["failed"],
        ["failed"],
        ["failed", "not_inspected"],
        [],
    ]


@pytest.mark.parametrize("reason", sorted(DELIBERATE))
def test_what_somebody_wanted_is_no_alarm(reason: str) -> None:
    assert not any(alarms_after(DEFAULT, [missed(n, reason) for n in range(200)]))


def test_the_share_counts_once_there_are_enough_units_and_clears_below_four_fifths() -> None:
    limits = ProcessLimits(share=0.5, share_units=10)
    told = alarms_after(limits, [unit(n, *[("a", n * 50, 1)] * (n % 2)) for n in range(10)])
    assert told == [[]] * 9 + [["share"]]
    bad, good = ("a", 1.0, 1.0), ()
    row = [bad] * 5 + [good] * 6  # four of the last ten are bad, then three
    told = alarms_after(
        limits,
        [unit(n, *([place] if place else [])) for n, place in enumerate([*[good] * 5, *row])],
    )
    assert told[9] == ["share"]
    assert told[-5:] == [["share"]] * 5
    assert alarms_after(limits, [unit(n, *([bad] if n < 5 else [])) for n in range(13)])[-3:] == [
        ["share"], [], []
    ]  # fmt: skip


def test_each_product_has_a_row_of_its_own() -> None:
    turns = [unit(n, ("open", 9, 9), product="ab"[n % 2]) for n in range(6)]
    assert alarms_after(THREE, turns)[:5] == [[], [], [], [], ["same_place"]]


def test_the_alarm_of_a_product_that_is_not_made_any_more_ends() -> None:
    rules = ProcessRules(THREE)
    for number in range(3):
        rules.see(unit(number, ("open", 9, 9)))
    told = [bool(rules.see(unit(number, product="other"))) for number in range(3, 30)]
    assert told == [True] * 20 + [False] * 7


def test_acknowledged_it_takes_as_many_units_again() -> None:
    rules = ProcessRules(THREE)
    bad = [unit(number, ("open", 9, 9)) for number in range(6)]
    assert [bool(rules.see(one)) for one in bad[:3]] == [False, False, True]
    rules.begin_anew()
    assert [bool(rules.see(one)) for one in bad[3:]] == [False, False, True]


def test_a_rule_of_0_never_is_an_alarm() -> None:
    assert not any(alarms_after(ProcessLimits(), [unit(n, ("open", 9, 9)) for n in range(500)]))


@pytest.mark.parametrize("bad_share", [0.02, 0.1, 0.2])
def test_of_10_000_units_with_defects_at_random_none_is_an_alarm_by_default(
    bad_share: float,
) -> None:
    random = np.random.default_rng([7, int(bad_share * 100)])
    codes = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    rules = ProcessRules(DEFAULT)
    for number in range(10_000):
        places: list[Place] = []
        if random.random() < bad_share:
            for _ in range(int(random.integers(1, 5))):
                x, y = random.uniform(0, 742), random.uniform(0, 676)
                places.append((codes[int(random.integers(6))], float(x), float(y)))
        one = missed(number) if random.random() < 0.02 else unit(number, *places)
        assert not rules.see(one), number
