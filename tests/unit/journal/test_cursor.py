"""Several sinks, each with a cursor of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from inspector.core.entries import StreamId, Tip
from inspector.core.records import Stream
from inspector.journal.file import FILE_NAME
from inspector.journal.journal import Journal
from tests.kit.groups import group
from tests.unit.journal.test_journal import Clocks, event, in_loop, open_journal, unit_with_defect

ALL = frozenset(Stream)
HOUR_S = 3600.0


def opened(folder: Path, clocks: Clocks | None = None, **more) -> Journal:
    options = {"further_sinks": {"archive": ALL}} | more
    return open_journal(folder, read_clocks=clocks or Clocks(), **options)


async def units_of(journal: Journal, sink: str) -> list[int]:
    rows = await journal.cursor(sink).pending_of(Stream.UNITS, 100_000)
    return [row.seq for row in rows]


def test_each_sink_has_what_it_took_and_no_other_has_it(tmp_path: Path):
    async def main() -> None:
        journal = opened(tmp_path)
        await journal.append([unit_with_defect(n) for n in range(3)])
        archive = journal.cursor("archive")
        assert (journal.main.pending_count, archive.pending_count) == (6, 6)
        await journal.main.mark_published(await journal.main.pending(100))
        await archive.mark_published(await archive.pending(2))
        assert (journal.main.pending_count, archive.pending_count) == (0, 4)
        journal.close()
        journal = opened(tmp_path)
        archive = journal.cursor("archive")
        assert (journal.main.pending_count, archive.pending_count) == (0, 4)
        assert archive.delivered_seq[Stream.UNITS] == 1
        journal.close()

    in_loop(main)


def test_a_new_sink_gets_what_is_there_and_only_of_the_streams_that_it_takes(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        await journal.append([unit_with_defect(n) for n in range(3)])
        await journal.main.mark_published(await journal.main.pending(100))
        journal.close()
        journal = opened(tmp_path, further_sinks={"archive": {Stream.UNITS}})
        await journal.append([unit_with_defect(3)])
        assert await units_of(journal, "archive") == [1, 2, 3, 4]
        assert journal.cursor("archive").pending_count == 4
        assert journal.cursor("archive").streams == {Stream.UNITS}
        journal.close()

    in_loop(main)


def test_a_file_of_before_there_were_further_sinks_goes_on(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        await journal.append([unit_with_defect(n) for n in range(5)])
        await journal.main.mark_published(await journal.main.pending(4))
        delivered = journal.main.delivered[Stream.UNITS]
        journal.close()
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            file.execute("DROP TABLE cursors")
        journal = opened(tmp_path)
        assert journal.main.delivered[Stream.UNITS] == delivered
        assert [r.seq for r in await journal.main.pending_of(Stream.UNITS, 10)] == [3, 4, 5]
        assert await units_of(journal, "archive") == [1, 2, 3, 4, 5]
        journal.close()

    in_loop(main)


async def old_and_delivered(journal: Journal, clocks: Clocks, units: int) -> None:
    """The main sink has had so many units for longer than they are kept."""
    await journal.append([group(event(n)) for n in range(units)])
    await journal.main.mark_published(await journal.main.pending(units))
    for _ in range(units // 100 + 3):  # each commit deletes a few
        clocks.pass_by(2 * 3600 * 1000)
        await journal.raise_counters({"tick": 1})


def test_what_a_further_sink_has_not_got_is_kept_however_old_it_is(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks()
        journal = opened(tmp_path, clocks, retention_s=HOUR_S)
        await old_and_delivered(journal, clocks, 30)
        archive = journal.cursor("archive")
        assert await units_of(journal, "archive") == list(range(1, 31))
        assert await archive.trim_floor(Stream.UNITS, HOUR_S) == StreamId(0, 0)
        await archive.mark_published(await archive.pending(20))
        clocks.pass_by(2000)
        await journal.raise_counters({"tick": 2})
        assert await units_of(journal, "archive") == list(range(21, 31))
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            assert file.execute("SELECT min(seq) FROM events").fetchone() == (21,)
        journal.close()

    in_loop(main)


def test_a_sink_that_is_no_longer_in_the_settings_keeps_nothing(tmp_path: Path):
    async def main() -> None:
        opened(tmp_path).close()
        clocks = Clocks()
        journal = open_journal(tmp_path, read_clocks=clocks, retention_s=HOUR_S)
        await old_and_delivered(journal, clocks, 30)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            assert file.execute("SELECT count(*) FROM events").fetchone() == (0,)
        journal.close()

    in_loop(main)


def test_a_sink_that_takes_nothing_does_not_fill_the_journal(tmp_path: Path):
    async def main() -> None:
        limit_bytes = 600_000
        journal = opened(tmp_path, limit_bytes=limit_bytes)
        for first in range(0, 4000, 100):
            await journal.append([group(event(n)) for n in range(first, first + 100)])
            await journal.main.mark_published(await journal.main.pending(100))
        assert journal.used_bytes < limit_bytes
        left = await units_of(journal, "archive")
        assert left[-1] == 4000
        assert left[0] > 1, "what the main sink has went before its time"
        assert left == list(range(left[0], 4001))
        journal.close()

    in_loop(main)


def test_when_the_numbering_follows_the_main_sink_another_sink_goes_on_behind_what_it_has(
    tmp_path: Path,
):
    """Redis had number 40 already; the archive has three of the five that it has not."""

    async def main() -> None:
        journal = opened(tmp_path)
        await journal.append([group(event(n)) for n in range(5)])
        archive = journal.cursor("archive")
        await archive.mark_published(await archive.pending(3))
        tip = Tip(last_id=StreamId(2_000_000, 0), event_id="theirs", seq=40)
        assert await journal.main.continue_after(Stream.UNITS, tip) == 5
        assert [r.seq for r in await journal.main.pending(10)] == [41, 42, 43, 44, 45]
        rows = await archive.pending(10)
        assert [(r.seq, r.unit_id) for r in rows] == [(44, "unit-3"), (45, "unit-4")]
        assert archive.pending_count == 2
        journal.close()

    in_loop(main)


def test_a_sink_whose_end_is_not_ours_is_continued_without_new_numbers(tmp_path: Path):
    async def main() -> None:
        journal = opened(tmp_path)
        await journal.append([group(event(n)) for n in range(2)])
        before = await journal.main.pending(10)
        tip = Tip(last_id=StreamId(2_000_000, 0), event_id="theirs", seq=40)
        archive = journal.cursor("archive")
        assert await archive.continue_after(Stream.UNITS, tip) == 0
        assert archive.delivered[Stream.UNITS] == tip.last_id
        assert await archive.pending(10) == before
        assert await journal.main.pending(10) == before
        journal.close()

    in_loop(main)
