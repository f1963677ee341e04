"""The durable local log that every event enters before Redis sees it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from inspector.core.plain_text import as_json
from inspector.core.records import Event, EventGroup, Stream
from inspector.journal import rows as sql
from inspector.journal.clocks import read_clocks
from inspector.journal.cursor import Position, SinkCursor, read_position
from inspector.journal.file import (
    FileKeeper,
    FolderLock,
    note_damage,
    open_journal_file,
    salvage,
)
from inspector.journal.pruning import Pruning
from inspector.journal.room import ROOM_POLL_INTERVAL_S, UNLIMITED, Causes, Room
from inspector.journal.sqlite_thread import SqliteThread
from inspector.journal.station_time import Known, Reading
from inspector.journal.time import StationTime

Counters = Mapping[str, int]
Notes = Mapping[str, str]


def no_counters(group: EventGroup) -> Counters:
    """The default: no further counters."""
    del group
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """What the journal holds, as of the last commit."""

    positions: Mapping[str, Position]
    """By sink."""
    oldest_ms: int | None
    used_bytes: int
    counters: Counters
    notes: Notes


class Journal:
    """An SQLite file that gives every event its `seq` and its entry ID, once and for good.

    Safe in a power cut: what `append` returned for is on the disk. An event is kept until the main
    sink has it, and for `retention_s` after that, so that a sink which lost it can get it again.
    While the main sink is away the file grows, up to `limit_bytes`: when it is nearly full, events
    that the sink has are deleted early; when the file is full of events that it does not have,
    `append` waits until it takes some. Those are never dropped. Events that a further sink does not
    have are kept too, but only while there is room: such a sink holds up nothing.

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
        further_sinks: Iterable[str] = (),
    ) -> None:
        self._lock = lock
        self._counters_of = counters_of
        self._time = time
        self.retention_s = retention_s
        """How long an event is kept after the main sink got it, room permitting."""
        self._room = room
        self._at_end = False
        self.set_aside = set_aside
        """Where a damaged journal was set aside at start; None normally."""
        self._sinks = (sql.MAIN, *further_sinks)
        self._snapshot = _read_snapshot(connection, self._sinks)
        main = self._snapshot.positions[sql.MAIN]
        self.is_new = not any(main.delivered_seq.values()) and not main.pending
        """Whether it was empty at start: numbering continues where the main sink's streams end."""
        self._thread = thread(self._take_snapshot)
        self.main = self.cursor(sql.MAIN)
        """The main sink's position."""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        retention_s: float,
        stream_retention_s: float = 0.0,
        limit_bytes: int = UNLIMITED,
        counters_of: Callable[[EventGroup], Counters] = no_counters,
        further_sinks: Mapping[str, Collection[Stream]] = MappingProxyType({}),
        on_fault: Callable[[str | None], None] = lambda _cause: None,
        read_clocks: Callable[[], Reading] = read_clocks,
    ) -> Journal:
        """Open or make the journal in `folder`, and keep other processes out. Blocks.

        `stream_retention_s` is how long Redis's streams keep events: delivery times are remembered
        for this long, even if the journal itself keeps events for less. `counters_of` names further
        numbers to keep with a group, in its transaction; they never go back. It is called for each
        group in the order in which they are appended. `further_sinks` are the sinks besides the
        main one, and the streams that each takes. `on_fault` is called on the event loop with a
        cause when the file cannot be written (the disk or the journal is full; callers wait
        meanwhile) and with None when it can be again.

        Raises:
            ConfigurationError: the folder or the file cannot be used.
            FatalError: another process has it, or the disk is full.

        """
        causes = Causes(on_fault)
        pruning = Pruning(
            retention_ms=int(retention_s * 1000),
            marks_ms=int(stream_retention_s * 1000),
            limit_bytes=limit_bytes,
            further_sinks=further_sinks,
        )
        with ExitStack() as stack:
            lock = FolderLock(folder)
            stack.callback(lock.release)
            connection, set_aside = _opened(folder, further_sinks)
            time = StationTime(connection, read_clocks)
            journal = cls(
                connection,
                lock,
                counters_of=counters_of,
                room=Room(limit_bytes=limit_bytes, on_fault=causes.of("room")),
                set_aside=set_aside,
                thread=lambda take_snapshot: SqliteThread(
                    connection,
                    after_commit=partial(_after_commit, take_snapshot, time, pruning),
                    on_fault=causes.of("file"),
                    on_corrupt=partial(note_damage, folder),
                    renew=FileKeeper(folder, lock).renew,
                ),
                time=time,
                retention_s=retention_s,
                further_sinks=further_sinks,
            )
            stack.pop_all()  # the journal keeps the lock
            return journal

    @property
    def used_bytes(self) -> int:
        """The space that events take in the file, without free space inside it."""
        return self._snapshot.used_bytes

    @property
    def limit_bytes(self) -> int:
        """The space that they may take."""
        return self._room.limit_bytes

    @property
    def reach_s(self) -> float:
        """The age of the oldest event in it: how far back a sink can be refilled."""
        oldest_ms = self._snapshot.oldest_ms
        return 0.0 if oldest_ms is None else max(0, self._time.now_ms() - oldest_ms) / 1000

    @property
    def time_known(self) -> Known:
        """The station's knowledge about time and its wall clock."""
        return self._time.known

    def cursor(self, sink: str) -> SinkCursor:
        """The position of a sink: `main`, or one of those named at opening."""
        return SinkCursor(
            sink,
            self._thread,
            self._time,
            lambda: self._snapshot.positions[sink],
            retention_s=self.retention_s,
        )

    def counter(self, name: str) -> int:
        """The largest number recorded under `name`; 0 if there is none."""
        return self._snapshot.counters.get(name, 0)

    def note(self, name: str) -> str | None:
        """The last text kept under `name`; None if there is none."""
        return self._snapshot.notes.get(name)

    async def append(self, groups: Sequence[EventGroup]) -> None:
        """Return once the events are on the disk; each group is kept as a whole.

        Waits while the journal is full of events that the main sink has not taken.

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

        while not self._room.has(self.used_bytes, self.main.pending_count) and not self._at_end:
            before = self.used_bytes
            await self._thread.run(_nothing)  # the step after every commit also deletes old events
            if self.used_bytes >= before and not self._at_end:
                await asyncio.sleep(ROOM_POLL_INTERVAL_S)
        await self._thread.run(write)

    async def raise_counters(self, counters: Counters) -> None:
        """Record numbers that never go back, apart from any group."""
        await self._thread.run(lambda c: sql.raise_counters(c, counters))

    async def keep_notes(self, notes: Notes) -> None:
        """Keep texts, apart from any group."""
        await self._thread.run(lambda c: sql.keep_notes(c, notes))

    def take_the_rest(self) -> None:
        """At the end, keep events that are decided already, even beyond the limit."""
        self._at_end = True

    def close(self) -> None:
        """Finish pending writes, close the file, release the lock. Blocks."""
        self._thread.close()
        self._lock.release()

    def _take_snapshot(self, connection: sqlite3.Connection) -> None:
        self._snapshot = _read_snapshot(connection, self._sinks)


def _nothing(_connection: sqlite3.Connection) -> None:
    """Do nothing; an empty job."""


def _encode(event: Event) -> bytes:
    taken = event.body.keys() & {"seq", "published_at"}
    if taken:
        raise ValueError(f"event {event.id} sets {', '.join(sorted(taken))}, which is not its own")
    return as_json(event.body)


def _read_snapshot(connection: sqlite3.Connection, sinks: Iterable[str]) -> _Snapshot:
    return _Snapshot(
        positions={sink: read_position(connection, sink) for sink in sinks},
        oldest_ms=sql.oldest_ms(connection),
        used_bytes=sql.used_bytes(connection),
        counters=MappingProxyType(dict(connection.execute("SELECT name, value FROM counters"))),
        notes=MappingProxyType(dict(connection.execute("SELECT name, value FROM notes"))),
    )


def _opened(
    folder: Path, further_sinks: Mapping[str, Collection[Stream]]
) -> tuple[sqlite3.Connection, Path | None]:
    """The file, with the data saved from a damaged one, and the place of the damaged one."""
    connection, set_aside = open_journal_file(folder)
    if set_aside is not None:
        counters, notes = salvage(set_aside)
        sql.raise_counters(connection, counters)
        sql.keep_notes(connection, notes)
    for sink, streams in further_sinks.items():
        sql.register(connection, sink, streams)
    return connection, set_aside


def _after_commit(
    take_snapshot: Callable[[sqlite3.Connection], None],
    time: StationTime,
    pruning: Pruning,
    connection: sqlite3.Connection,
) -> None:
    """The step after each commit, in the journal's thread: advances time, deletes old events."""
    take_snapshot(connection)
    time.pass_by(connection)
    pruning.step(connection, time.known.station_ms)
