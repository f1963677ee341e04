from datetime import datetime, time, timedelta, timezone

import pytest

from inspector.ops.shifts import day_start, shift_start

THREE = (time(6), time(14), time(22))
ZONE = timezone(timedelta(hours=2))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


@pytest.mark.parametrize(("now", "begun"), [
    ("2026-03-04 06:00:00", "2026-03-04 06:00:00"),
    ("2026-03-04 13:59:59", "2026-03-04 06:00:00"),
    ("2026-03-04 14:00:01", "2026-03-04 14:00:00"),
    ("2026-03-04 23:30:00", "2026-03-04 22:00:00"),
    ("2026-03-04 05:59:59", "2026-03-03 22:00:00"),
    ("2026-03-01 00:00:00", "2026-02-28 22:00:00"),
])  # fmt: skip
def test_a_shift_began_at_the_latest_of_its_times(now, begun):
    assert shift_start(at(now), THREE) == at(begun)


def test_one_shift_a_day_lasts_a_day():
    assert shift_start(at("2026-03-04 05:00:00"), (time(7, 30),)) == at("2026-03-03 07:30:00")


def test_a_day_begins_at_midnight_where_the_station_is():
    assert day_start(at("2026-03-04 00:00:01")) == at("2026-03-04 00:00:00")
    assert day_start(at("2026-03-04 23:59:59")).utcoffset() == timedelta(hours=2)
