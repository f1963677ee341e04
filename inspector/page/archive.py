"""Reads the journal for people: finds and counts units, beside the thread that writes it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import orjson

from inspector.core.errors import RetryableError
from inspector.core.records import Stream
from inspector.intake.stream_reader import Answered
from inspector.journal.file import FILE_NAME
from inspector.page import archive_rows as sql
from inspector.page.archive_rows import StoredEvent, UnitPage, UnitQuery
from inspector.page.figures import KEPT_MINUTES, SECONDS_PER_MINUTE, Figures
from inspector.products.command_stream import identity_of
from inspector.reviews.standing import KeptReview, ReviewBook, kept_review, standing

T = TypeVar("T")

LAST_TRIGGERED_STEPS = 20
ANSWERED_STEPS = 20
"""How many steps of a thousand units are searched, whatever the clocks say."""
STEP_S = 60.0
"""A wall clock that moves by more than this against the monotonic one was set."""
PAUSE_S = 0.002
"""The pause between two steps of counting, in which other requests are served."""


class ArchiveUnreadableError(RetryableError):
    """The journal cannot be read now."""


class Archive:
    """Reads the journal's file through a connection of its own, in one thread; never writes.

    Nothing is done without a request. Figures are counted at a request: a day of them the first
    time after a start, later only what came since. Event loop only.
    """

    def __init__(self, folder: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE_NAME
        self._now_s = now_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._figures = Figures()
        self._wall_s = now_s() - time.monotonic()
        self._counted_seq: int | None = None
        self._reviewed_seq = 0
        self._book = ReviewBook()

    async def units(self, query: UnitQuery) -> UnitPage:
        """A page of units, the newest first.

        Raises:
            ArchiveUnreadableError: the journal cannot be read.

        """

        def read(connection: sqlite3.Connection) -> UnitPage:
            if query.reviewed is not None:
                self._read_reviews(connection)
            return sql.units(connection, query)

        return await self._ask(read)

    async def unit(self, event_id: str) -> StoredEvent | None:
        """The unit event with this ULID; None when there is none, or none any more.

        Raises:
            ArchiveUnreadableError: the journal cannot be read.

        """
        return await self._ask(lambda c: sql.unit(c, event_id))

    async def reviews_of(self, event_ids: list[str]) -> dict[str, tuple[KeptReview, ...]]:
        """All reviews of these units, oldest first; empty for units without any.

        Raises:
            ArchiveUnreadableError: the journal cannot be read.

        """

        def read(connection: sqlite3.Connection) -> dict[str, tuple[KeptReview, ...]]:
            self._read_reviews(connection)
            return {i: self._book.of(i) for i in event_ids}

        return await self._ask(read)

    async def figures(self, ask: Callable[[Figures, ReviewBook], T]) -> T:
        """Answer a question about the last day, counted up to now, and about all reviews.

        Raises:
            ArchiveUnreadableError: the journal cannot be read.

        """
        while not await self._ask(self._count_some):  # noqa: ASYNC110 - polite, not waiting
            await asyncio.sleep(PAUSE_S)

        def answer(connection: sqlite3.Connection) -> T:
            self._read_reviews(connection)
            self._figures.forget_before(self._now_s())
            return ask(self._figures, self._book)

        return await self._ask(answer)

    async def last(self) -> tuple[str, str] | None:
        """Entry and unit of the newest verdict on a trigger of the stream; None without any.

        Searches the last `LAST_TRIGGERED_STEPS` thousand units.

        Raises:
            ArchiveUnreadableError: the journal cannot be read.

        """
        async for units in self._triggered_units(LAST_TRIGGERED_STEPS):
            for entry, unit in units:
                if entry is not None:
                    return entry, unit
        return None

    async def answered(self, entries: Mapping[str, str], *, since_ms: int) -> set[str]:
        """The newest of these triggers (entry, unit) that have their verdict in the journal.

        Searches back until some were found, but not far beyond `since_ms` by our clock.

        Raises:
            ArchiveUnreadableError: the journal cannot be read.

        """
        known: set[str] = set()
        async for units in self._triggered_units(ANSWERED_STEPS, since_ms=since_ms):
            before = len(known)
            known |= {e for e, unit in units if e is not None and entries.get(e) == unit}
            if before and before == len(known):
                # Verdicts of different cameras come in nearly the order of their triggers, but not
                # exactly.
                break
        return known

    async def _triggered_units(
        self, steps: int, *, since_ms: int | None = None
    ) -> AsyncIterator[list[tuple[str | None, str]]]:
        """Trigger entries and units, a step at a time, the newest first."""
        before = await self._ask(lambda c: sql.last_seq(c, Stream.UNITS)) + 1
        floor = 1
        if since_ms is not None:
            floor = await self._ask(lambda c: sql.first_seq_since(c, since_ms))
        done = 0
        while before > 1 and (done < steps or (since_ms is not None and before > floor)):
            found = await self._ask(partial(sql.triggered_units, before_seq=before))
            if not found:
                return
            yield [(entry, unit) for _seq, entry, unit in found]
            before = found[-1][0]
            done += 1
            await asyncio.sleep(PAUSE_S)

    async def commands(
        self, steps: int, *, since_ms: int | None = None
    ) -> AsyncIterator[list[tuple[str | None, str]]]:
        """Entries and identities of answered commands, a step at a time, the newest first.

        Raises:
            ArchiveUnreadableError: the journal cannot be read.

        """
        before = await self._ask(lambda c: sql.last_seq(c, Stream.CHANGES)) + 1
        floor = 1
        if since_ms is not None:
            floor = await self._ask(lambda c: sql.first_seq_since(c, since_ms, Stream.CHANGES))
        done = 0
        while before > 1 and (done < steps or (since_ms is not None and before > floor)):
            found = await self._ask(partial(sql.answered_commands, before_seq=before))
            if not found:
                return
            yield [(entry, identity_of(name, fields)) for _seq, entry, name, fields in found]
            before = found[-1][0]
            done += 1
            await asyncio.sleep(PAUSE_S)

    def close(self) -> None:
        """Finish pending requests and close the connection. Blocks for a moment."""
        self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=True)

    async def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            try:
                return work(self._connected())
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                raise ArchiveUnreadableError(f"the journal cannot be read: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)

    # In the thread.

    def _connected(self) -> sqlite3.Connection:
        found = self._path.stat() if self._path.exists() else None
        inode = None if found is None else (found.st_dev, found.st_ino)
        if inode != self._inode:  # removed, and created again by the journal
            self._disconnect()
        if self._connection is None:
            self._inode = inode
            # Read-only: no error here can change the journal.
            self._connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
            self._connection.execute("PRAGMA busy_timeout = 1000")
            self._connection.create_function("reviewed", 1, self._is_reviewed)
        return self._connection

    def _is_reviewed(self, event_id: str) -> bool:
        return bool(standing(self._book.of(event_id)))

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _count_some(self, connection: sqlite3.Connection) -> bool:
        """Count the next units; true once all are."""
        self._count_anew_if_clock_was_set()
        if self._counted_seq is None:
            since_s = self._now_s() - KEPT_MINUTES * SECONDS_PER_MINUTE
            self._counted_seq = sql.first_seq_since(connection, int(since_s * 1000)) - 1
        counted = 0
        for seq, fact in sql.facts_after(connection, self._counted_seq):
            if fact is not None:
                self._figures.add(fact)
            self._counted_seq = seq
            counted += 1
        return counted < sql.FACTS_PER_STEP

    def _count_anew_if_clock_was_set(self) -> None:
        """A clock that was ahead caused figures of today to be forgotten."""
        wall_s = self._now_s() - time.monotonic()
        if abs(wall_s - self._wall_s) > STEP_S:
            self._wall_s, self._counted_seq, self._figures = wall_s, None, Figures()

    def _read_reviews(self, connection: sqlite3.Connection) -> None:
        newest = sql.last_seq(connection, Stream.REVIEWS)
        while self._reviewed_seq < newest:
            for seq, body in sql.reviews_after(connection, self._reviewed_seq):
                self._book.add(kept_review(orjson.loads(body)))
                self._reviewed_seq = seq


class AnsweredCommands(Answered):
    """Finds which commands of the stream have their answer in the journal. Event loop only."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def last(self) -> tuple[str, str] | None:
        """Entry and identity of the last one that was answered; None without any."""
        async for answers in self._archive.commands(LAST_TRIGGERED_STEPS):
            for entry, identity in answers:
                if entry is not None:
                    return entry, identity
        return None

    async def answered(self, entries: Mapping[str, str], *, since_ms: int) -> set[str]:
        """The newest of these commands (entry, identity) that are answered."""
        known: set[str] = set()
        async for answers in self._archive.commands(ANSWERED_STEPS, since_ms=since_ms):
            known |= {e for e, identity in answers if e is not None and entries.get(e) == identity}
            if known:
                break  # they are answered in order
        return known
