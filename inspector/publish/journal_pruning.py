"""Deletes from the journal what Redis has had for long enough."""

from __future__ import annotations

import sqlite3

from inspector.publish.journal_rows import MINUTE_MS, read_streams, used_bytes
from inspector.records import Stream

PRUNED_ROWS_PER_STEP = 200
PRUNE_EVERY_MS = 1000
PRUNED_ROWS_WHEN_FULL = 2000
NEARLY_FULL = 0.9
"""Of the journal's limit: from there on, what Redis has is deleted before its time."""


class Pruning:
    """Deletes delivered events once they are old enough, a few at a time.

    A journal that is nearly full loses the oldest of them earlier.
    """

    def __init__(self, *, retention_ms: int, limit_bytes: int) -> None:
        self._retention_ms = retention_ms
        self._tight_bytes = limit_bytes * NEARLY_FULL
        self._next_ms = 0

    def step(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Delete at most PRUNED_ROWS_PER_STEP events of a stream.

        At most every PRUNE_EVERY_MS, or every time while the journal is nearly full.
        """
        if used_bytes(connection) > self._tight_bytes:
            _prune_oldest(connection)
        if self._next_ms - PRUNE_EVERY_MS <= now_ms < self._next_ms:
            return
        self._next_ms = now_ms + PRUNE_EVERY_MS
        before_minute = (now_ms - self._retention_ms) // MINUTE_MS
        for stream, state in read_streams(connection).items():
            _prune(connection, stream, state.delivered_seq, before_minute)


def _prune(
    connection: sqlite3.Connection, stream: Stream, delivered_seq: int, before_minute: int
) -> None:
    through: int | None = connection.execute(
        "SELECT max(through_seq) FROM deliveries WHERE stream = ? AND minute < ?",
        (stream.value, before_minute),
    ).fetchone()[0]
    if through is None:
        return
    deleted = _delete(connection, stream, min(through, delivered_seq))
    if deleted < PRUNED_ROWS_PER_STEP and through <= delivered_seq:
        connection.execute(
            "DELETE FROM deliveries WHERE stream = ? AND minute < ?",
            (stream.value, before_minute),
        )


def _prune_oldest(connection: sqlite3.Connection) -> None:
    """Delete from the stream that reaches back furthest, so that all reach back about as far."""
    oldest: list[tuple[int, Stream, int]] = []
    for stream, state in read_streams(connection).items():
        found = connection.execute(
            "SELECT journaled_ms FROM events WHERE stream = ? AND seq <= ? ORDER BY seq LIMIT 1",
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
