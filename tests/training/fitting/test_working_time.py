from __future__ import annotations

import pytest

from training.fitting.working_time import WorkingTime


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def work(worked: WorkingTime, clock: Clock, kind: str, *lengths_s: float) -> None:
    for length_s in lengths_s:
        clock.now_s += length_s
        worked.count(kind)


def test_steady_work_is_counted_in_full():
    clock = Clock()
    worked = WorkingTime(clock)
    work(worked, clock, "step", *[1.5] * 20)
    work(worked, clock, "save", 25.0)
    work(worked, clock, "step", *[2.5] * 10)
    work(worked, clock, "save", 32.0)
    assert worked.seconds == pytest.approx(20 * 1.5 + 25 + 10 * 2.5 + 32)


def test_a_pause_of_an_hour_costs_seconds():
    clock = Clock()
    worked = WorkingTime(clock)
    work(worked, clock, "step", *[1.0] * 10)
    work(worked, clock, "step", 3600.0)
    assert worked.seconds <= 10 + 10
    work(worked, clock, "step", *[1.0] * 10)
    work(worked, clock, "step", 3600.0)
    assert worked.seconds <= 2 * (10 + 15)


def test_a_pause_during_the_first_step_costs_a_minute():
    clock = Clock()
    worked = WorkingTime(clock)
    work(worked, clock, "step", 3600.0)
    assert worked.seconds == 60


def test_short_steps_may_stall_for_a_second():
    clock = Clock()
    worked = WorkingTime(clock)
    work(worked, clock, "step", *[0.01] * 10, 0.9)
    assert worked.seconds == pytest.approx(1.0)


def test_steps_that_become_slower_for_good_are_counted_in_full_soon():
    clock = Clock()
    worked = WorkingTime(clock)
    work(worked, clock, "step", *[0.2] * 10)
    before = worked.seconds
    work(worked, clock, "step", *[6.0] * 60)
    assert worked.seconds - before > 0.8 * 360
