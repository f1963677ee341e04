"""Time that passed for certain, whatever the wall clock was set to."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.journal.station_time import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    TAKEN_AS_IT_IS_AFTER_MS,
    Known,
    Older,
    Reading,
    first_known,
    span,
    tick,
    trouble,
)

NOW_MS = 1_796_000_000_000


@dataclass
class Machine:
    """A machine with clocks, and the service that looks at them once a minute."""

    unix_ms: int = NOW_MS
    boot_ms: int = 40_000
    boots: int = 1
    is_synchronised: bool = False
    older: list[Older] = field(default_factory=list)
    known: Known = field(init=False)

    def __post_init__(self) -> None:
        self.known = first_known(self.reading())

    def reading(self) -> Reading:
        return Reading(
            boot_id=str(self.boots),
            boot_ms=self.boot_ms,
            unix_ms=self.unix_ms,
            is_synchronised=self.is_synchronised,
        )

    def look(self) -> None:
        self.known, older = tick(self.known, self.reading())
        if older is not None:
            self.older.append(older)

    def run(self, ms: int) -> None:
        for _ in range(ms // MINUTE_MS):
            self.pass_by(MINUTE_MS)
            self.look()

    def pass_by(self, ms: int) -> None:
        self.boot_ms += ms
        self.unix_ms += ms

    def be_off(self, ms: int, *, clock_off_by_ms: int = 0) -> None:
        self.boots += 1
        self.boot_ms = 40_000
        self.unix_ms += ms + clock_off_by_ms
        self.is_synchronised = False
        self.look()

    @property
    def station_ms(self) -> int:
        return self.known.station_ms

    @property
    def trouble(self) -> str | None:
        return trouble(self.known)


@given(st.lists(st.integers(min_value=-(10**12), max_value=10**12), max_size=20))
def test_a_clock_that_is_set_moves_no_station_time(steps: list[int]) -> None:
    machine = Machine()
    for step_ms in steps:
        machine.unix_ms += step_ms
        machine.run(2 * MINUTE_MS)
    assert machine.station_ms == len(steps) * 2 * MINUTE_MS
    assert machine.older == []


def test_a_clock_that_is_ahead_for_a_while_is_told_until_it_is_right() -> None:
    machine = Machine()
    machine.run(HOUR_MS)
    assert machine.trouble is None
    machine.unix_ms += 30 * DAY_MS
    machine.run(6 * MINUTE_MS)
    assert machine.trouble is not None
    assert machine.trouble.startswith("the clock is 30.0 days ahead of the time that has passed")
    machine.unix_ms -= 30 * DAY_MS
    machine.run(MINUTE_MS)
    assert machine.trouble is None


def test_a_dead_battery_that_a_time_server_makes_good_is_no_trouble() -> None:
    machine = Machine(unix_ms=NOW_MS - 400 * DAY_MS)
    machine.run(10 * MINUTE_MS)
    machine.unix_ms, machine.is_synchronised = NOW_MS, True
    machine.run(48 * HOUR_MS)
    assert machine.trouble is None
    assert machine.older == []
    assert machine.station_ms == 48 * HOUR_MS + 10 * MINUTE_MS


def test_a_clock_without_a_time_server_is_taken_as_it_is_after_a_day() -> None:
    machine = Machine()
    machine.unix_ms -= 3 * HOUR_MS
    machine.run(HOUR_MS)
    assert "3.0 hours behind" in str(machine.trouble)
    machine.run(TAKEN_AS_IT_IS_AFTER_MS - 2 * HOUR_MS)
    assert machine.trouble is not None
    machine.unix_ms += HOUR_MS  # set once more: the day begins again
    machine.run(12 * HOUR_MS)
    assert machine.trouble is not None
    machine.run(13 * HOUR_MS)
    assert machine.trouble is None


def test_a_second_here_and_there_and_a_slow_drift_are_no_trouble() -> None:
    machine = Machine()
    for _ in range(100):
        machine.unix_ms += 60_000
        machine.run(10 * MINUTE_MS)
        assert machine.trouble is None


@pytest.mark.parametrize("off_by_ms", [0, 30 * DAY_MS, -400 * DAY_MS])
def test_without_a_time_server_the_time_that_it_was_off_does_not_count(off_by_ms: int) -> None:
    machine = Machine()
    machine.run(HOUR_MS)
    machine.be_off(16 * HOUR_MS, clock_off_by_ms=off_by_ms)
    machine.run(HOUR_MS)
    assert machine.station_ms == 2 * HOUR_MS
    assert machine.older == []
    assert (machine.trouble is None) == (off_by_ms == 0)


def test_a_machine_that_was_off_for_weeks_and_one_that_lost_its_time_look_the_same() -> None:
    machine = Machine()
    machine.be_off(21 * DAY_MS)
    machine.run(HOUR_MS)
    assert machine.trouble is not None
    machine.run(TAKEN_AS_IT_IS_AFTER_MS)
    assert machine.trouble is None


def test_with_a_time_server_the_time_that_it_was_off_makes_older_what_was_before() -> None:
    machine = Machine(is_synchronised=True)
    machine.run(10 * HOUR_MS)
    vouched_ms = machine.station_ms
    machine.be_off(3 * DAY_MS, clock_off_by_ms=-400 * DAY_MS)
    machine.run(20 * MINUTE_MS)
    machine.unix_ms += 400 * DAY_MS
    machine.is_synchronised = True
    machine.run(30 * MINUTE_MS)
    assert machine.older == []  # a server that is wrong itself may be so for a while
    machine.run(90 * MINUTE_MS)
    assert machine.older == [Older(through_ms=vouched_ms, by_ms=3 * DAY_MS)]
    machine.run(10 * HOUR_MS)
    assert len(machine.older) == 1


def test_a_server_that_is_wrong_for_some_minutes_makes_nothing_older() -> None:
    machine = Machine(is_synchronised=True)
    machine.run(10 * HOUR_MS)
    machine.unix_ms += 30 * DAY_MS  # and the kernel calls it synchronised
    machine.run(30 * MINUTE_MS)
    machine.unix_ms -= 30 * DAY_MS
    machine.run(10 * HOUR_MS)
    assert machine.older == []


def test_a_server_that_is_wrong_by_its_week_counter_makes_nothing_older() -> None:
    machine = Machine(is_synchronised=True)
    machine.run(10 * HOUR_MS)
    machine.unix_ms += 1024 * 7 * DAY_MS
    machine.run(48 * HOUR_MS)
    assert machine.older == []


def test_a_service_that_was_stopped_within_a_boot_lost_no_time() -> None:
    machine = Machine()
    machine.run(HOUR_MS)
    machine.pass_by(5 * HOUR_MS)
    machine.unix_ms += 30 * DAY_MS
    machine.look()
    assert machine.station_ms == 6 * HOUR_MS
    assert "30.0 days ahead" in str(machine.trouble)


def test_spans_are_told_in_their_largest_unit() -> None:
    spans = [-400 * DAY_MS, 90 * MINUTE_MS, 600_000, 1500]
    assert [span(ms) for ms in spans] == ["400.0 days", "1.5 hours", "10.0 minutes", "1.5 seconds"]
