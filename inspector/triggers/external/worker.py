"""Reads a station's triggers from Redis: each is answered once, whatever happens in between."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from redis import exceptions

from inspector.core.errors import RetryableError
from inspector.events.numbering import NOTHING_YET, EntryId, entry_id_text, parse_entry_id
from inspector.redis_io.client import ask, passwords_of, redis_client
from inspector.redis_io.rights import REFUSALS, TRIGGERS, station_key
from inspector.triggers.external.continuity import (
    Mark,
    StreamExtent,
    read_extent,
    should_be_there,
    why_another,
)
from inspector.triggers.external.desk import MAX_UNANSWERED, UNUSABLE, StreamEntry, TriggerDesk
from inspector.triggers.external.ledger import id_of, is_exact, ms_of, position_of
from inspector.triggers.external.messages import TriggerOutcome, TriggerReceipt
from inspector.triggers.external.parse import MalformedTriggerError, parse_trigger

BLOCK_MS = 2000
BLOCK_AHEAD_MS = 200
"""The same behind an ID from the future: nothing can come after it but in a new stream, which a
waiting read does not notice."""
ENTRIES_PER_READ = 100
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0
CANCEL_EVERY_S = 0.1
NS_PER_MS = 1_000_000
PLAUSIBLE_AGE_NS = 30 * 86_400_000 * NS_PER_MS
"""An entry ID that claims more, or the future, is none that Redis made from its clock."""
DOUBLES_MS = 10_000
"""So long before the last answered trigger others may have come that are being sent again."""
FRUITLESS_READS = 2
"""So many connections in a row that were lost before a read ended are no accident."""
REMEMBERED_ENTRIES = 4 * MAX_UNANSWERED
"""Entries read last, to be known again; all those that have no verdict yet are among them."""
COMPARED_PER_ASK = 1000
COMPARED_ASKS = 20
"""A stream whose last 20,000 entries are all unknown is another one."""
LOOK_BACK_MS = 3_600_000
"""So much older than its trigger may a verdict be by our clock: clocks were wrong then."""
REFUSAL_SCHEMA = "inspector.refusal/1"
REFUSALS_KEPT = 10_000
"""By number: a sender that only makes mistakes must not fill Redis."""
_CAUSE_CHARACTERS = 200

_EXPLAINED: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.BusyLoadingError, "Redis is still loading its data"),
    (exceptions.AuthenticationError, "Redis refused the user name or password"),
    (exceptions.TimeoutError, "Redis does not answer in time"),
    (exceptions.ConnectionError, "Redis cannot be reached"),
    (exceptions.NoPermissionError, "Redis does not allow this user all that reading them takes"),
    (exceptions.RedisError, "Redis refused"),
    (OSError, "Redis cannot be reached"),
    (RetryableError, "whether they were answered before cannot be known"),
)
"""What an error means for whoever reads the fault; the first that matches."""

Entry = tuple[str, Mapping[bytes, bytes]]

log = structlog.get_logger("triggers")


def triggers_key(station_id: str) -> str:
    """The key of the stream that others write and the station reads."""
    return station_key(station_id, TRIGGERS)


def refusals_key(station_id: str) -> str:
    """The key of the stream that says which triggers opened no unit, and why."""
    return station_key(station_id, REFUSALS)


class TriggerTelemetry:
    """What the worker tells about itself; the default tells nobody. Event loop only."""

    def on_reading(self, reading: bool, cause: str) -> None:  # noqa: FBT001 - a state, set by a name
        """Triggers are read, or are not and why. Called at least on every change."""

    def on_begun_anew(self, cause: str) -> None:
        """The stream began again, and is being read anew."""

    def on_caught_up(self) -> None:
        """What was in the stream has been read."""


class Answered(Protocol):
    """Which triggers have their verdict in the journal. Event loop only."""

    async def last_triggered(self) -> tuple[str, str] | None:
        """Entry and unit of the newest verdict on a trigger of the stream; None without any."""

    async def answered(self, triggers: Mapping[str, str], *, since_ms: int) -> set[str]:
        """The newest of these triggers (entry, unit) that have their verdict in the journal."""


class NothingAnswered(Answered):
    """For who keeps no journal."""

    async def last_triggered(self) -> tuple[str, str] | None:
        """None."""
        return None

    async def answered(self, triggers: Mapping[str, str], *, since_ms: int) -> set[str]:
        """None of them."""
        del triggers, since_ms
        return set()


async def note_nothing(counters: Mapping[str, int]) -> None:
    """For who keeps no journal."""
    del counters


class TriggerWorker:
    """Brings what others add to the stream to the desk, in order.

    At the very first start it begins with what comes from then on. After that, with the first
    trigger whose verdict is not in the journal: what came while the service was not running is
    answered as not inspected. Each trigger's age is taken from its entry ID by Redis's own clock,
    so senders use `XADD … *`.

    A stream that was replaced, set back or deleted begins again with smaller IDs. That is noticed
    at every connection, and within `BLOCK_MS` in between: what it holds and was not answered before
    is answered then.

    The stream is never written to. Why a trigger opened no unit is said in another one, whose
    entries name the trigger; after a crash some may come twice.
    """

    name = "triggers"

    def __init__(
        self,
        url: str,
        *,
        station_id: str,
        desk: TriggerDesk,
        password: str | None = None,
        telemetry: TriggerTelemetry | None = None,
        answered: Answered | None = None,
        note: Callable[[Mapping[str, int]], Awaitable[None]] = note_nothing,
    ) -> None:
        """Connect to nothing yet. `note` keeps counters in the journal, at once.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._key = triggers_key(station_id)
        self._desk = desk
        self._telemetry = telemetry or TriggerTelemetry()
        self._answered = answered or NothingAnswered()
        self._note = note
        self._stop = asyncio.Event()
        self._told: set[tuple[TriggerOutcome, str]] = set()
        self._answers_key = refusals_key(station_id)
        self._is_lost = False
        self._is_silent = False
        self._lost_reads = 0
        self._has_caught_up = False
        self._clock_offset_ns = 0
        """Redis's clock less our monotonic one."""
        self._started_ns = time.monotonic_ns()
        self._last_id: str | None = None
        """Read from there on; None until the end of the stream was looked up."""
        self._read_through: EntryId = NOTHING_YET
        self._recent: OrderedDict[EntryId, str | None] = OrderedDict()
        """The units of the entries that were read last."""
        if (position := desk.ledger.resume_after) is not None:
            # A little further back, so that a trigger sent twice is known as such.
            self._last_id = f"{max(0, ms_of(position) - DOUBLES_MS)}-0"
            self._read_through = id_of(desk.ledger.answered_through)
        # The socket must wait longer than Redis does when it blocks.
        self._redis = redis_client(
            url,
            password=password,
            timeout_s=BLOCK_MS / 1000 + 3,
            connect_timeout_s=2,
            key=self._key,
        )
        self._secrets = [s for s in (*passwords_of(self._redis), password) if s]

    @property
    def has_begun(self) -> bool:
        """Where to read from is known: what is added from now on is answered."""
        return self._last_id is not None

    def request_stop(self) -> None:
        """Read nothing more; `run` returns soon after. Event loop only."""
        self._stop.set()

    async def run(self) -> None:
        """Read until told to stop, through every loss of Redis."""
        reading = asyncio.create_task(self._read_for_ever(), name="triggers/read")
        stopping = asyncio.create_task(self._stop.wait(), name="triggers/stop")
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            stopping.cancel()
            while not reading.done():
                # Again and again: while it connects, redis-py may lose a cancellation (see
                # `cancellable`) and go on to wait for a server that does not answer.
                reading.cancel()
                await asyncio.wait({reading}, timeout=CANCEL_EVERY_S)
            with suppress(exceptions.RedisError, OSError):
                await self._redis.aclose()

    async def _read_for_ever(self) -> None:
        delay_s = FIRST_RETRY_S
        while True:
            is_connected = False
            try:
                await self._catch_up()
                is_connected, delay_s = True, FIRST_RETRY_S
                if self._lost_reads < FRUITLESS_READS:
                    self._tell_read()
                await self._follow()
            except (exceptions.RedisError, OSError, RetryableError) as error:
                # A connection that was closed while it waited is made anew before it is worth
                # a word.
                self._lost_reads += is_connected
                if not is_connected or self._lost_reads >= FRUITLESS_READS:
                    self._tell_lost(error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)

    async def _catch_up(self) -> None:
        """Read what is there already, without waiting for more."""
        # Needed with every trigger: what is missing is missed now, and not when one comes.
        await self._redis_ns()
        await self._find_place()
        while entries := await self._read(None):
            await self._take(entries, is_backlog=True)
        self._has_caught_up = True
        self._telemetry.on_caught_up()

    async def _follow(self) -> None:
        while True:
            entries = await self._read(BLOCK_AHEAD_MS if self._is_ahead else BLOCK_MS)
            if entries:
                await self._take(entries, is_backlog=False)
            elif why := why_another(await self._extent(), self._read_through):
                await self._begin_anew(why)
                await self._catch_up()
            self._lost_reads = 0
            self._tell_read()

    async def _find_place(self) -> None:
        """Look whether the stream is still the one that was read before."""
        extent = await self._extent()
        if self._last_id is None:
            self._read_through = extent.last
            self._last_id = entry_id_text(extent.last)
            self._desk.ledger.begin(position_of(self._last_id))
            await self._note(self._desk.ledger.counters())
        elif why := why_another(extent, self._read_through) or await self._why_mark_is_gone(extent):
            await self._begin_anew(why)

    async def _why_mark_is_gone(self, extent: StreamExtent) -> str:
        """Why the stream is not the one we know, though it reaches as far; empty where it is."""
        mark = await self._mark()
        if mark is None:
            return ""
        where = entry_id_text(mark.entry_id)
        found = await ask(self._redis.xrange(self._key, where, where))
        if found:
            if _unit_of(found[0][1]) == mark.unit_id:
                return ""
            return f"entry {where} of the stream of triggers is another than before"
        if should_be_there(extent, mark):
            return f"entry {where} of the stream of triggers, which was read before, is not there"
        return ""

    async def _mark(self) -> Mark | None:
        """The last entry that is known to have been in the stream."""
        if self._recent:
            entry_id = next(reversed(self._recent))
            return Mark(entry_id, self._recent[entry_id])
        try:
            last = await self._answered.last_triggered()
        except RetryableError:
            return None  # one way less to notice; the position tells too
        if last is None:
            return None
        mark = Mark(parse_entry_id(last[0]), last[1])
        # Before the stream began again the last time, others were read.
        return mark if mark.entry_id <= self._read_through else None

    async def _begin_anew(self, why: str) -> None:
        known = await self._last_known()
        after = self._desk.ledger.begin_anew(
            position_of(entry_id_text(known)), is_all_read=self._has_caught_up
        )
        self._read_through = known
        self._last_id = entry_id_text(known if self._has_caught_up else id_of(after))
        for entry_id in [e for e in self._recent if e > known]:
            del self._recent[entry_id]
        await self._note(self._desk.ledger.counters())
        log.warning("the stream of triggers began again", cause=why, read_after=self._last_id)
        self._telemetry.on_begun_anew(why)

    async def _last_known(self) -> EntryId:
        """The newest entry in the stream that was there before too; `0-0` when none was.

        An older copy of the stream, as a replica has that takes over, begins as the stream did:
        what comes up to there was read before. Another stream has nothing in common with it.
        """
        upto = entry_id_text(self._read_through)
        for _ in range(COMPARED_ASKS):
            page = await ask(self._redis.xrevrange(self._key, upto, "-", COMPARED_PER_ASK))
            units = {entry_id.decode(): _unit_of(fields) for entry_id, fields in page}
            known = await self._known_of(units)
            if known is not None:
                return parse_entry_id(known)
            if len(page) < COMPARED_PER_ASK:
                break
            upto = f"({page[-1][0].decode()}"
        return NOTHING_YET

    async def _known_of(self, units: Mapping[str, str | None]) -> str | None:
        """The newest of these entries, which come newest first, that was read before."""
        named = {entry_id: unit for entry_id, unit in units.items() if unit is not None}
        journaled = await self._in_journal(named)
        for text, unit in units.items():
            entry_id = parse_entry_id(text)
            is_recent = entry_id in self._recent and self._recent[entry_id] == unit
            if is_recent or text in journaled:
                return text
        return None

    async def _in_journal(self, triggers: Mapping[str, str]) -> set[str]:
        if not triggers:
            return set()
        oldest_ms = min(parse_entry_id(text)[0] for text in triggers)
        since_ms = min(oldest_ms, time.time_ns() // NS_PER_MS) - LOOK_BACK_MS
        return await self._answered.answered(triggers, since_ms=max(0, since_ms))

    async def _take(self, entries: list[Entry], *, is_backlog: bool) -> None:
        redis_ns, asked_ns = await self._redis_ns()
        answered = await self._answered_of(entries)
        for entry_id, fields in entries:
            parsed, unit_id = parse_entry_id(entry_id), _unit_of(fields)
            if parsed in self._recent and self._recent[parsed] == unit_id:
                self._last_id = entry_id
                continue  # read again after the stream began again
            await self._desk.wait_for_room()
            position = position_of(entry_id)
            # One reading of both clocks for all of them: entries of one millisecond came together.
            age_ns = redis_ns - ms_of(position) * NS_PER_MS
            came_ns = asked_ns - age_ns
            is_known = 0 <= age_ns <= PLAUSIBLE_AGE_NS
            too_late = ""
            if is_backlog and not is_known:
                too_late = "when it came is not known: its entry ID was not made by Redis"
            elif is_backlog and came_ns < self._started_ns:
                too_late = "it came while the service was not running"
            entry = StreamEntry(
                position=position,
                entry_id=entry_id,
                is_answered=answered.get(entry_id),
                fields=fields,
                came_mono_ns=came_ns if is_known else None,
                too_late=too_late,
            )
            receipt = self._desk.take(entry)
            if receipt is not None and receipt.outcome is TriggerOutcome.REFUSED:
                await self._stop.wait()
            self._last_id = entry_id
            self._remember(parsed, unit_id)
            if receipt is not None:
                self._tell_once(receipt, entry_id)
                if receipt.outcome in UNUSABLE:
                    await self._answer(receipt, entry_id)

    async def _answered_of(self, entries: list[Entry]) -> dict[str, bool]:
        """Of entries that their position does not tell: whether the journal has their verdict."""
        doubtful = {
            entry_id: unit
            for entry_id, fields in entries
            if not is_exact(entry_id) and (unit := _unit_of(fields)) is not None
        }
        known = await self._in_journal(doubtful)
        return {entry_id: entry_id in known for entry_id in doubtful}

    def _remember(self, entry_id: EntryId, unit_id: str | None) -> None:
        self._read_through = max(self._read_through, entry_id)
        self._recent[entry_id] = unit_id
        if len(self._recent) > REMEMBERED_ENTRIES:
            self._recent.popitem(last=False)

    async def _redis_ns(self) -> tuple[int, int]:
        """What time it is by Redis's clock, and by our monotonic one."""
        seconds, microseconds = await ask(self._redis.time())
        redis_ns, asked_ns = (seconds * 1_000_000 + microseconds) * 1000, time.monotonic_ns()
        self._clock_offset_ns = redis_ns - asked_ns
        return redis_ns, asked_ns

    @property
    def _is_ahead(self) -> bool:
        """Whether what was read last came, by its ID, later than now."""
        now_ms = (time.monotonic_ns() + self._clock_offset_ns) // NS_PER_MS
        return self._read_through[0] > now_ms

    async def _extent(self) -> StreamExtent:
        try:
            return read_extent(await ask(self._redis.xinfo_stream(self._key)))
        except exceptions.ResponseError as error:
            if "no such key" in str(error):
                return StreamExtent()
            raise

    async def _read(self, block_ms: int | None) -> list[Entry]:
        after = self._last_id or "0-0"
        reply = await ask(self._redis.xread({self._key: after}, ENTRIES_PER_READ, block_ms))
        return [
            (entry_id.decode(), fields or {})
            for _key, found in reply or ()
            for entry_id, fields in found
        ]

    def _tell_read(self) -> None:
        if self._is_lost:
            self._is_lost = False
            log.info("triggers are read again")
        self._telemetry.on_reading(True, "")

    def _tell_lost(self, error: Exception) -> None:
        cause = self._cause(error)
        if not self._is_lost:
            self._is_lost = True
            log.warning("triggers are not read", cause=cause)
        self._telemetry.on_reading(False, cause)

    def _cause(self, error: Exception) -> str:
        reason = str(error)
        for secret in self._secrets:
            reason = reason.replace(secret, "***")
        meaning = next(text for kind, text in _EXPLAINED if isinstance(error, kind))
        if "unknown command" in reason.lower():
            meaning = "Redis lacks a command that reading them takes"
        return f"{meaning}: {reason[:_CAUSE_CHARACTERS]}"

    def _tell_once(self, receipt: TriggerReceipt, entry_id: str) -> None:
        """One line per kind of mistake; the metric has their number."""
        kind = (receipt.outcome, receipt.kind)
        if receipt.outcome is TriggerOutcome.ACCEPTED or kind in self._told:
            return
        self._told.add(kind)
        log.warning(
            "a trigger is of no use",
            outcome=receipt.outcome,
            entry=entry_id,
            problem=receipt.problem,
        )

    async def _answer(self, receipt: TriggerReceipt, entry_id: str) -> None:
        """Say in a stream why a trigger opened no unit; reading goes on where that is refused."""
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
                self._redis.xadd(self._answers_key, fields, maxlen=REFUSALS_KEPT, approximate=True)
            )
        except exceptions.ResponseError as error:
            if not self._is_silent:
                self._is_silent = True
                log.warning("refused triggers are not answered", cause=self._cause(error))
        else:
            self._is_silent = False


def _unit_of(fields: Mapping[bytes, object] | None) -> str | None:
    """Which unit an entry names; None where that cannot be read."""
    try:
        return parse_trigger(fields or {}).unit_id
    except MalformedTriggerError:
        return None
