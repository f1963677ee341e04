"""A backlog is brought to Redis without making verdicts late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.publish.throttle import (
    LARGEST_STEP,
    NS_PER_MS,
    NS_PER_S,
    SMALLEST_STEP,
    Throttle,
    ThrottleLimits,
)

costs_ns = st.lists(st.integers(1, 5 * NS_PER_MS), min_size=1, max_size=60)
"""What the processor takes for one event, write by write."""


@given(
    costs=costs_ns,
    waits_ns=st.integers(0, 50 * NS_PER_MS),
    per_s=st.floats(10, 1e6),
    step_ms=st.floats(1, 1000),
)
def test_neither_the_rate_nor_the_share_is_ever_exceeded(costs, waits_ns, per_s, step_ms):
    pace = Throttle(ThrottleLimits(events_per_s=per_s, step_ms=step_ms))
    clock_ns = busy_ns = events = 0
    for cost_ns in costs:
        rows = pace.rows
        assert SMALLEST_STEP <= rows <= LARGEST_STEP
        step_busy_ns, events = rows * cost_ns, events + rows
        took_ns = step_busy_ns + waits_ns
        busy_ns += step_busy_ns
        pause_s = pace.pause_s(rows=rows, busy_ns=step_busy_ns, took_ns=took_ns)
        assert pause_s >= 0
        clock_ns += took_ns + round(pause_s * NS_PER_S)
        assert events <= clock_ns / NS_PER_S * per_s * 1.001 + 1
        assert busy_ns <= clock_ns / 2 + len(costs)


@given(cost_ns=st.integers(1, 5 * NS_PER_MS), step_ms=st.floats(1, 200))
def test_a_write_grows_to_what_a_step_allows_and_no_further(cost_ns, step_ms):
    pace = Throttle(ThrottleLimits(step_ms=step_ms))
    for _ in range(20):
        rows = pace.rows
        pace.pause_s(rows=rows, busy_ns=rows * cost_ns, took_ns=rows * cost_ns)
    fits = int(step_ms * NS_PER_MS / cost_ns)
    allowed = max(SMALLEST_STEP, min(LARGEST_STEP, fits))
    assert abs(pace.rows - allowed) <= 1


def test_a_processor_that_became_slow_gets_smaller_writes_at_once():
    pace = Throttle(ThrottleLimits(step_ms=20))
    for _ in range(10):
        pace.pause_s(rows=pace.rows, busy_ns=1000, took_ns=1000)
    assert pace.rows == LARGEST_STEP
    pace.pause_s(rows=200, busy_ns=400 * NS_PER_MS, took_ns=400 * NS_PER_MS)
    assert pace.rows == SMALLEST_STEP
