"""Reads a station's triggers from Redis, and answers each once, whatever happens in between."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from redis import exceptions

from inspector.events.numbering import EntryId, entry_id_text
from inspector.intake.stream_reader import (
    Answered,
    Fields,
    Place,
    ReadEntry,
    ReadingStage,
    ReadingTelemetry,
    StreamReader,
)
from inspector.redis_io.client import ask
from inspector.redis_io.rights import REFUSALS, TRIGGERS, station_key
from inspector.triggers.external.ledger import Ledger, id_of, is_exact, ms_of, position_of
from inspector.triggers.external.messages import TriggerOutcome, TriggerReceipt
from inspector.triggers.external.parse import MalformedTriggerError, parse_trigger
from inspector.triggers.external.receiver import UNUSABLE, StreamEntry, TriggerReceiver

DOUBLES_MS = 10_000
"""How long before the last answered trigger others may have arrived that are being sent again."""
REFUSAL_SCHEMA = "inspector.refusal/1"
REFUSALS_KEPT = 10_000
"""The length of the stream: a sender that only makes mistakes must not fill Redis."""

Note = Callable[[Mapping[str, int]], Awaitable[None]]

log = structlog.get_logger("triggers")


def triggers_key(station_id: str) -> str:
    """The key of the stream that others write and the station reads."""
    return station_key(station_id, TRIGGERS)


def refusals_key(station_id: str) -> str:
    """The key of the stream of triggers that opened no unit, with the reasons."""
    return station_key(station_id, REFUSALS)


async def note_nothing(counters: Mapping[str, int]) -> None:
    """For callers without a journal."""
    del counters


class _LedgersPlace(Place):
    """How far the triggers are answered, by each camera's counters."""

    def __init__(self, ledger: Ledger, note: Note) -> None:
        self._ledger = ledger
        self._note = note

    @property
    def resume_after(self) -> EntryId | None:
        """Start a little further back, so that a trigger sent twice is recognised."""
        position = self._ledger.resume_after
        return None if position is None else (max(0, ms_of(position) - DOUBLES_MS), 0)

    @property
    def read_through(self) -> EntryId:
        """The last trigger that any camera answered."""
        return id_of(self._ledger.answered_through)

    async def begin(self, at: EntryId) -> None:
        """Noted at once."""
        self._ledger.begin(position_of(entry_id_text(at)))
        await self._note(self._ledger.counters())

    async def begin_anew(self, known_through: EntryId, *, is_all_read: bool) -> EntryId:
        """Noted at once."""
        after = self._ledger.begin_anew(
            position_of(entry_id_text(known_through)), is_all_read=is_all_read
        )
        await self._note(self._ledger.counters())
        return known_through if is_all_read else id_of(after)


class TriggerWorker(ReadingStage):
    """Passes the entries that others add to the stream to the receiver, in order.

    Triggers that came while the service was not running are answered as not inspected. Each
    trigger's age is taken from its entry ID by Redis's own clock, so senders use `XADD … *`.

    If a trigger opened no unit, the reason is written to another stream, whose entries name the
    trigger; after a crash some may appear twice.
    """

    name = "triggers"

    def __init__(
        self,
        url: str,
        *,
        station_id: str,
        receiver: TriggerReceiver,
        password: str | None = None,
        telemetry: ReadingTelemetry | None = None,
        answered: Answered | None = None,
        note: Note = note_nothing,
    ) -> None:
        """Does not connect yet. `note` keeps counters in the journal, at once.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._receiver = receiver
        self._told: set[tuple[TriggerOutcome, str]] = set()
        self._answers_key = refusals_key(station_id)
        self._is_silent = False
        self._started_ns = time.monotonic_ns()
        self._receipt: tuple[TriggerReceipt, str] | None = None
        self._reader = StreamReader(
            url,
            key=triggers_key(station_id),
            what="triggers",
            place=_LedgersPlace(receiver.ledger, note),
            taker=self,
            answered=answered,
            telemetry=telemetry,
            password=password,
        )

    def identity(self, fields: Fields) -> str | None:
        """The unit that an entry names."""
        try:
            return parse_trigger(fields or {}).unit_id
        except MalformedTriggerError:
            return None

    async def take(self, entry: ReadEntry) -> bool:
        """Open its unit, unless its verdict is in the journal."""
        is_answered = await self._is_answered(entry)
        await self._receiver.wait_for_room()
        receipt = self._receiver.take(
            StreamEntry(
                position=position_of(entry.entry_id),
                entry_id=entry.entry_id,
                is_answered=is_answered,
                fields=entry.fields,
                came_mono_ns=entry.came_mono_ns,
                too_late=self._too_late(entry),
            )
        )
        self._receipt = None if receipt is None else (receipt, entry.entry_id)
        return receipt is None or receipt.outcome is not TriggerOutcome.REFUSED

    async def taken(self) -> None:
        """Report why it opened no unit, if it opened none."""
        if self._receipt is None:
            return
        (receipt, entry_id), self._receipt = self._receipt, None
        self._tell_once(receipt, entry_id)
        if receipt.outcome in UNUSABLE:
            await self._answer(receipt, entry_id)

    def _too_late(self, entry: ReadEntry) -> str:
        if not entry.is_backlog:
            return ""
        if entry.came_mono_ns is None:
            return "when it came is not known: its entry ID was not made by Redis"
        before = entry.came_mono_ns < self._started_ns
        return "it came while the service was not running" if before else ""

    async def _is_answered(self, entry: ReadEntry) -> bool | None:
        """Whether the journal has the verdict of an entry, if its position does not show that."""
        if is_exact(entry.entry_id) or entry.identity is None:
            return None
        found = await self._reader.in_journal({entry.entry_id: entry.identity})
        return entry.entry_id in found

    def _tell_once(self, receipt: TriggerReceipt, entry_id: str) -> None:
        """Log one line per kind of mistake; the metric has their number."""
        kind = (receipt.outcome, receipt.kind)
        if receipt.outcome is TriggerOutcome.ACCEPTED or kind in self._told:
            return
        self._told.add(kind)
        log.warning(
            "trigger refused",
            outcome=receipt.outcome,
            entry=entry_id,
            problem=receipt.problem,
        )

    async def _answer(self, receipt: TriggerReceipt, entry_id: str) -> None:
        """Write to a stream why a trigger opened no unit; reading continues if that is refused."""
        fields: dict[Any, Any] = {
            "schema": REFUSAL_SCHEMA,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "trigger": entry_id,
            "outcome": receipt.outcome.value,
            "kind": receipt.kind,
            "problem": receipt.problem,
        }
        try:
            await ask(
                self._reader.redis.xadd(
                    self._answers_key, fields, maxlen=REFUSALS_KEPT, approximate=True
                )
            )
        except exceptions.ResponseError as error:
            if not self._is_silent:
                self._is_silent = True
                log.warning("refused triggers are not answered", cause=self._reader.cause(error))
        else:
            self._is_silent = False
