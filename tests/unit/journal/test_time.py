"""What a journal deletes, and lets Redis trim, while clocks are wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from inspector.core.entries import StreamId, Tip
from inspector.core.records import Stream
from inspector.journal.file import FILE_NAME
from inspector.journal.journal import Journal
from inspector.journal.station_time import DAY_MS, HOUR_MS, MINUTE_MS
from tests.kit.groups import group
from tests.unit.journal.test_journal import Clocks, event, in_loop, open_journal

RETENTION_S = 14 * 86_400.0
NOW_MS = 1_796_000_000_000
NOTHING_OF_IT = Tip(last_id=StreamId(0, 0), seq=0)


async def deliver(journal: Journal, count: int = 100, first: int = 0) -> None:
    await journal.append([group(event(first + n)) for n in range(count)])
    await journal.main.mark_published(await journal.main.pending(count))


async def run(journal: Journal, clocks: Clocks, ms: int, step_ms: int = 10 * MINUTE_MS) -> None:
    """Time passes, and the worker looks whether something is to be delivered."""
    for _ in range(ms // step_ms):
        clocks.pass_by(step_ms)
        await journal.main.pending(1)


async def kept(journal: Journal) -> int:
    """How many events a Redis that lost all would get again."""
    return (await journal.main.reopen_after(Stream.UNITS, NOTHING_OF_IT)).events


@pytest.mark.parametrize("step_days", [30, 3650, -400])
def test_what_is_minutes_old_stays_however_the_clock_is_set(tmp_path: Path, step_days: int):
    async def main() -> None:
        clocks = Clocks(NOW_MS)
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        await deliver(journal)
        for step_ms in (step_days * DAY_MS, -step_days * DAY_MS):
            clocks.unix_ms += step_ms
            await run(journal, clocks, HOUR_MS)
            assert await journal.main.trim_floor(Stream.UNITS, RETENTION_S) is None
            journal.close()  # a restart while the clock is wrong
            journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
            await run(journal, clocks, HOUR_MS)
            assert await journal.main.trim_floor(Stream.UNITS, RETENTION_S) is None
        assert await kept(journal) == 100
        journal.close()

    in_loop(main)


def test_what_came_while_the_clock_was_a_year_ahead_goes_when_it_is_old(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks(NOW_MS + 365 * DAY_MS)
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        await deliver(journal)
        clocks.unix_ms -= 365 * DAY_MS
        await deliver(journal, first=100)
        last_old = journal.main.delivered[Stream.UNITS]
        assert last_old.ms > clocks.unix_ms  # IDs stay ahead
        await run(journal, clocks, 8 * DAY_MS, HOUR_MS)
        await deliver(journal, first=200)
        await run(journal, clocks, 7 * DAY_MS, HOUR_MS)
        assert await journal.main.trim_floor(Stream.UNITS, RETENTION_S) == last_old.following()
        assert await kept(journal) == 100
        await run(journal, clocks, 8 * DAY_MS, HOUR_MS)
        assert await kept(journal) == 0
        journal.close()

    in_loop(main)


def test_a_dead_battery_in_a_boot_before_makes_nothing_old(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks(NOW_MS - 400 * DAY_MS)
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        await deliver(journal)
        journal.close()
        clocks.boot_id, clocks.boot_ms = "second", 30_000
        clocks.unix_ms, clocks.is_synchronised = NOW_MS, True
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        await run(journal, clocks, 2 * DAY_MS)
        assert await journal.main.trim_floor(Stream.UNITS, RETENTION_S) is None
        assert await kept(journal) == 100
        journal.close()

    in_loop(main)


def test_the_nights_in_which_the_machine_is_off_count_with_a_time_server(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks(NOW_MS)
        clocks.is_synchronised = True
        for day in range(16):
            journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
            await deliver(journal, first=day * 100)
            await run(journal, clocks, 8 * HOUR_MS)
            journal.close()
            clocks.boot_id, clocks.boot_ms = f"day {day}", 30_000
            clocks.unix_ms += 16 * HOUR_MS
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        await run(journal, clocks, 2 * HOUR_MS)
        # Days 0 and 1 are 15 days old and more; day 2 is 14 days and two hours old, and was
        # delivered at most a look before the time server had vouched for that day's clock.
        assert 1300 <= await kept(journal) <= 1400
        journal.close()

    in_loop(main)


def test_streams_may_keep_events_for_longer_than_the_journal(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks(NOW_MS)
        options: dict[str, Any] = {
            "retention_s": 3600.0,
            "stream_retention_s": 3 * 3600.0,
            "read_clocks": clocks,
        }
        journal = open_journal(tmp_path, **options)
        await deliver(journal)
        last = journal.main.delivered[Stream.UNITS]
        for hours, floor in ((2, None), (2, last.following()), (10, last.following())):
            await run(journal, clocks, hours * HOUR_MS)
            assert await journal.main.trim_floor(Stream.UNITS, 3 * 3600.0) == floor
            assert await kept(journal) == 0
        journal.close()

    in_loop(main)


def test_a_power_cut_takes_a_minute_of_age_and_no_more(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks(NOW_MS)
        journal = open_journal(tmp_path, retention_s=3600.0, read_clocks=clocks)
        await deliver(journal)
        await run(journal, clocks, 59 * MINUTE_MS, MINUTE_MS)
        journal.close()
        clocks.boot_id, clocks.boot_ms = "second", 30_000
        journal = open_journal(tmp_path, retention_s=3600.0, read_clocks=clocks)
        await run(journal, clocks, 5 * MINUTE_MS, MINUTE_MS)
        assert await kept(journal) == 0
        journal.close()

    in_loop(main)


def forge_deliveries(folder: Path, minutes: list[int]) -> None:
    """As a journal that an inspector of before wrote: by the wall clock, without station time."""
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
        for table in ("marks", "station_time"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE events DROP COLUMN station_ms")
        connection.executemany(
            "INSERT INTO deliveries VALUES ('units', ?, ?)",
            [(minute, 10 * (n + 1)) for n, minute in enumerate(minutes)],
        )


@pytest.mark.parametrize(
    ("days", "gone"),
    [
        ([0, 3, 6, 9, 12, 13], 0),
        ([0, 3, 6, 9, 12, 15, 18], 20),  # older than 14 days, counted from the newest
        ([0, 1, 31, 32], 0),  # a clock that was ahead, or a month off: nobody knows
        ([0, 30, 1, 2, 3], 0),
        ([400, 0, 1, 2], 0),
    ],
)
def test_a_journal_of_before_is_taken_over_without_making_anything_too_old(
    tmp_path: Path, days: list[int], gone: int
):
    async def main() -> None:
        clocks = Clocks(NOW_MS)
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        await deliver(journal, 10 * len(days))
        journal.close()
        minute = NOW_MS // MINUTE_MS
        forge_deliveries(tmp_path, [minute + day * 1440 for day in days])
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        await run(journal, clocks, HOUR_MS)
        assert await kept(journal) == 10 * len(days) - gone
        floor = await journal.main.trim_floor(Stream.UNITS, RETENTION_S)
        assert floor == (StreamId(NOW_MS, gone) if gone else None)
        await run(journal, clocks, 15 * DAY_MS, HOUR_MS)
        journal.close()
        journal = open_journal(tmp_path, retention_s=RETENTION_S, read_clocks=clocks)
        assert await kept(journal) == 0
        journal.close()

    in_loop(main)


def test_an_inspector_of_before_can_still_use_the_file(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path, read_clocks=Clocks(NOW_MS))
        await deliver(journal)
        journal.close()
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as before:
            assert before.execute("PRAGMA user_version").fetchone() == (1,)
            before.execute(
                "INSERT INTO events (stream, seq, id_ms, id_n, event_id, schema, time, unit_id,"
                " result, body, journaled_ms) VALUES ('units', 101, ?, 500, 'x', 's', 't', 'u',"
                " 'PASSED', x'7b7d', ?)",
                (NOW_MS, NOW_MS),
            )
            before.execute("UPDATE streams SET last_seq = 101, last_n = 500")
        journal = open_journal(tmp_path, read_clocks=Clocks(NOW_MS))
        assert [row.seq for row in await journal.main.pending(10)] == [101]
        assert journal.main.oldest_pending_age_s >= 0
        journal.close()

    in_loop(main)
