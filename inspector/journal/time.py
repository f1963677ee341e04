"""Keeps station time in the journal's file, and since when Redis has had which entries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import asdict, fields
from itertools import pairwise

import orjson

from inspector.core.entries import StreamId
from inspector.core.records import Stream
from inspector.journal.station_time import (
    DAY_MS,
    MINUTE_MS,
    Known,
    Moment,
    Older,
    Reading,
    first_known,
    tick,
)

KEEP_EVERY_MS = MINUTE_MS
"""How often the time is written to the file: a power cut loses no more than this."""
LONGEST_PAUSE_MINUTES = 4 * DAY_MS // MINUTE_MS
"""In an earlier version's notes by the wall clock, a longer pause may be a wrong clock."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS station_time (
    one INTEGER PRIMARY KEY CHECK (one = 1), known TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS marks (
    stream TEXT NOT NULL,
    through_seq INTEGER NOT NULL,
    through_ms INTEGER NOT NULL,
    through_n INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    PRIMARY KEY (stream, through_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS marks_by_minute ON marks (stream, minute, through_seq);
"""


class StationTime:
    """The journal's time. Made before its thread, which alone calls `pass_by`."""

    def __init__(self, connection: sqlite3.Connection, read_clocks: Callable[[], Reading]) -> None:
        self._read_clocks = read_clocks
        now = read_clocks()
        known = kept_time(connection)
        self.known = known or first_known(now, station_ms=_newest_ms(connection))
        _adopt_deliveries(connection, self.known.station_ms // MINUTE_MS)
        self._kept_ms = -KEEP_EVERY_MS
        self.pass_by(connection)

    def now_ms(self) -> int:
        """Station time now. Any thread."""
        return self.known.station_ms_at(self._read_clocks())

    def now(self) -> Moment:
        """Station time and wall clock. Any thread."""
        reading = self._read_clocks()
        return Moment(station_ms=self.known.station_ms_at(reading), unix_ms=reading.unix_ms)

    def pass_by(self, connection: sqlite3.Connection) -> None:
        """Read the clocks, and record them in the file."""
        before = self.known
        self.known, older = tick(before, self._read_clocks())
        if older is not None:
            _make_older(connection, older)
        changed = older is not None or before.off_by_ms != self.known.off_by_ms
        if changed or self.known.station_ms - self._kept_ms >= KEEP_EVERY_MS:
            self._kept_ms = self.known.station_ms
            _keep(connection, self.known)


def mark(
    connection: sqlite3.Connection, stream: Stream, seq: int, entry_id: StreamId, station_ms: int
) -> None:
    """Record that the main sink has a stream up to this entry.

    By the minute: a row for each would be too many.
    """
    minute = station_ms // MINUTE_MS
    last = connection.execute(
        "SELECT through_seq, minute FROM marks WHERE stream = ? ORDER BY through_seq DESC LIMIT 1",
        (stream.value,),
    ).fetchone()
    if last is not None and seq <= last[0]:
        return  # a Redis that lost the entry has it again: its age stays
    if last is not None and last[1] == minute:
        connection.execute(
            "DELETE FROM marks WHERE stream = ? AND through_seq = ?", (stream.value, last[0])
        )
    connection.execute(
        "INSERT INTO marks VALUES (?, ?, ?, ?, ?)",
        (stream.value, seq, entry_id.ms, entry_id.n, minute),
    )


def old_through(
    connection: sqlite3.Connection, stream: Stream, before_ms: int
) -> tuple[int, StreamId] | None:
    """Number and ID of the last entry that the main sink has had since before this station time."""
    found = connection.execute(
        "SELECT through_seq, through_ms, through_n FROM marks WHERE stream = ? AND minute < ?"
        " ORDER BY minute DESC, through_seq DESC LIMIT 1",
        (stream.value, before_ms // MINUTE_MS),
    ).fetchone()
    return None if found is None else (found[0], StreamId(found[1], found[2]))


def first_mark(connection: sqlite3.Connection, stream: Stream) -> tuple[int, int] | None:
    """The oldest mark of a stream: the number up to which Redis had it, and when."""
    found = connection.execute(
        "SELECT through_seq, minute FROM marks WHERE stream = ? ORDER BY through_seq LIMIT 1",
        (stream.value,),
    ).fetchone()
    return None if found is None else (found[0], found[1] * MINUTE_MS)


def forget_marks_before(connection: sqlite3.Connection, stream: Stream, seq: int) -> None:
    """Delete older marks: the mark at `seq` covers them."""
    connection.execute(
        "DELETE FROM marks WHERE stream = ? AND through_seq < ?", (stream.value, seq)
    )


def _make_older(connection: sqlite3.Connection, older: Older) -> None:
    connection.execute(
        "UPDATE marks SET minute = minute - ? WHERE minute <= ?",
        (older.by_ms // MINUTE_MS, older.through_ms // MINUTE_MS),
    )


def kept_time(connection: sqlite3.Connection) -> Known | None:
    """The time that was last written to the file; None if there is none."""
    found = connection.execute("SELECT known FROM station_time").fetchone()
    if found is None:
        return None
    names = {field.name for field in fields(Known)}
    # Additional fields of a later version are ignored.
    known = {name: value for name, value in orjson.loads(found[0]).items() if name in names}
    moments = {
        name: None if known[name] is None else Moment(**known[name])
        for name in ("believed", "vouched")
    }
    at_least_ms = max(known["station_ms"], _newest_ms(connection))
    return Known(**known | moments | {"station_ms": at_least_ms})


def _keep(connection: sqlite3.Connection, known: Known) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO station_time VALUES (1, ?)", (orjson.dumps(asdict(known)).decode(),)
    )


def _newest_ms(connection: sqlite3.Connection) -> int:
    """Rows that are newer than the last written time show that it is later."""
    minutes = connection.execute("SELECT max(minute) FROM marks").fetchone()[0] or 0
    event = connection.execute("SELECT station_ms FROM events ORDER BY row DESC LIMIT 1").fetchone()
    return max(minutes * MINUTE_MS, (event and event[0]) or 0)


def _adopt_deliveries(connection: sqlite3.Connection, now_minute: int) -> None:
    """Import the notes that an earlier version made by the wall clock.

    Ages are the distances to the newest note, if the clock shows no step that a line at rest would
    not explain; otherwise everything counts as if Redis had got it now.
    """
    rows = connection.execute(
        "SELECT stream, minute, through_seq FROM deliveries ORDER BY stream, through_seq"
    ).fetchall()
    if not rows:
        return
    newest = max(minute for _, minute, _ in rows)
    is_even = _is_even(rows)
    for stream, minute, seq in rows:
        found = connection.execute(
            "SELECT seq, id_ms, id_n FROM events WHERE stream = ? AND seq <= ?"
            " ORDER BY seq DESC LIMIT 1",
            (stream, seq),
        ).fetchone()
        if found is not None:
            age = newest - minute if is_even else 0
            connection.execute(
                "INSERT OR IGNORE INTO marks VALUES (?, ?, ?, ?, ?)",
                (stream, *found, now_minute - age),
            )
    connection.execute("DELETE FROM deliveries")


def _is_even(rows: list[tuple[str, int, int]]) -> bool:
    """Whether the minutes only grow, by steps that a line at rest explains."""
    minutes = sorted({minute for _, minute, _ in rows})
    pauses = [b - a for a, b in pairwise(minutes)]
    per_stream: dict[str, list[int]] = {}
    for stream, minute, _ in rows:
        per_stream.setdefault(stream, []).append(minute)
    return max(pauses, default=0) <= LONGEST_PAUSE_MINUTES and all(
        in_order == sorted(in_order) for in_order in per_stream.values()
    )
