"""One delivery per sink: what one goes through is nothing to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from inspector.core.entries import JournalRow, StreamId
from inspector.core.records import Stream
from inspector.journal.journal import Journal
from inspector.publish.sink_worker import SinkTelemetry, SinkWorker
from inspector.publish.throttle import ThrottleLimits
from tests.kit.groups import group
from tests.kit.memory_sink import MemorySink
from tests.unit.journal.test_journal import event, in_loop, open_journal

ALL = frozenset(Stream)


class Seen(SinkTelemetry):
    def __init__(self) -> None:
        self.states: list[tuple[bool, str]] = []
        self.published = 0
        self.lost = 0
        self.changed = asyncio.Event()

    def on_up(self, up: bool, cause: str) -> None:  # noqa: FBT001 - as its base class
        self.states.append((up, cause))
        self.changed.set()

    def on_published(self, stream: Stream, events: int) -> None:
        assert stream is Stream.UNITS
        self.published += events
        self.changed.set()

    def on_lost(self, stream: Stream, events: int) -> None:
        assert stream is Stream.UNITS
        self.lost += events

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Sinks:
    """A journal with Redis's place taken by one sink in memory, and a further one."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.main, self.archive = MemorySink(), MemorySink()
        self.seen_main, self.seen = Seen(), Seen()
        self.workers = [
            SinkWorker(cursor, sink, telemetry=seen, retention_s=1e9, pace=ThrottleLimits())
            for cursor, sink, seen in (
                (journal.main, self.main, self.seen_main),
                (journal.cursor("archive"), self.archive, self.seen),
            )
        ]
        self.appended = 0

    async def append(self, events: int) -> None:
        numbers = range(self.appended, self.appended + events)
        self.appended += events
        await self.journal.append([group(event(n)) for n in numbers])
        for worker in self.workers:
            worker.wake()


@asynccontextmanager
async def running(folder: Path, **journal_options) -> AsyncIterator[Sinks]:
    journal = open_journal(folder, further_sinks={"archive": ALL}, **journal_options)
    sinks = Sinks(journal)
    tasks = [asyncio.create_task(worker.run_until_cancelled()) for worker in sinks.workers]
    try:
        yield sinks
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        journal.close()
    assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended


def units(rows: list[JournalRow]) -> list[str]:
    return [row.unit_id for row in rows]


def expected(count: int) -> list[str]:
    return [f"unit-{n}" for n in range(count)]


def test_one_that_never_answers_holds_up_no_other(tmp_path: Path):
    async def main() -> None:
        async with running(tmp_path) as sinks:
            sinks.archive.gate.clear()
            await sinks.append(300)
            await sinks.seen_main.until(lambda: sinks.seen_main.published == 300)
            assert sinks.archive.rows == []
            sinks.archive.gate.set()
            await sinks.seen.until(lambda: sinks.seen.published == 300)
            assert units(sinks.archive.rows) == units(sinks.main.rows) == expected(300)

    in_loop(main)


def test_one_that_is_away_says_why_and_gets_everything_when_it_is_back(tmp_path: Path):
    async def main() -> None:
        async with running(tmp_path) as sinks:
            sinks.archive.away = "its disk is full"
            await sinks.append(5)
            await sinks.seen.until(lambda: (False, "its disk is full") in sinks.seen.states)
            sinks.archive.away = ""
            await sinks.seen.until(lambda: sinks.seen.published == 5)
            assert sinks.seen.states[-1] == (True, "")
            assert units(sinks.archive.rows) == expected(5)

    in_loop(main)


def test_rows_whose_answer_was_lost_are_not_added_again(tmp_path: Path):
    async def main() -> None:
        async with running(tmp_path) as sinks:
            sinks.archive.is_cut_off = True
            await sinks.append(5)
            await sinks.seen.until(lambda: (False, "the answer was lost") in sinks.seen.states)
            sinks.archive.is_cut_off = False
            await sinks.append(5)
            await sinks.seen.until(lambda: sinks.seen.published == 10)
            assert units(sinks.archive.rows) == expected(10)

    in_loop(main)


def test_one_that_was_set_back_gets_again_what_it_lost(tmp_path: Path):
    async def main() -> None:
        async with running(tmp_path) as sinks:
            await sinks.append(10)
            await sinks.seen.until(lambda: sinks.seen.published == 10)
            del sinks.archive.rows[4:]
            await sinks.append(2)
            await sinks.seen.until(lambda: len(sinks.archive.rows) == 12)
            assert units(sinks.archive.rows) == units(sinks.main.rows) == expected(12)

    in_loop(main)


def test_a_failure_that_nobody_foresaw_stops_no_line(tmp_path: Path):
    async def main() -> None:
        async with running(tmp_path) as sinks:
            sinks.archive.rows = None  # type: ignore[assignment]
            await sinks.append(3)
            await sinks.seen_main.until(lambda: sinks.seen_main.published == 3)
            await sinks.seen.until(lambda: bool(sinks.seen.states))
            up, cause = sinks.seen.states[-1]
            assert not up
            assert cause.startswith("it failed, see the log: TypeError")
            sinks.archive.rows = []
            await sinks.seen.until(lambda: sinks.seen.published == 3)

    in_loop(main)


def test_what_a_full_journal_could_not_keep_for_it_is_counted_once(tmp_path: Path):
    async def main() -> None:
        async with running(tmp_path, limit_bytes=600_000) as sinks:
            sinks.archive.gate.clear()
            for _ in range(40):
                await sinks.append(100)
                await sinks.seen_main.until(lambda: sinks.seen_main.published == sinks.appended)
            sinks.archive.gate.set()
            await sinks.seen.until(lambda: sinks.seen.published + sinks.seen.lost == 4000)
            assert sinks.seen.lost > 0
            assert units(sinks.archive.rows) == expected(4000)[sinks.seen.lost :]
            assert units(sinks.main.rows) == expected(4000)

    in_loop(main)


def test_rows_that_were_numbered_anew_after_a_lost_answer_are_known_by_their_name(tmp_path: Path):
    """The archive took them; then Redis's stream made the journal give them other IDs."""

    async def main() -> None:
        async with running(tmp_path) as sinks:
            sinks.main.away = "down"
            sinks.archive.is_cut_off = True
            await sinks.append(3)
            await sinks.seen.until(lambda: (False, "the answer was lost") in sinks.seen.states)
            sinks.archive.gate.clear()
            foreign = (await sinks.journal.main.pending(1))[0]
            later = StreamId(foreign.entry_id.ms + 10**6, 0)
            sinks.main.rows = [replace(foreign, event_id="theirs", entry_id=later, seq=50)]
            sinks.main.away = ""
            await sinks.seen_main.until(lambda: sinks.seen_main.published == 3)
            assert [row.seq for row in sinks.main.rows] == [50, 51, 52, 53]
            sinks.archive.is_cut_off = False
            sinks.archive.gate.set()
            await sinks.append(1)
            await sinks.seen.until(lambda: sinks.journal.cursor("archive").pending_count == 0)
            assert units(sinks.archive.rows) == expected(4)

    in_loop(main)
