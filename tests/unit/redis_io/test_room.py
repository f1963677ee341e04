"""How much of Redis is left, and for whom."""

from __future__ import annotations

import pytest

from inspector.core.entries import StreamGrowth
from inspector.redis_io.room import (
    ASK_EVERY_S,
    HOLD_ABOVE,
    Memory,
    Reserve,
    bytes_in_redis,
    expected_bytes,
)

DAY_S = 86_400.0
GB = 1_000_000_000


def growth(entries: int, span_s: float, held: int | None = None) -> StreamGrowth:
    return StreamGrowth(
        entries=entries,
        span_s=span_s,
        json_bytes=1000.0,
        held=entries if held is None else held,
    )


def test_it_is_held_from_90_percent_on_until_below_88() -> None:
    reserve = Reserve()
    held = []
    for percent in (50, 89, 90, 95, 89, 88, 87, 89):
        reserve.told(Memory(used_bytes=percent * GB // 100, limit_bytes=GB), 0.0)
        held.append(reserve.is_held)
    assert held == [False, False, True, True, True, True, False, False]


def test_without_a_limit_or_without_an_answer_nothing_is_held() -> None:
    reserve = Reserve()
    for memory in (Memory(used_bytes=9 * GB, limit_bytes=0), None):
        reserve.told(memory, 0.0)
        reserve.spend(1e12)
        assert not reserve.is_held
        assert not reserve.must_ask(ASK_EVERY_S - 1, 1e12)
        assert reserve.must_ask(ASK_EVERY_S)


@pytest.mark.parametrize("write_bytes", [500.0, 20_000.0, 250_000.0])
def test_however_fast_a_backlog_comes_the_last_tenth_stays_free(write_bytes: float) -> None:
    reserve, limit, used = Reserve(), 8_000_000, 1_000_000.0
    asked = 0
    while not reserve.is_held:
        if reserve.must_ask(0.0, write_bytes):
            reserve.told(Memory(used_bytes=round(used), limit_bytes=limit), 0.0)
            asked += 1
            if reserve.is_held:
                break
        reserve.spend(write_bytes)
        used += write_bytes
    assert HOLD_ABOVE * limit <= used <= HOLD_ABOVE * limit + write_bytes + 1
    assert asked < 200  # not before every write


def test_a_held_redis_is_asked_each_time() -> None:
    reserve = Reserve()
    reserve.told(Memory(used_bytes=GB, limit_bytes=GB), 0.0)
    assert reserve.must_ask(0.1)


def test_what_is_to_come_is_the_pace_so_far_over_all_that_is_kept() -> None:
    memory = Memory(used_bytes=100_000_000, limit_bytes=GB)
    after_a_day = expected_bytes(memory, [growth(86_400, DAY_S)], retention_s=14 * DAY_S)
    assert after_a_day == memory.used_bytes + 13 * 86_400 * bytes_in_redis(1000)
    full = [growth(86_400 * 14, 14 * DAY_S)]
    assert expected_bytes(memory, full, retention_s=14 * DAY_S) == memory.used_bytes
    # A journal that is new beside a stream that is not: what is there already is not added again.
    new = [growth(86_400, DAY_S, held=86_400 * 14)]
    assert expected_bytes(memory, new, retention_s=14 * DAY_S) == memory.used_bytes


def test_one_fault_in_a_stream_of_its_own_is_no_pace() -> None:
    memory = Memory(used_bytes=1_000_000, limit_bytes=GB)
    streams = [growth(86_400, DAY_S), growth(1, 0.0)]
    alone = expected_bytes(memory, streams[:1], retention_s=14 * DAY_S)
    both = expected_bytes(memory, streams, retention_s=14 * DAY_S)
    assert alone is not None
    assert both is not None
    assert both - alone < 14 * bytes_in_redis(1000)


def test_some_minutes_say_nothing_of_two_weeks() -> None:
    memory = Memory(used_bytes=1_000_000, limit_bytes=GB)
    assert expected_bytes(memory, [growth(600, 600.0)], retention_s=14 * DAY_S) is None
    assert expected_bytes(memory, [], retention_s=14 * DAY_S) is None
    assert expected_bytes(memory, [growth(0, 0.0)], retention_s=1.0) is None
