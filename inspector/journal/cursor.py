"""The journal from one sink's view: the events that it has, and those still to come."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from inspector.core.entries import NOTHING, JournalRow, StreamGrowth, StreamId, Tip
from inspector.core.records import Stream
from inspector.journal import rows as sql
from inspector.journal.rows import Refill
from inspector.journal.sqlite_thread import SqliteThread
from inspector.journal.time import StationTime, old_through


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The position of a sink at the last commit."""

    streams: frozenset[Stream]
    pending: int
    oldest_pending_ms: int | None
    delivered: Mapping[Stream, StreamId]
    delivered_seq: Mapping[Stream, int]


def read_position(connection: sqlite3.Connection, sink: str) -> Position:
    """The position of a sink now."""
    streams, cursors = sql.read_streams(connection), sql.read_cursors(connection, sink)
    return Position(
        streams=frozenset(cursors),
        pending=sum(streams[s].last_seq - c.seq for s, c in cursors.items() if s in streams),
        oldest_pending_ms=sql.oldest_pending_ms(connection, cursors),
        delivered=MappingProxyType(
            dict.fromkeys(Stream, NOTHING) | {s: c.entry_id for s, c in cursors.items()}
        ),
        delivered_seq=MappingProxyType(
            dict.fromkeys(Stream, 0) | {s: c.seq for s, c in cursors.items()}
        ),
    )


class SinkCursor:
    """One sink's position in the journal. Event loop only; methods wait while the disk is full.

    The main sink's cursor is the one that the numbering follows: see `continue_after`.
    """

    def __init__(
        self,
        sink: str,
        thread: SqliteThread,
        time: StationTime,
        position: Callable[[], Position],
        *,
        retention_s: float,
    ) -> None:
        self.sink = sink
        self._thread = thread
        self._time = time
        self._position = position
        self.retention_s = retention_s
        """How long the journal keeps an event after the main sink got it, room permitting."""

    @property
    def is_main(self) -> bool:
        """Whether the numbering follows this sink's streams."""
        return self.sink == sql.MAIN

    @property
    def streams(self) -> frozenset[Stream]:
        """The streams that the sink gets."""
        return self._position().streams

    @property
    def pending_count(self) -> int:
        """The number of events that the sink does not have yet."""
        return self._position().pending

    @property
    def oldest_pending_age_s(self) -> float:
        """How long the oldest of them has waited; 0.0 if there are none."""
        oldest_ms = self._position().oldest_pending_ms
        return 0.0 if oldest_ms is None else max(0, self._time.now_ms() - oldest_ms) / 1000

    @property
    def delivered(self) -> Mapping[Stream, StreamId]:
        """The last entry of each stream that the sink is known to have; `0-0` for none."""
        return self._position().delivered

    @property
    def delivered_seq(self) -> Mapping[Stream, int]:
        """The number of that entry; 0 for none."""
        return self._position().delivered_seq

    async def pending(self, limit: int) -> list[JournalRow]:
        """The oldest events that the sink does not have, in the order they were appended."""
        return await self._thread.run(lambda c: sql.pending(c, self.sink, limit))

    async def mark_published(self, rows: Sequence[JournalRow]) -> None:
        """Record that the sink has these rows and, per stream, all before them."""
        await self._thread.run(
            lambda c: sql.mark_published(c, self.sink, rows, self._time.now_ms())
        )

    async def row_at(self, stream: Stream, entry_id: StreamId) -> JournalRow | None:
        """The pending event with this entry ID, if there is one."""
        return await self._thread.run(lambda c: sql.row_at(c, self.sink, stream, entry_id))

    async def pending_of(self, stream: Stream, limit: int) -> list[JournalRow]:
        """The oldest pending events of one stream."""
        return await self._thread.run(lambda c: sql.pending_of(c, self.sink, stream, limit))

    async def reopen_after(self, stream: Stream, tip: Tip) -> Refill:
        """Make the events pending again that the sink lost: every retained event after `tip`."""
        return await self._thread.run(lambda c: sql.reopen_after(c, self.sink, stream, tip))

    async def continue_after(self, stream: Stream, tip: Tip) -> int:
        """Let the pending events follow an entry that is not ours; says how many changed.

        For the main sink, their entry IDs, and their `seq` if the stream is already further, are
        shifted together: they stay in order and without gaps. No reader has seen the old ones,
        which are not in the stream. For another sink they follow unchanged.

        Raises:
            StreamFullError: nothing can follow `tip`.

        """
        if self.is_main:
            return await self._thread.run(lambda c: sql.continue_after(c, stream, tip))
        await self._thread.run(lambda c: sql.adopt(c, self.sink, stream, tip))
        return 0

    async def trim_floor(self, stream: Stream, retention_s: float) -> StreamId | None:
        """The ID below which both the main sink has had everything for this long, and this one.

        The journal does not keep it either. None: nothing may be trimmed. IDs are not compared with
        any clock: if the clock was ahead once, they are ahead for as long.
        """

        def read(connection: sqlite3.Connection) -> StreamId | None:
            before_ms = self._time.now_ms() - round(retention_s * 1000)
            old = old_through(connection, stream, before_ms)
            oldest = sql.oldest_id(connection, stream)
            if old is None:
                return None
            floors = [old[1].following(), oldest]
            if not self.is_main:
                floors.append(sql.read_cursors(connection, self.sink)[stream].entry_id)
            return min(floor for floor in floors if floor is not None)

        return await self._thread.run(read)

    async def growths(self, held: Mapping[Stream, int]) -> list[StreamGrowth]:
        """The growth of each stream so far; `held`: how many entries the sink has of each."""

        def read(connection: sqlite3.Connection) -> list[StreamGrowth]:
            return [
                sql.growth(connection, stream, state, held.get(stream, 0), self._time.now_ms())
                for stream, state in sql.read_streams(connection).items()
            ]

        return await self._thread.run(read)
