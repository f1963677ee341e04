"""The journal's queries; every function runs inside the caller's transaction.

The events of a stream reach a sink in `seq` order, so one number per sink and stream, its cursor,
determines which are pending: marking a thousand rows, or refilling an empty sink, writes one row.
The main sink's cursor is in the row of the stream itself, where it was before there were others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from inspector.core.entries import LARGEST, NOTHING, JournalRow, StreamGrowth, StreamId, Tip
from inspector.core.records import Event, Stream
from inspector.journal.station_time import Moment
from inspector.journal.stream_ids import renumbering
from inspector.journal.time import first_mark, mark

MAIN = "main"
"""The sink whose streams the numbering follows, and whose deliveries decide what is deleted."""
_SAMPLE_ROWS = 200
_STATION_MS = "coalesce(station_ms, 0)"
"""Earlier versions had no station time; it begins with the first start of this version."""
_COLUMNS = "row, stream, seq, id_ms, id_n, event_id, schema, time, unit_id, result, body"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """The position of a stream."""

    last_seq: int
    last_id: StreamId
    delivered_seq: int
    delivered_id: StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The position of a sink in a stream."""

    seq: int = 0
    entry_id: StreamId = NOTHING
    """The sink's name for its last entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refill:
    """The events that are sent to a sink again, and those that are too old to be still here."""

    events: int
    gone: int


_FRESH = StreamState(last_seq=0, last_id=NOTHING, delivered_seq=0, delivered_id=NOTHING)


def read_streams(connection: sqlite3.Connection) -> dict[Stream, StreamState]:
    """The state of every stream that has one."""
    return {
        Stream(stream): StreamState(
            last_seq=last_seq,
            last_id=StreamId(last_ms, last_n),
            delivered_seq=delivered_seq,
            delivered_id=StreamId.parse(delivered_id),
        )
        for stream, last_seq, last_ms, last_n, delivered_seq, delivered_id in connection.execute(
            "SELECT stream, last_seq, last_ms, last_n, delivered_seq, delivered_id FROM streams"
        )
    }


def read_cursors(connection: sqlite3.Connection, sink: str) -> dict[Stream, Cursor]:
    """The position of a sink in every stream that it gets."""
    if sink == MAIN:
        states = read_streams(connection)
        return dict.fromkeys(Stream, Cursor()) | {
            stream: Cursor(seq=state.delivered_seq, entry_id=state.delivered_id)
            for stream, state in states.items()
        }
    found = connection.execute(
        "SELECT stream, delivered_seq, delivered_id FROM cursors WHERE sink = ?", (sink,)
    )
    return {
        Stream(stream): Cursor(seq=seq, entry_id=StreamId.parse(entry_id))
        for stream, seq, entry_id in found
    }


def keep_cursor(connection: sqlite3.Connection, sink: str, stream: Stream, cursor: Cursor) -> None:
    """Record the position of a sink in a stream."""
    if sink == MAIN:
        state = read_streams(connection).get(stream, _FRESH)
        state = replace(state, delivered_seq=cursor.seq, delivered_id=cursor.entry_id)
        _write_stream(connection, stream, state)
        return
    connection.execute(
        "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?)",
        (sink, stream.value, cursor.seq, str(cursor.entry_id)),
    )


def register(connection: sqlite3.Connection, sink: str, streams: Collection[Stream]) -> None:
    """Let a sink get these streams: a new one gets all events still here."""
    known = read_cursors(connection, sink)
    for stream in known.keys() - set(streams):
        connection.execute(
            "DELETE FROM cursors WHERE sink = ? AND stream = ?", (sink, stream.value)
        )
    states = read_streams(connection)
    for stream in set(streams) - known.keys():
        first: int | None = connection.execute(
            "SELECT min(seq) FROM events WHERE stream = ?", (stream.value,)
        ).fetchone()[0]
        last = states.get(stream, _FRESH).last_seq
        keep_cursor(connection, sink, stream, Cursor(seq=last if first is None else first - 1))


def _write_stream(connection: sqlite3.Connection, stream: Stream, state: StreamState) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?, ?, ?)",
        (
            stream.value,
            state.last_seq,
            state.last_id.ms,
            state.last_id.n,
            state.delivered_seq,
            str(state.delivered_id),
        ),
    )


def insert(
    connection: sqlite3.Connection, events: Sequence[tuple[Event, bytes]], now: Moment
) -> None:
    """Add events with their encoded bodies, numbering each stream.

    Their entry IDs come from the wall clock, their age from station time.
    """
    streams = read_streams(connection)
    for event, body in events:
        state = streams.get(event.stream, _FRESH)
        state = replace(state, last_seq=state.last_seq + 1, last_id=state.last_id.next(now.unix_ms))
        streams[event.stream] = state
        connection.execute(
            "INSERT INTO events (stream, seq, id_ms, id_n, event_id, schema, time, unit_id,"
            " result, body, journaled_ms, station_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.stream.value,
                state.last_seq,
                state.last_id.ms,
                state.last_id.n,
                event.id,
                event.schema,
                event.time,
                event.unit_id,
                event.result,
                body,
                now.unix_ms,
                now.station_ms,
            ),
        )
    for stream in {event.stream for event, _ in events}:
        _write_stream(connection, stream, streams[stream])


def raise_counters(connection: sqlite3.Connection, counters: Mapping[str, int]) -> None:
    """Record numbers that never go back."""
    connection.executemany(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name)"
        " DO UPDATE SET value = max(value, excluded.value)",
        counters.items(),
    )


def keep_notes(connection: sqlite3.Connection, notes: Mapping[str, str]) -> None:
    """Keep texts; each replaces the one before it under its name."""
    connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", notes.items())


def pending_of(
    connection: sqlite3.Connection, sink: str, stream: Stream, limit: int
) -> list[JournalRow]:
    """The oldest events of a stream that a sink does not have."""
    cursor = read_cursors(connection, sink).get(stream)
    return [] if cursor is None else _after(connection, stream, cursor, limit)


def _after(
    connection: sqlite3.Connection, stream: Stream, cursor: Cursor, limit: int
) -> list[JournalRow]:
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM events WHERE stream = ? AND seq > ?"  # noqa: S608 - a constant
        " ORDER BY seq LIMIT ?",
        (stream.value, cursor.seq, limit),
    )
    return [_row(columns) for columns in found]


def pending(connection: sqlite3.Connection, sink: str, limit: int) -> list[JournalRow]:
    """The oldest events that a sink does not have, in the order they were appended."""
    cursors = read_cursors(connection, sink)
    rows = [row for s, cursor in cursors.items() for row in _after(connection, s, cursor, limit)]
    return sorted(rows, key=lambda row: row.row)[:limit]


def oldest_pending_ms(
    connection: sqlite3.Connection, cursors: Mapping[Stream, Cursor]
) -> int | None:
    """When the oldest event after these cursors was journaled, in station time."""
    oldest: list[int] = []
    for stream, cursor in cursors.items():
        found = connection.execute(
            f"SELECT {_STATION_MS} FROM events WHERE stream = ? AND seq > ?"  # noqa: S608 - a constant
            " ORDER BY seq LIMIT 1",
            (stream.value, cursor.seq),
        ).fetchone()
        if found is not None:
            oldest.append(found[0])
    return min(oldest, default=None)


def row_at(
    connection: sqlite3.Connection, sink: str, stream: Stream, entry_id: StreamId
) -> JournalRow | None:
    """The event with this entry ID, if the sink is not known to have it."""
    if max(entry_id.ms, entry_id.n) > LARGEST:
        return None
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM events WHERE stream = ? AND id_ms = ? AND id_n = ? AND seq > ?",  # noqa: S608 - a constant
        (stream.value, entry_id.ms, entry_id.n, read_cursors(connection, sink)[stream].seq),
    ).fetchone()
    return None if found is None else _row(found)


def mark_published(
    connection: sqlite3.Connection, sink: str, rows: Sequence[JournalRow], station_ms: int
) -> None:
    """Move a sink's cursor in each stream forward to its last row among `rows`."""
    for stream, last in {row.stream: row for row in rows}.items():
        keep_cursor(connection, sink, stream, Cursor(seq=last.seq, entry_id=last.entry_id))
        if sink == MAIN:
            mark(connection, stream, last.seq, last.entry_id, station_ms)


def adopt(connection: sqlite3.Connection, sink: str, stream: Stream, tip: Tip) -> None:
    """Accept a stream's end that is not ours: pending events follow it unchanged."""
    cursor = read_cursors(connection, sink)[stream]
    keep_cursor(connection, sink, stream, replace(cursor, entry_id=tip.last_id))


def reopen_after(connection: sqlite3.Connection, sink: str, stream: Stream, tip: Tip) -> Refill:
    """Make every retained event after `tip` pending again for a sink."""
    before = read_cursors(connection, sink)[stream].seq
    # IDs and numbers grow together. The first by ID is one access to the index; the smallest
    # number of all would be a scan of every event, and verdicts would wait for that.
    found = connection.execute(
        "SELECT seq FROM events WHERE stream = ?1 AND (id_ms, id_n) > (?2, ?3)"
        " ORDER BY id_ms, id_n LIMIT 1",
        (stream.value, min(tip.last_id.ms, LARGEST), min(tip.last_id.n, LARGEST)),
    ).fetchone()
    delivered_seq = before if found is None else min(before, found[0] - 1)
    keep_cursor(connection, sink, stream, Cursor(seq=delivered_seq, entry_id=tip.last_id))
    # Without a seq at its end it is unknown how many pruned events the stream had.
    gone = 0 if tip.seq is None else max(0, delivered_seq - tip.seq)
    return Refill(events=before - delivered_seq, gone=gone)


def continue_after(connection: sqlite3.Connection, stream: Stream, tip: Tip) -> int:
    """Renumber the events that the main sink lacks, to follow an entry that is not ours.

    Another sink that has some of them keeps them under their old numbers and continues after them:
    nothing is lost or sent again, and its numbering has a gap there.
    """
    state = read_streams(connection).get(stream, _FRESH)
    first_seq, entries = state.delivered_seq + 1, state.last_seq - state.delivered_seq
    found = connection.execute(
        "SELECT id_ms, id_n FROM events WHERE stream = ? AND seq = ?", (stream.value, first_seq)
    ).fetchone()
    change = renumbering(
        tip,
        first_seq=first_seq,
        first_id=None if found is None else StreamId(*found),
        entries=entries,
    )
    last_id = max(state.last_id, tip.last_id.room_for(1))
    after = change.new_ids_after
    if after is not None:
        last_id = StreamId(after.ms, after.n + entries)
        connection.execute(
            "UPDATE events SET id_ms = ?, id_n = ? + seq WHERE stream = ? AND seq >= ?",
            (after.ms, after.n - state.delivered_seq, stream.value, first_seq),
        )
    if change.seq_shift:
        _shift_seq(connection, stream, first_seq, change.seq_shift)
    _write_stream(
        connection,
        stream,
        StreamState(
            last_seq=state.last_seq + change.seq_shift,
            last_id=last_id,
            delivered_seq=state.delivered_seq + change.seq_shift,
            delivered_id=tip.last_id,
        ),
    )
    return entries if change.seq_shift or after is not None else 0


def _shift_seq(connection: sqlite3.Connection, stream: Stream, first_seq: int, by: int) -> None:
    """Add to the numbers of a stream's events from this one on, and to the cursors there.

    In two steps, through negative numbers: a plain shift would collide with itself.
    """
    connection.execute(
        "UPDATE events SET seq = -(seq + ?3) WHERE stream = ?1 AND seq >= ?2",
        (stream.value, first_seq, by),
    )
    connection.execute("UPDATE events SET seq = -seq WHERE stream = ? AND seq < 0", (stream.value,))
    connection.execute(
        "UPDATE cursors SET delivered_seq = delivered_seq + ?3"
        " WHERE stream = ?1 AND delivered_seq >= ?2 - 1",
        (stream.value, first_seq, by),
    )


def oldest_ms(connection: sqlite3.Connection) -> int | None:
    """When the oldest event still here was journaled, in station time."""
    found = connection.execute(
        f"SELECT {_STATION_MS} FROM events ORDER BY row LIMIT 1"  # noqa: S608 - a constant
    ).fetchone()
    return None if found is None else found[0]


def growth(
    connection: sqlite3.Connection, stream: Stream, state: StreamState, held: int, now_ms: int
) -> StreamGrowth:
    """The growth of a stream in Redis since the oldest mark; `held` is how many entries it has."""
    first_seq, first_ms = first_mark(connection, stream) or (state.delivered_seq, now_ms)
    json_bytes: float | None = connection.execute(
        "SELECT avg(length(body)) FROM (SELECT body FROM events WHERE stream = ?"
        " ORDER BY seq DESC LIMIT ?)",
        (stream.value, _SAMPLE_ROWS),
    ).fetchone()[0]
    return StreamGrowth(
        entries=max(0, state.delivered_seq - first_seq),
        span_s=max(0, now_ms - first_ms) / 1000,
        json_bytes=json_bytes or 0.0,
        held=held,
    )


def slowest_seq(
    connection: sqlite3.Connection, stream: Stream, sinks: Collection[str]
) -> int | None:
    """The number up to which all of these sinks have a stream; None if none of them gets it."""
    cursors = (read_cursors(connection, sink).get(stream) for sink in sinks)
    return min((cursor.seq for cursor in cursors if cursor is not None), default=None)


def used_bytes(connection: sqlite3.Connection) -> int:
    """The space of the tables in the file: its free pages are filled before it grows."""
    pages, free, size_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size_bytes)


def oldest_id(connection: sqlite3.Connection, stream: Stream) -> StreamId | None:
    """The entry ID of the oldest event still in the journal."""
    found = connection.execute(
        "SELECT id_ms, id_n FROM events WHERE stream = ? ORDER BY seq LIMIT 1", (stream.value,)
    ).fetchone()
    return None if found is None else StreamId(*found)


def _row(columns: tuple[int, str, int, int, int, str, str, str, str, str, bytes]) -> JournalRow:
    row, stream, seq, id_ms, id_n, event_id, schema, time, unit_id, result, body = columns
    return JournalRow(
        row=row,
        stream=Stream(stream),
        seq=seq,
        entry_id=StreamId(id_ms, id_n),
        event_id=event_id,
        schema=schema,
        time=time,
        unit_id=unit_id,
        result=result,
        body=body,
    )
