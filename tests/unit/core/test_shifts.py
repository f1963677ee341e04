"""When a shift and a day began, by the clock on the wall, whatever was done to it meanwhile."""

import functools
import os
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspector.core.shifts import day_start, local_time, shift_start

THREE = (time(6), time(14), time(22))
ZONE = timezone(timedelta(hours=2))
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
"""As POSIX writes it, which needs no files of zones."""
BRAZIL = "<-03>3<-02>,M10.3.0/0,M2.3.0/0"
"""As it once was: a day in spring had no midnight."""
NEWFOUNDLAND = "NST3:30NDT,M4.1.0/0:01,M10.5.0/0:01"
"""As it once was: a minute after a midnight in autumn, it was yesterday again."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def in_zone(wall: datetime) -> datetime:
    return wall.replace(tzinfo=ZONE)


@contextmanager
def clock_of(zone: str) -> Iterator[None]:
    """This machine's clock is one of that zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    clock.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        clock.tzset()


def local(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, tz=UTC).astimezone()


@pytest.mark.parametrize(("now", "begun"), [
    ("2026-03-04 06:00:00", "2026-03-04 06:00:00"),
    ("2026-03-04 13:59:59", "2026-03-04 06:00:00"),
    ("2026-03-04 14:00:01", "2026-03-04 14:00:00"),
    ("2026-03-04 23:30:00", "2026-03-04 22:00:00"),
    ("2026-03-04 05:59:59", "2026-03-03 22:00:00"),
    ("2026-03-01 00:00:00", "2026-02-28 22:00:00"),
])  # fmt: skip
def test_a_shift_began_at_the_latest_of_its_times(now, begun):
    assert shift_start(at(now), THREE, in_zone) == at(begun)


def test_one_shift_a_day_lasts_a_day():
    begun = shift_start(at("2026-03-04 05:00:00"), (time(7, 30),), in_zone)
    assert begun == at("2026-03-03 07:30:00")


def test_a_day_begins_at_midnight_where_the_station_is():
    assert day_start(at("2026-03-04 00:00:01"), in_zone) == at("2026-03-04 00:00:00")
    assert day_start(at("2026-03-04 23:59:59"), in_zone).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(("now", "shift", "day"), [
    ("2026-03-29T05:00+02:00", "2026-03-28T22:00+01:00", "2026-03-29T00:00+01:00"),
    ("2026-03-29T10:00+02:00", "2026-03-29T06:00+02:00", "2026-03-29T00:00+01:00"),
    ("2026-10-25T02:30+01:00", "2026-10-24T22:00+02:00", "2026-10-25T00:00+02:00"),
    ("2026-10-25T23:00+01:00", "2026-10-25T22:00+01:00", "2026-10-25T00:00+02:00"),
])  # fmt: skip
def test_what_began_before_the_clocks_were_changed_began_by_the_clock_of_then(now, shift, day):
    with clock_of(BERLIN):
        here = datetime.fromisoformat(now).astimezone()
        found = (shift_start(here, THREE, local_time), day_start(here, local_time))
    assert [begun.isoformat(timespec="minutes") for begun in found] == [shift, day]


def test_a_start_that_the_clock_skips_comes_so_much_later():
    with clock_of(BERLIN):
        begun = shift_start(local(at_s := 1774746000), (time(2, 30),), local_time)
        assert (local(at_s).hour, begun.date().day) == (3, 28), "not yet"
        begun = shift_start(local(at_s + 1800), (time(2, 30),), local_time)
    assert begun.isoformat(timespec="minutes") == "2026-03-29T03:30+02:00"


def test_a_day_without_a_midnight_begins_with_its_first_hour():
    with clock_of(BRAZIL):
        begun = day_start(datetime.fromisoformat("2026-10-18T12:00-02:00"), local_time)
    assert begun.isoformat(timespec="minutes") == "2026-10-18T01:00-02:00"


ZONES = (
    "UTC0",
    BERLIN,
    "NPT-5:45",
    "EST5EDT,M3.2.0,M11.1.0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",  # Lord Howe: half an hour
    BRAZIL,
    "<-01>1<+00>,M3.5.0/0,M10.5.0/1",  # the Azores: midnight twice in autumn
    NEWFOUNDLAND,
)
YEAR_S = range(
    round(datetime(2026, 1, 1, tzinfo=UTC).timestamp()),
    round(datetime(2027, 1, 1, tzinfo=UTC).timestamp()),
    3600,
)
all_starts = st.sets(st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30])), min_size=1)


@functools.cache
def changes_s(zone: str) -> list[int]:
    """When its clocks are changed."""
    with clock_of(zone):
        offsets = [clock.localtime(at_s).tm_gmtoff for at_s in YEAR_S]
    pairs = zip(YEAR_S, offsets, offsets[1:], strict=False)
    return [at_s for at_s, before, after in pairs if before != after]


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, int]:
    """A zone, and seconds since the epoch: many of them around a change of its clocks."""
    zone = draw(st.sampled_from(ZONES))
    some_day = st.integers(YEAR_S[0], YEAR_S[-1])
    about = some_day
    if changes_s(zone):
        about |= st.sampled_from(changes_s(zone)).flatmap(
            lambda at_s: st.integers(at_s - 4 * 3600, at_s + 36 * 3600)
        )
    return zone, draw(about)


@example((BERLIN, 1792890600), {time(2, 30)}, 60)  # 02:10, the second
@example((NEWFOUNDLAND, 1792897200), {time(0)}, 60)  # 23:30, the second
@given(moments(), all_starts, st.integers(0, 30 * 3600))
def test_a_shift_runs_until_the_wall_shows_the_start_of_another(moment, starts, later_s):
    zone, now_s = moment
    with clock_of(zone):
        begun = shift_start(local(now_s), sorted(starts), local_time)
        begun_s = round(begun.timestamp())
        assert 0 <= now_s - begun_s <= 25 * 3600
        again = shift_start(local(begun_s), sorted(starts), local_time)
        assert again == begun, "it began when it began"
        after = shift_start(local(now_s + later_s), sorted(starts), local_time)
        assert after >= begun
        shown = set()
        for at_s in range(begun_s // 60 * 60 - 3600, now_s + 1, 60):
            wall = local(at_s)
            new = wall.replace(tzinfo=None) not in shown
            shown.add(wall.replace(tzinfo=None))
            assert not (new and at_s > begun_s and wall.time() in starts), "another began"
        skipped = local(begun_s - 2 * 3600).utcoffset() != begun.utcoffset()
        assert skipped or begun.time() in starts


@settings(max_examples=300)
@given(moments())
def test_a_day_is_all_the_time_for_which_the_wall_shows_its_date(moment):
    zone, now_s = moment
    with clock_of(zone):
        now = local(now_s)
        begun = day_start(now, local_time)
        assert begun.timestamp() <= now_s
        assert local(begun.timestamp()).date() == now.date()
        assert local(begun.timestamp() - 1).date() < now.date()
