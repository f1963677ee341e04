"""Deletes events that every sink has, and that the main sink has had for long enough."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from inspector.core.records import Stream
from inspector.journal.rows import read_streams, slowest_seq, used_bytes
from inspector.journal.time import forget_marks_before, old_through

PRUNED_ROWS_PER_STEP = 200
PRUNE_EVERY_MS = 1000
PRUNED_ROWS_WHEN_FULL = 2000
NEARLY_FULL = 0.9
"""Share of the journal's limit above which events that the main sink has are deleted early."""


class Pruning:
    """Deletes delivered events once they are old enough, a few at a time.

    Events that a further sink does not have wait for it. A journal that is nearly full deletes the
    oldest early, without waiting for further sinks: they lose events, and verdicts are not held up.
    Times are station time, which setting a clock does not change.
    """

    def __init__(
        self,
        *,
        retention_ms: int,
        marks_ms: int,
        limit_bytes: int,
        further_sinks: Collection[str] = (),
    ) -> None:
        """`marks_ms`: how long delivery times of the main sink must be known."""
        self._further_sinks = tuple(further_sinks)
        self._retention_ms = retention_ms
        self._marks_ms = max(retention_ms, marks_ms)
        self._tight_bytes = limit_bytes * NEARLY_FULL
        self._next_ms: int | None = None

    def step(self, connection: sqlite3.Connection, station_ms: int) -> None:
        """Delete at most PRUNED_ROWS_PER_STEP events of a stream.

        At most every PRUNE_EVERY_MS, or every time while the journal is nearly full.
        """
        if used_bytes(connection) > self._tight_bytes:
            _prune_oldest(connection)
        if self._next_ms is not None and station_ms < self._next_ms:
            return
        self._next_ms = station_ms + PRUNE_EVERY_MS
        for stream, state in read_streams(connection).items():
            old = old_through(connection, stream, station_ms - self._retention_ms)
            if old is not None:
                slowest = slowest_seq(connection, stream, self._further_sinks)
                through_seq = min(old[0], state.delivered_seq)
                through_seq = through_seq if slowest is None else min(through_seq, slowest)
                _delete(connection, stream, through_seq)
            old = old_through(connection, stream, station_ms - self._marks_ms)
            if old is not None:
                forget_marks_before(connection, stream, old[0])


def _prune_oldest(connection: sqlite3.Connection) -> None:
    """Delete from the stream with the oldest events, so that all reach back about equally far."""
    oldest: list[tuple[int, Stream, int]] = []
    for stream, state in read_streams(connection).items():
        found = connection.execute(
            "SELECT row FROM events WHERE stream = ? AND seq <= ? ORDER BY seq LIMIT 1",
            (stream.value, state.delivered_seq),
        ).fetchone()
        if found is not None:
            oldest.append((found[0], stream, state.delivered_seq))
    if oldest:
        _, stream, delivered_seq = min(oldest)
        _delete(connection, stream, delivered_seq, PRUNED_ROWS_WHEN_FULL)


def _delete(
    connection: sqlite3.Connection,
    stream: Stream,
    through_seq: int,
    rows: int = PRUNED_ROWS_PER_STEP,
) -> int:
    return connection.execute(
        "DELETE FROM events WHERE row IN (SELECT row FROM events WHERE stream = ? AND seq <= ?"
        " ORDER BY seq LIMIT ?)",
        (stream.value, through_seq, rows),
    ).rowcount
