"""Queries of the journal's tables for people; reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson
from ulid import ULID

from inspector.core.records import Stream
from inspector.page.figures import UnitFact

ROWS_READ_PER_CALL = 20_000
"""How many rows a call reads: a rare filter takes some tens of milliseconds, however long the
journal is."""
FACTS_PER_STEP = 1000
TRIGGERED_PER_STEP = 1000
_NEAR_MS = 5000
_NEAR_ROWS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitQuery:
    """A query for units, the newest first; fields that are None do not restrict it."""

    limit: int = 50
    before_seq: int | None = None
    result: str | None = None
    code: str | None = None
    camera: str | None = None
    text: str | None = None
    """Part of the unit's name, in any case."""
    product: str | None = None
    order: str | None = None
    since: str | None = None
    until: str | None = None
    """When they were seen, by the events' time: from then on, and before then."""
    kept_for: str | None = None
    reviewed: bool | None = None
    """Uses the SQL function of this name, which the connection must have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it was journaled."""

    seq: int
    body: bytes
    """The JSON event without `seq` and `published_at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPage:
    """A page of units, and where the next one begins."""

    units: tuple[StoredEvent, ...]
    next_before_seq: int | None
    """For the next call; None: there are no older ones."""


def last_seq(connection: sqlite3.Connection, stream: Stream) -> int:
    """The number of a stream's newest event here; 0 without any."""
    found: int | None = connection.execute(
        "SELECT max(seq) FROM events WHERE stream = ?", (stream.value,)
    ).fetchone()[0]
    return found or 0


def units(connection: sqlite3.Connection, query: UnitQuery) -> UnitPage:
    """A page of units; reads a bounded number of rows, so it may find fewer than wanted."""
    before = query.before_seq or last_seq(connection, Stream.UNITS) + 1
    floor = max(0, before - ROWS_READ_PER_CALL)
    wheres, values = _filters(query)
    found = connection.execute(
        "SELECT seq, body FROM events WHERE stream = ? AND seq < ? AND seq >= ?"  # noqa: S608 - constants
        + "".join(f" AND {where}" for where in wheres)
        + " ORDER BY seq DESC LIMIT ?",
        (Stream.UNITS.value, before, floor, *values, query.limit),
    ).fetchall()
    rows = tuple(StoredEvent(seq=seq, body=body) for seq, body in found)
    through = rows[-1].seq if len(rows) == query.limit else floor
    return UnitPage(
        units=rows, next_before_seq=through if _has_older(connection, through) else None
    )


def _filters(query: UnitQuery) -> tuple[list[str], list[object]]:
    wheres: list[str] = []
    values: list[object] = []
    if query.result is not None:
        wheres.append("result = ?")
        values.append(query.result)
    if query.since is not None:
        wheres.append("time >= ?")
        values.append(query.since)
    if query.until is not None:
        wheres.append("time < ?")
        values.append(query.until)
    if query.reviewed is not None:
        wheres.append("reviewed(event_id) = ?")
        values.append(int(query.reviewed))
    if query.text:
        wheres.append("instr(lower(unit_id), lower(?)) > 0")
        values.append(query.text)
    # The body is compact JSON of our own making: a key and its value stand next to each other, and
    # a quotation mark inside of a text would be escaped.
    said = [
        ("code", query.code),
        ("camera", query.camera),
        ("order", query.order),
        ("kept_for", query.kept_for),
    ]
    parts = [{key: value} for key, value in said if value is not None]
    # Behind a comma: a defect's code follows its id, while that of a near miss comes first.
    texts = [b"," + orjson.dumps(part)[1:-1] for part in parts]
    if query.product is not None:
        # Its name is the first key, and the revision follows.
        texts.append(b'"product":' + orjson.dumps({"name": query.product})[:-1] + b",")
    for text in texts:
        wheres.append("instr(body, ?) > 0")
        values.append(text)
    return wheres, values


def _has_older(connection: sqlite3.Connection, seq: int) -> bool:
    found = connection.execute(
        "SELECT 1 FROM events WHERE stream = ? AND seq < ? LIMIT 1", (Stream.UNITS.value, seq)
    ).fetchone()
    return found is not None


def unit(connection: sqlite3.Connection, event_id: str) -> StoredEvent | None:
    """The unit event with this ULID; there is no index by ID, but the ULID contains its time."""
    stream, at_ms = Stream.UNITS.value, ULID.from_str(event_id).milliseconds
    found = connection.execute(
        "SELECT seq, body FROM events WHERE row = (SELECT row FROM"
        " (SELECT row, event_id FROM events WHERE stream = ? AND id_ms >= ?"
        "  ORDER BY id_ms, id_n LIMIT ?) WHERE event_id = ? LIMIT 1)",
        (stream, at_ms - _NEAR_MS, _NEAR_ROWS, event_id),
    ).fetchone()
    if found is None:  # the clock was set in between, or the event waited long for the disk
        found = connection.execute(
            "SELECT seq, body FROM events WHERE stream = ? AND event_id = ?", (stream, event_id)
        ).fetchone()
    return None if found is None else StoredEvent(seq=found[0], body=found[1])


def first_seq_since(
    connection: sqlite3.Connection, since_ms: int, stream: Stream = Stream.UNITS
) -> int:
    """The number of the first event journaled since then; above all others if there is none."""
    found = connection.execute(
        "SELECT seq FROM events WHERE stream = ? AND id_ms >= ? ORDER BY id_ms, id_n LIMIT 1",
        (stream.value, since_ms),
    ).fetchone()
    return last_seq(connection, stream) + 1 if found is None else int(found[0])


def facts_after(connection: sqlite3.Connection, seq: int) -> Iterator[tuple[int, UnitFact | None]]:
    """The next few unit events, as the figures need them; known parts are no production.

    SQLite takes the JSON apart, without Python's lock: a day of units must not hold up the line.
    """
    found = connection.execute(
        "SELECT seq, time, result,"
        " json_extract(body, '$.timing_ms.trigger_to_verdict'),"
        " json_extract(body, '$.deadline_met'),"
        " (SELECT group_concat(json_extract(value, '$.code')) FROM json_each(body, '$.defects')),"
        " json_extract(body, '$.challenge.id')"
        " FROM (SELECT seq, time, result, CAST(body AS TEXT) AS body FROM events"
        "  WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?)",
        (Stream.UNITS.value, seq, FACTS_PER_STEP),
    )
    for number, time, result, took_ms, in_time, codes, challenge in found:
        yield (
            number,
            None
            if challenge
            else UnitFact(
                seen_s=datetime.fromisoformat(time).timestamp(),
                result=result,
                codes=tuple(codes.split(",")) if codes else (),
                took_ms=took_ms or 0.0,
                in_time=bool(in_time),
            ),
        )


def reviews_after(connection: sqlite3.Connection, seq: int) -> list[tuple[int, bytes]]:
    """The next few reviews."""
    return connection.execute(
        "SELECT seq, body FROM events WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?",
        (Stream.REVIEWS.value, seq, FACTS_PER_STEP),
    ).fetchall()


def answered_commands(
    connection: sqlite3.Connection, before_seq: int
) -> list[tuple[int, str | None, str, dict[str, str]]]:
    """Number, entry, command and its fields of the answers before that number, newest first."""
    found = connection.execute(
        "SELECT seq, body FROM events WHERE stream = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
        (Stream.CHANGES.value, before_seq, TRIGGERED_PER_STEP),
    )
    answers = [(seq, orjson.loads(body)) for seq, body in found]
    return [(seq, body["entry"], body["command"], body["fields"]) for seq, body in answers]


def triggered_units(
    connection: sqlite3.Connection, before_seq: int
) -> list[tuple[int, str | None, str]]:
    """Number, trigger entry and name of the units before that number, the newest first."""
    found = connection.execute(
        "SELECT seq, body, unit_id FROM events WHERE stream = ? AND seq < ?"
        " ORDER BY seq DESC LIMIT ?",
        (Stream.UNITS.value, before_seq, TRIGGERED_PER_STEP),
    )
    return [
        (seq, orjson.loads(body).get("trigger", {}).get("entry"), unit) for seq, body, unit in found
    ]
