"""Reads a stream that others write, and takes each entry once, whatever happens in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
from redis import exceptions

from inspector.core.errors import RetryableError
from inspector.core.newest import Newest
from inspector.events.numbering import NOTHING_YET, EntryId, entry_id_text, parse_entry_id
from inspector.intake.continuity import (
    LastRead,
    StreamExtent,
    read_extent,
    should_be_there,
    why_another,
)
from inspector.redis_io.client import ask, passwords_of, redis_client

BLOCK_MS = 2000
BLOCK_AHEAD_MS = 200
"""The same after an ID from the future: only a new stream can have later entries, and a waiting
read does not notice it."""
ENTRIES_PER_READ = 100
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0
CANCEL_EVERY_S = 0.1
NS_PER_MS = 1_000_000
PLAUSIBLE_AGE_NS = 30 * 86_400_000 * NS_PER_MS
"""An entry ID that claims more than this, or the future, was not made by Redis from its clock."""
FRUITLESS_READS = 2
"""This many connections in a row that were lost before a read ended are not an accident."""
REMEMBERED_ENTRIES = 4000
"""The last entries read, to recognise them; all those not answered yet are among them."""
COMPARED_PER_ASK = 1000
COMPARED_ASKS = 20
"""A stream whose last 20,000 entries are all unknown is a different one."""
READ_BACK_MS = 3_600_000
"""How much older than its trigger a verdict may be by our clock, because clocks were wrong."""
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
"""The meaning of an error for a person who reads the fault; the first match counts."""

Fields = Mapping[bytes, bytes]
Entry = tuple[str, Fields]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEntry:
    """An entry that was read just now."""

    entry_id: str
    fields: Fields
    identity: str | None
    came_mono_ns: int | None
    """When it arrived, by our monotonic clock; None if its ID was not made by Redis's clock."""
    is_backlog: bool
    """Whether it was in the stream when we connected."""


class ReadingTelemetry:
    """What a reader reports about itself; the default ignores it. Event loop only."""

    def on_reading(self, reading: bool, cause: str) -> None:  # noqa: FBT001 - a state, set by a name
        """Whether the stream is read, and why not. Called at least on every change."""

    def on_begun_anew(self, cause: str) -> None:
        """The stream began again, and is read from its start."""

    def on_caught_up(self) -> None:
        """Everything in the stream has been read."""


class Answered(Protocol):
    """Knows which entries have their answer in the journal. Event loop only."""

    async def last(self) -> tuple[str, str] | None:
        """ID and identity of the entry that was answered last; None if there is none."""

    async def answered(self, entries: Mapping[str, str], *, since_ms: int) -> set[str]:
        """The newest of these entries (ID, identity) that have their answer in the journal."""


class NothingAnswered(Answered):
    """For callers without a journal."""

    async def last(self) -> tuple[str, str] | None:
        """None."""
        return None

    async def answered(self, entries: Mapping[str, str], *, since_ms: int) -> set[str]:
        """None of them."""
        del entries, since_ms
        return set()


class Place(Protocol):
    """Keeps in the journal how far a stream is answered. Event loop only."""

    @property
    def resume_after(self) -> EntryId | None:
        """The position to continue from; None if this station never read its stream."""

    @property
    def read_through(self) -> EntryId:
        """The last entry that is known to have been answered."""

    async def begin(self, at: EntryId) -> None:
        """At the very first start: entries up to there are not ours to answer."""

    async def begin_anew(self, known_through: EntryId, *, is_all_read: bool) -> EntryId:
        """The stream began again: its entries up to there are known from before.

        Returns the entry after which to read. `is_all_read`: all of them were read since we
        started.
        """


class Taker(Protocol):
    """Answers the entries. Event loop only."""

    def identity(self, fields: Fields) -> str | None:
        """What distinguishes an entry from another with the same ID; None if it is unreadable."""

    async def take(self, entry: ReadEntry) -> bool:
        """Answer it, or make sure that it will be answered. False: read nothing more."""

    async def taken(self) -> None:
        """Report that the entry that was taken last will not be read again."""


class StreamReader:
    """Delivers the entries that others add to a stream to its answerer, in order.

    At the very first start it begins with the entries added from then on. Later it begins with the
    first entry whose answer is not in the journal, however long the service was not running.

    A stream that was replaced, set back or deleted begins again with smaller IDs. This is detected
    at every connection, and within `BLOCK_MS` in between: its entries that were not answered before
    are answered then. The stream is never written to.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str,
        what: str,
        place: Place,
        taker: Taker,
        answered: Answered | None = None,
        telemetry: ReadingTelemetry | None = None,
        password: str | None = None,
    ) -> None:
        """Does not connect yet. `what` names the entries: triggers.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._key = key
        self._what = what
        self._log = structlog.get_logger(what)
        self._place = place
        self._taker = taker
        self._answered = answered or NothingAnswered()
        self._telemetry = telemetry or ReadingTelemetry()
        self._stop = asyncio.Event()
        self._is_lost = False
        self._lost_reads = 0
        self._has_caught_up = False
        self._clock_offset_ns = 0
        """Redis's clock minus our monotonic one."""
        self._last_id: str | None = None
        """The position to read from; None until the end of the stream was looked up."""
        self._read_through = place.read_through
        self._recent: Newest[EntryId, str | None] = Newest(REMEMBERED_ENTRIES)
        """The identities of the entries that were read last."""
        if (resume := place.resume_after) is not None:
            self._last_id = entry_id_text(resume)
        # The socket must wait longer than Redis does when it blocks.
        self.redis = redis_client(
            url,
            password=password,
            timeout_s=BLOCK_MS / 1000 + 3,
            connect_timeout_s=2,
            key=key,
        )
        """Also used to answer in a second stream."""
        self._secrets = [s for s in (*passwords_of(self.redis), password) if s]

    @property
    def has_begun(self) -> bool:
        """Whether the position is known: entries added from now on are answered."""
        return self._last_id is not None

    def request_stop(self) -> None:
        """Read nothing more; `run` returns soon after. Event loop only."""
        self._stop.set()

    async def run(self) -> None:
        """Read until asked to stop, through every loss of Redis."""
        reading = asyncio.create_task(self._read_for_ever(), name=f"{self._what}/read")
        stopping = asyncio.create_task(self._stop.wait(), name=f"{self._what}/stop")
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            stopping.cancel()
            while not reading.done():
                # Repeatedly: while it connects, redis-py may lose a cancellation (see
                # `cancellable`) and continue to wait for a server that does not answer.
                reading.cancel()
                await asyncio.wait({reading}, timeout=CANCEL_EVERY_S)
            with suppress(exceptions.RedisError, OSError):
                await self.redis.aclose()

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
        """Read the entries that exist already, without waiting for more."""
        # Needed with every trigger: a missing right shows now, and not when a trigger comes.
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
            elif why := why_another(await self._extent(), self._read_through, self._what):
                await self._begin_anew(why)
                await self._catch_up()
            self._lost_reads = 0
            self._tell_read()

    async def _find_place(self) -> None:
        """Check that the stream is still the one that was read before."""
        extent = await self._extent()
        if self._last_id is None:
            self._read_through = extent.last
            self._last_id = entry_id_text(extent.last)
            await self._place.begin(extent.last)
        elif why := why_another(
            extent, self._read_through, self._what
        ) or await self._why_mark_is_gone(extent):
            await self._begin_anew(why)

    async def _why_mark_is_gone(self, extent: StreamExtent) -> str:
        """Why the stream is not the one we know, though it reaches as far; empty if it is."""
        mark = await self._mark()
        if mark is None:
            return ""
        where = entry_id_text(mark.entry_id)
        found = await ask(self.redis.xrange(self._key, where, where))
        if found:
            if self._taker.identity(found[0][1]) == mark.identity:
                return ""
            return f"entry {where} of the stream of {self._what} is another than before"
        if should_be_there(extent, mark):
            return (
                f"entry {where} of the stream of {self._what}, which was read before, is not there"
            )
        return ""

    async def _mark(self) -> LastRead | None:
        """The last entry that is known to have been in the stream."""
        if self._recent:
            entry_id = next(reversed(self._recent))
            return LastRead(entry_id, self._recent[entry_id])
        try:
            last = await self._answered.last()
        except RetryableError:
            return None  # one check fewer; the position shows it, too
        if last is None:
            return None
        mark = LastRead(parse_entry_id(last[0]), last[1])
        # Before the stream last began again, other entries were read.
        return mark if mark.entry_id <= self._read_through else None

    async def _begin_anew(self, why: str) -> None:
        known = await self._last_known()
        after = await self._place.begin_anew(known, is_all_read=self._has_caught_up)
        self._read_through = known
        self._last_id = entry_id_text(after)
        for entry_id in [e for e in self._recent if e > known]:
            del self._recent[entry_id]
        self._log.warning(
            f"the stream of {self._what} began again", cause=why, read_after=self._last_id
        )
        self._telemetry.on_begun_anew(why)

    async def _last_known(self) -> EntryId:
        """The newest entry in the stream that is known from before; `0-0` if none is.

        An older copy of the stream, for example on a replica that takes over, begins as the stream
        did: its entries up to there were read before. A different stream has nothing in common with
        it.
        """
        upto = entry_id_text(self._read_through)
        for _ in range(COMPARED_ASKS):
            page = await ask(self.redis.xrevrange(self._key, upto, "-", COMPARED_PER_ASK))
            units = {entry_id.decode(): self._taker.identity(fields) for entry_id, fields in page}
            known = await self._known_of(units)
            if known is not None:
                return parse_entry_id(known)
            if len(page) < COMPARED_PER_ASK:
                break
            upto = f"({page[-1][0].decode()}"
        return NOTHING_YET

    async def _known_of(self, units: Mapping[str, str | None]) -> str | None:
        """The newest of these entries, given newest first, that was read before."""
        named = {entry_id: unit for entry_id, unit in units.items() if unit is not None}
        journaled = await self.in_journal(named)
        for text, unit in units.items():
            entry_id = parse_entry_id(text)
            is_recent = entry_id in self._recent and self._recent[entry_id] == unit
            if is_recent or text in journaled:
                return text
        return None

    async def in_journal(self, entries: Mapping[str, str]) -> set[str]:
        """Which of these entries (ID, identity) have their answer in the journal."""
        if not entries:
            return set()
        oldest_ms = min(parse_entry_id(text)[0] for text in entries)
        since_ms = min(oldest_ms, time.time_ns() // NS_PER_MS) - READ_BACK_MS
        return await self._answered.answered(entries, since_ms=max(0, since_ms))

    async def _take(self, entries: list[Entry], *, is_backlog: bool) -> None:
        # One reading of both clocks for all of them: entries of one millisecond came together.
        redis_ns, asked_ns = await self._redis_ns()
        for entry_id, fields in entries:
            parsed, identity = parse_entry_id(entry_id), self._taker.identity(fields)
            if parsed in self._recent and self._recent[parsed] == identity:
                self._last_id = entry_id
                continue  # read again after the stream began again
            age_ns = redis_ns - parsed[0] * NS_PER_MS
            is_known = 0 <= age_ns <= PLAUSIBLE_AGE_NS
            entry = ReadEntry(
                entry_id=entry_id,
                fields=fields,
                identity=identity,
                came_mono_ns=asked_ns - age_ns if is_known else None,
                is_backlog=is_backlog,
            )
            if not await self._taker.take(entry):
                await self._stop.wait()
            self._last_id = entry_id
            self._remember(parsed, identity)
            await self._taker.taken()

    def _remember(self, entry_id: EntryId, identity: str | None) -> None:
        self._read_through = max(self._read_through, entry_id)
        self._recent[entry_id] = identity

    async def _redis_ns(self) -> tuple[int, int]:
        """The time by Redis's clock, and by our monotonic one."""
        seconds, microseconds = await ask(self.redis.time())
        redis_ns, asked_ns = (seconds * 1_000_000 + microseconds) * 1000, time.monotonic_ns()
        self._clock_offset_ns = redis_ns - asked_ns
        return redis_ns, asked_ns

    @property
    def _is_ahead(self) -> bool:
        """Whether the ID of the last entry read is in the future."""
        now_ms = (time.monotonic_ns() + self._clock_offset_ns) // NS_PER_MS
        return self._read_through[0] > now_ms

    async def _extent(self) -> StreamExtent:
        try:
            return read_extent(await ask(self.redis.xinfo_stream(self._key)))
        except exceptions.ResponseError as error:
            if "no such key" in str(error):
                return StreamExtent()
            raise

    async def _read(self, block_ms: int | None) -> list[Entry]:
        after = self._last_id or "0-0"
        reply = await ask(self.redis.xread({self._key: after}, ENTRIES_PER_READ, block_ms))
        return [
            (entry_id.decode(), fields or {})
            for _key, found in reply or ()
            for entry_id, fields in found
        ]

    def _tell_read(self) -> None:
        if self._is_lost:
            self._is_lost = False
            self._log.info(f"{self._what} are read again")
        self._telemetry.on_reading(True, "")

    def _tell_lost(self, error: Exception) -> None:
        cause = self.cause(error)
        if not self._is_lost:
            self._is_lost = True
            self._log.warning(f"{self._what} are not read", cause=cause)
        self._telemetry.on_reading(False, cause)

    def cause(self, error: Exception) -> str:
        """The meaning of an error for a person who reads the fault, without passwords."""
        reason = str(error)
        for secret in self._secrets:
            reason = reason.replace(secret, "***")
        meaning = next(text for kind, text in _EXPLAINED if isinstance(error, kind))
        if "unknown command" in reason.lower():
            meaning = "Redis lacks a command that reading them takes"
        return f"{meaning}: {reason[:_CAUSE_CHARACTERS]}"


class ReadingStage(Taker):
    """A stage that answers the entries which its reader brings. Event loop only."""

    _reader: StreamReader

    @property
    def has_begun(self) -> bool:
        """Whether the position is known: entries added from now on are answered."""
        return self._reader.has_begun

    def request_stop(self) -> None:
        """Read nothing more; `run` returns soon after. Event loop only."""
        self._reader.request_stop()

    async def run(self) -> None:
        """Read until asked to stop, through every loss of Redis."""
        await self._reader.run()
