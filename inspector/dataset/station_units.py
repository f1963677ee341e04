"""Reads the units of a station from its journal, while its service goes on writing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from inspector.core.errors import ConfigurationError, FatalError
from inspector.core.records import Stream
from inspector.journal.file import FILE_NAME
from inspector.reviews.standing import KeptReview, by_unit, kept_review

_BUSY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A query for units."""

    since: str
    """The earliest time they were seen, inclusive."""
    until: str
    """The latest time, exclusive."""
    product: str | None = None


class StationUnits:
    """Reads a journal; one thread, and not the event loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def reviews(self) -> dict[str, tuple[KeptReview, ...]]:
        """All reviews in the journal, by unit event, oldest first."""
        found = self._rows(
            "SELECT body FROM events WHERE stream = ? ORDER BY seq", Stream.REVIEWS.value
        )
        return by_unit(kept_review(orjson.loads(body)) for (body,) in found)

    def units(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """The events of the units, in the order of their verdicts."""
        found = self._rows(
            "SELECT body FROM events WHERE stream = ? AND time >= ? AND time < ? ORDER BY seq",
            Stream.UNITS.value,
            wanted.since,
            wanted.until,
        )
        for (body,) in found:
            event: dict[str, Any] = orjson.loads(body)
            if wanted.product in (None, (event.get("product") or {}).get("name")):
                yield event

    def has(self, unit_event_id: str) -> bool:
        """Whether the unit is still in the journal."""
        found = self._rows(
            "SELECT 1 FROM events WHERE stream = ? AND event_id = ? LIMIT 1",
            Stream.UNITS.value,
            unit_event_id,
        )
        return next(found, None) is not None

    def calls(self, event: dict[str, Any]) -> list[dict[str, Any]] | None:
        """All defects of a unit, with their finer shapes; None if some of them are gone.

        Its event has the first twenty; the others have events of their own.
        """
        found = self._rows(
            "SELECT body FROM events WHERE stream = ? AND unit_id = ? AND time = ? ORDER BY seq",
            Stream.DEFECTS.value,
            event["unit"]["id"],
            event["time"],
        )
        bodies = [orjson.loads(body) for (body,) in found]
        own = [body["defect"] for body in bodies if body["unit_event_id"] == event["id"]]
        if len(own) == event["counts"]["defects"]:
            return own
        return None if event["defects_truncated"] else list(event["defects"])

    def _rows(self, question: str, *values: object) -> Iterator[Any]:
        try:
            yield from self._connection.execute(question, values)
        except sqlite3.Error as error:
            raise FatalError(f"the journal cannot be read: {error}") from error


@contextmanager
def opened(folder: Path) -> Iterator[StationUnits]:
    """Open the journal of a station, whether or not its service runs; never writes.

    Raises:
        ConfigurationError: there is none, or it cannot be read.

    """
    path = folder / FILE_NAME
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None
        )
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"journal.directory: {path} cannot be read ({error}); expected a station's journal"
        ) from error
    with closing(connection):
        yield StationUnits(connection)
