"""The durable local log that every event enters before Redis sees it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from inspector.core.plain_text import as_json
from inspector.core.records import Event, EventGroup, Stream
from inspector.journal import rows as sql
from inspector.journal.clocks import read_clocks
from inspector.journal.file import (
    FileKeeper,
    FolderLock,
    note_damage,
    open_journal_file,
    salvage,
)
from inspector.journal.pruning import Pruning
from inspector.journal.room import LOOK_FOR_ROOM_S, UNLIMITED, Causes, Room
from inspector.journal.rows import JournalRow, Refill
from inspector.journal.sqlite_thread import SqliteThread
from inspector.journal.station_time import Known, Reading
from inspector.journal.stream_ids import NOTHING, StreamId, Tip
from inspector.journal.time import StationTime, old_through
from inspector.redis_io.room import StreamPace

Counters = Mapping[str, int]
Notes = Mapping[str, str]


def no_counters(group: EventGroup) -> Counters:
    """Count nothing besides."""
    del group
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """What the journal holds, as of the last commit."""

    pending: int
    oldest_pending_ms: int | None
    oldest_ms: int | None
    used_bytes: int
    delivered: Mapping[Stream, StreamId]
    delivered_seq: Mapping[Stream, int]
    counters: Counters
    notes: Notes


class Journal:
    """An SQLite file that gives every event its `seq` and its entry ID, once and for good.

    Safe in a power cut: what `append` returned for is on the disk. An event stays pending until
    `mark_published`, and for `retention_s` after that, so that a Redis which lost it can get it
    again. While Redis is away the file grows, up to `limit_bytes`: when it is nearly full, what
    Redis has is deleted before its time; when what Redis has not taken fills it, `append` waits
    until Redis takes some. Nothing undelivered is ever dropped.

    Event loop only, except `open` and the properties. Methods wait while the disk is full.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock: FolderLock,
        *,
        counters_of: Callable[[EventGroup], Counters],
        room: Room,
        set_aside: Path | None,
        thread: Callable[[Callable[[sqlite3.Connection], None]], SqliteThread],
        time: StationTime,
        retention_s: float,
    ) -> None:
        self._lock = lock
        self._counters_of = counters_of
        self._time = time
        self.retention_s = retention_s
        """How long an event is kept after Redis got it, room permitting."""
        self._room = room
        self._at_end = False
        self.set_aside = set_aside
        """Where a damaged journal was put at start; None normally."""
        self._snapshot = _read_snapshot(connection)
        self.is_new = not any(self._snapshot.delivered_seq.values()) and not self._snapshot.pending
        """Whether it was empty at start: numbering goes on where Redis's streams end."""
        self._thread = thread(self._take_snapshot)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        retention_s: float,
        stream_retention_s: float = 0.0,
        limit_bytes: int = UNLIMITED,
        counters_of: Callable[[EventGroup], Counters] = no_counters,
        on_fault: Callable[[str | None], None] = lambda _cause: None,
        read_clocks: Callable[[], Reading] = read_clocks,
    ) -> Journal:
        """Open or make the journal in `folder`, and keep other processes out. Blocks.

        `stream_retention_s` is how long Redis's streams keep events: so long it is known when
        they got them, also where that is longer than the journal keeps them itself.
        `counters_of` names numbers to keep with a group besides its own, in its transaction; they
        never go back. It is called for each group in the order in which they are appended.
        `on_fault` is called on the event loop with a cause when the file cannot be written (the
        disk or the journal is full; callers wait meanwhile) and with None when it can be again.

        Raises:
            ConfigurationError: the folder or the file cannot be used.
            FatalError: another process has it, or the disk is full.

        """
        lock = FolderLock(folder)
        causes = Causes(on_fault)
        try:
            connection, set_aside = open_journal_file(folder)
            if set_aside is not None:
                counters, notes = salvage(set_aside)
                sql.raise_counters(connection, counters)
                sql.keep_notes(connection, notes)
            time = StationTime(connection, read_clocks)

            def start(take_snapshot: Callable[[sqlite3.Connection], None]) -> SqliteThread:
                pruning = Pruning(
                    retention_ms=int(retention_s * 1000),
                    marks_ms=int(stream_retention_s * 1000),
                    limit_bytes=limit_bytes,
                )

                def after_commit(connection: sqlite3.Connection) -> None:
                    take_snapshot(connection)
                    time.pass_by(connection)
                    pruning.step(connection, time.known.station_ms)

                return SqliteThread(
                    connection,
                    after_commit=after_commit,
                    on_fault=causes.of("file"),
                    on_corrupt=partial(note_damage, folder),
                    renew=FileKeeper(folder, lock).renew,
                )

            return cls(
                connection,
                lock,
                counters_of=counters_of,
                room=Room(limit_bytes=limit_bytes, on_fault=causes.of("room")),
                set_aside=set_aside,
                thread=start,
                time=time,
                retention_s=retention_s,
            )
        except BaseException:
            lock.release()
            raise

    @property
    def pending_count(self) -> int:
        """Events not yet in Redis."""
        return self._snapshot.pending

    @property
    def oldest_pending_age_s(self) -> float:
        """How long the oldest of them has waited; 0.0 when there are none."""
        oldest_ms = self._snapshot.oldest_pending_ms
        return 0.0 if oldest_ms is None else max(0, self._time.now_ms() - oldest_ms) / 1000

    @property
    def used_bytes(self) -> int:
        """What the events take in the file; space within it that is free again not counted."""
        return self._snapshot.used_bytes

    @property
    def limit_bytes(self) -> int:
        """What they may take."""
        return self._room.limit_bytes

    @property
    def reach_s(self) -> float:
        """The age of the oldest event in it: how far back a Redis can be refilled."""
        oldest_ms = self._snapshot.oldest_ms
        return 0.0 if oldest_ms is None else max(0, self._time.now_ms() - oldest_ms) / 1000

    @property
    def time_known(self) -> Known:
        """What the station knows about time, and about its wall clock."""
        return self._time.known

    @property
    def delivered(self) -> Mapping[Stream, StreamId]:
        """The last entry of each stream that Redis is known to have had; `0-0` for none."""
        return self._snapshot.delivered

    @property
    def delivered_seq(self) -> Mapping[Stream, int]:
        """The number of that entry; 0 for none."""
        return self._snapshot.delivered_seq

    def counter(self, name: str) -> int:
        """The largest number noted under `name`; 0 when there is none."""
        return self._snapshot.counters.get(name, 0)

    def note(self, name: str) -> str | None:
        """The text kept last under `name`; None when there is none."""
        return self._snapshot.notes.get(name)

    async def append(self, groups: Sequence[EventGroup]) -> None:
        """Return once the events are on the disk; each group is kept whole.

        Waits while the journal is full of what Redis has not taken.

        Raises:
            ValueError: a body holds `seq` or `published_at`, which are not its to set.
            TypeError: a body holds what JSON cannot say.
            FatalError: the file is damaged.

        """
        encoded = [
            (
                [(event, _encode(event)) for event in group.events],
                {**group.counters, **self._counters_of(group)},
                group.notes,
            )
            for group in groups
        ]

        def write(connection: sqlite3.Connection) -> None:
            for events, counters, notes in encoded:
                sql.insert(connection, events, self._time.now())
                sql.raise_counters(connection, counters)
                sql.keep_notes(connection, notes)

        while not self._room.has(self.used_bytes, self.pending_count) and not self._at_end:
            before = self.used_bytes
            await self._thread.run(_nothing)  # what follows every commit also deletes what may go
            if self.used_bytes >= before and not self._at_end:
                await asyncio.sleep(LOOK_FOR_ROOM_S)
        await self._thread.run(write)

    async def raise_counters(self, counters: Counters) -> None:
        """Note numbers that never go back, apart from any group."""
        await self._thread.run(lambda c: sql.raise_counters(c, counters))

    async def keep_notes(self, notes: Notes) -> None:
        """Keep texts, apart from any group."""
        await self._thread.run(lambda c: sql.keep_notes(c, notes))

    async def pending(self, limit: int) -> list[JournalRow]:
        """The oldest events not yet in Redis, in the order they were appended."""
        return await self._thread.run(lambda c: sql.pending(c, limit))

    async def mark_published(self, rows: Sequence[JournalRow]) -> None:
        """Note that Redis has these rows and, per stream, all before them."""
        await self._thread.run(lambda c: sql.mark_published(c, rows, self._time.now_ms()))

    async def row_at(self, stream: Stream, entry_id: StreamId) -> JournalRow | None:
        """The pending event with this entry ID, if there is one."""
        return await self._thread.run(lambda c: sql.row_at(c, stream, entry_id))

    async def pending_of(self, stream: Stream, limit: int) -> list[JournalRow]:
        """The oldest events of one stream not yet in Redis."""
        return await self._thread.run(lambda c: sql.pending_of(c, stream, limit))

    async def reopen_after(self, stream: Stream, tip: Tip) -> Refill:
        """Make pending again what Redis lost: every retained event after `tip`."""
        return await self._thread.run(lambda c: sql.reopen_after(c, stream, tip))

    async def continue_after(self, stream: Stream, tip: Tip) -> int:
        """Let the pending events follow an entry that is not ours; says how many changed.

        Their entry IDs, and their `seq` where the stream is already further, move as one piece:
        order and gaplessness stay. They are not in Redis, so nobody has seen the old ones.

        Raises:
            StreamFullError: nothing can follow `tip`.

        """
        return await self._thread.run(lambda c: sql.continue_after(c, stream, tip))

    async def trim_floor(self, stream: Stream, retention_s: float) -> StreamId | None:
        """Below this ID Redis has had everything for so long, and it is not kept here.

        None: nothing may be trimmed. IDs are not compared with any clock: where the clock was
        ahead once, they are ahead for as long.
        """

        def look(connection: sqlite3.Connection) -> StreamId | None:
            before_ms = self._time.now_ms() - round(retention_s * 1000)
            old = old_through(connection, stream, before_ms)
            oldest = sql.oldest_id(connection, stream)
            if old is None:
                return None
            floor = old[1].following()
            return floor if oldest is None else min(floor, oldest)

        return await self._thread.run(look)

    async def paces(self, held: Mapping[Stream, int]) -> list[StreamPace]:
        """What came into each stream so far; `held` says how many entries Redis has of each."""

        def look(connection: sqlite3.Connection) -> list[StreamPace]:
            return [
                sql.pace(connection, stream, state, held.get(stream, 0), self._time.now_ms())
                for stream, state in sql.read_streams(connection).items()
            ]

        return await self._thread.run(look)

    def take_the_rest(self) -> None:
        """We stop: what is decided already is kept, also beyond the limit."""
        self._at_end = True

    def close(self) -> None:
        """Write what was asked for, close the file, let the next process in. Blocks."""
        self._thread.close()
        self._lock.release()

    def _take_snapshot(self, connection: sqlite3.Connection) -> None:
        self._snapshot = _read_snapshot(connection)


def _nothing(_connection: sqlite3.Connection) -> None:
    """Ask the tables for nothing."""


def _encode(event: Event) -> bytes:
    taken = event.body.keys() & {"seq", "published_at"}
    if taken:
        raise ValueError(f"event {event.id} sets {', '.join(sorted(taken))}, which is not its own")
    return as_json(event.body)


def _read_snapshot(connection: sqlite3.Connection) -> _Snapshot:
    streams = sql.read_streams(connection)
    delivered = {stream: state.delivered_id for stream, state in streams.items()}
    delivered_seq = {stream: state.delivered_seq for stream, state in streams.items()}
    return _Snapshot(
        pending=sum(state.last_seq - state.delivered_seq for state in streams.values()),
        oldest_pending_ms=sql.oldest_pending_ms(connection, streams),
        oldest_ms=sql.oldest_ms(connection),
        used_bytes=sql.used_bytes(connection),
        delivered=MappingProxyType(dict.fromkeys(Stream, NOTHING) | delivered),
        delivered_seq=MappingProxyType(dict.fromkeys(Stream, 0) | delivered_seq),
        counters=MappingProxyType(dict(connection.execute("SELECT name, value FROM counters"))),
        notes=MappingProxyType(dict(connection.execute("SELECT name, value FROM notes"))),
    )
