"""Deletes from the journal what Redis has had for long enough."""

from __future__ import annotations

import sqlite3

from inspector.publish.journal_rows import MINUTE_MS, read_streams
from inspector.records import Stream

PRUNED_ROWS_PER_STEP = 200
PRUNE_EVERY_MS = 1000


class Pruning:
    """Deletes delivered events once they are old enough, a few at a time."""

    def __init__(self, *, retention_ms: int) -> None:
        self._retention_ms = retention_ms
        self._next_ms = 0

    def step(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Delete at most PRUNED_ROWS_PER_STEP events, at most every PRUNE_EVERY_MS."""
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
    deleted = connection.execute(
        "DELETE FROM events WHERE row IN (SELECT row FROM events WHERE stream = ? AND seq <= ?"
        " ORDER BY seq LIMIT ?)",
        (stream.value, min(through, delivered_seq), PRUNED_ROWS_PER_STEP),
    ).rowcount
    if deleted < PRUNED_ROWS_PER_STEP and through <= delivered_seq:
        connection.execute(
            "DELETE FROM deliveries WHERE stream = ? AND minute < ?",
            (stream.value, before_minute),
        )
