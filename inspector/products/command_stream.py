"""Reads a station's commands from Redis, and answers each once, in order, whatever happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import orjson

from inspector.core.changes import Change
from inspector.events.numbering import NOTHING_YET, EntryId, entry_id_text, parse_entry_id
from inspector.events.wording import MAX_FIELD_CHARACTERS, repeated_fields
from inspector.intake.stream_reader import (
    Answered,
    Fields,
    Place,
    ReadEntry,
    ReadingStage,
    ReadingTelemetry,
    StreamReader,
)
from inspector.products.change_over import COMMANDS_NOTE
from inspector.products.commands import Request, read_request
from inspector.redis_io.rights import COMMANDS, station_key

BY = "commands"
Keep = Callable[[Mapping[str, str]], Awaitable[None]]


def commands_key(station_id: str) -> str:
    """The key of the stream that others write and the station reads."""
    return station_key(station_id, COMMANDS)


def identity_of(command: str, fields: Mapping[str, str]) -> str:
    """The identity of a command, which distinguishes it from another with the same entry ID."""
    repeated = [command[:MAX_FIELD_CHARACTERS], repeated_fields(fields)]
    return orjson.dumps(repeated, option=orjson.OPT_SORT_KEYS).decode()


class AnswersCommands(Protocol):
    """Answers commands. Event loop only."""

    async def handle(self, request: Request, *, by: str, position: str | None = None) -> Change:
        """Execute or refuse one; its answer and its position enter the journal together."""


class NotedPlace(Place):
    """How far commands are answered, by a note of the journal."""

    def __init__(self, note: str | None, keep: Keep) -> None:
        """`note` is the journal's, None if there was none; `keep` keeps another."""
        self._at = None if note is None else parse_entry_id(note)
        self._keep = keep

    @property
    def resume_after(self) -> EntryId | None:
        """The last command that was answered."""
        return self._at

    @property
    def read_through(self) -> EntryId:
        """The same."""
        return self._at or NOTHING_YET

    async def begin(self, at: EntryId) -> None:
        """Commands from before the very first start are not carried out."""
        await self._note(at)

    async def begin_anew(self, known_through: EntryId, *, is_all_read: bool) -> EntryId:
        """Commands are answered in order, so all before the last known one were answered."""
        del is_all_read
        await self._note(known_through)
        return known_through

    async def _note(self, at: EntryId) -> None:
        self._at = at
        await self._keep({COMMANDS_NOTE: entry_id_text(at)})


class CommandWorker(ReadingStage):
    """Brings what others add to the stream of commands to the change-over, one after another.

    Commands that came while the service was not running are carried out at its start, in order.
    Only those from before the very first start are not.
    """

    name = "commands"

    def __init__(
        self,
        url: str,
        *,
        station_id: str,
        change_over: AnswersCommands,
        place: Place,
        answered: Answered | None = None,
        telemetry: ReadingTelemetry | None = None,
        password: str | None = None,
    ) -> None:
        """Does not connect yet.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._change_over = change_over
        self._reader = StreamReader(
            url,
            key=commands_key(station_id),
            what="commands",
            place=place,
            taker=self,
            answered=answered,
            telemetry=telemetry,
            password=password,
        )

    def identity(self, fields: Fields) -> str | None:
        """The command with its fields."""
        request = read_request(fields or {})
        return identity_of(request.name, request.fields)

    async def take(self, entry: ReadEntry) -> bool:
        """Execute it, or refuse it."""
        request = read_request(entry.fields or {})
        await self._change_over.handle(request, by=BY, position=entry.entry_id)
        return True

    async def taken(self) -> None:
        """Its answer is on its way into the journal."""
