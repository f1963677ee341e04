"""Reads a station's triggers from Redis: each is answered once, whatever happens in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from redis import exceptions

from inspector.flow.trigger import TriggerOutcome
from inspector.redis_client import cancellable, redis_client
from inspector.triggers.desk import StreamEntry, TriggerDesk
from inspector.triggers.ledger import ms_of, position_of

BLOCK_MS = 2000
ENTRIES_PER_READ = 100
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0
CANCEL_EVERY_S = 0.1
NS_PER_MS = 1_000_000
PLAUSIBLE_AGE_NS = 30 * 86_400_000 * NS_PER_MS
"""An entry ID that claims more, or the future, is none that Redis made from its clock."""
DOUBLES_MS = 10_000
"""So long before the last answered trigger others may have come that are being sent again."""
_CAUSE_CHARACTERS = 200

Entry = tuple[str, Mapping[bytes, bytes]]

log = structlog.get_logger("triggers")


def triggers_key(station_id: str) -> str:
    """The key of the stream that others write and the station reads."""
    return f"inspector:{{{station_id}}}:triggers"


class TriggerWorker:
    """Brings what others add to the stream to the desk, in order.

    At the very first start it begins with what comes from then on. After that, with the first
    trigger whose verdict is not in the journal: what came while the service was not running is
    answered as not inspected. Each trigger's age is taken from its entry ID by Redis's own clock,
    so senders use `XADD … *`.

    Redis is never written to: one user with +xread +xinfo +time on the key is enough.
    """

    name = "triggers"

    def __init__(
        self, url: str, *, station_id: str, desk: TriggerDesk, password: str | None = None
    ) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._key = triggers_key(station_id)
        self._desk = desk
        self._stop = asyncio.Event()
        self._told: set[tuple[TriggerOutcome, str]] = set()
        self._is_lost = False
        self._started_ns = time.monotonic_ns()
        self._last_id: str | None = None
        """Read from there on; None until the end of the stream was looked up."""
        if (position := desk.ledger.resume_after) is not None:
            # A little further back, so that a trigger sent twice is known as such.
            self._last_id = f"{max(0, ms_of(position) - DOUBLES_MS)}-0"
        # The socket must wait longer than Redis does when it blocks.
        self._redis = redis_client(
            url,
            password=password,
            timeout_s=BLOCK_MS / 1000 + 3,
            connect_timeout_s=2,
            key=self._key,
        )

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
            try:
                await self._catch_up()
                delay_s = FIRST_RETRY_S
                await self._follow()
            except (exceptions.RedisError, OSError) as error:
                self._tell_lost(error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)

    async def _catch_up(self) -> None:
        """Read what is there already, without waiting for more."""
        if self._last_id is None:
            self._last_id = await self._end_of_stream()
            self._desk.ledger.read(position_of(self._last_id))
        while entries := await self._read(None):
            await self._take(entries, is_backlog=True)
        if self._is_lost:
            self._is_lost = False
            log.info("triggers are read again")

    async def _follow(self) -> None:
        while True:
            if entries := await self._read(BLOCK_MS):
                await self._take(entries, is_backlog=False)

    async def _take(self, entries: list[Entry], *, is_backlog: bool) -> None:
        seconds, microseconds = await _ask(self._redis.time())
        redis_ns, asked_ns = (seconds * 1_000_000 + microseconds) * 1000, time.monotonic_ns()
        for entry_id, fields in entries:
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
                fields=fields,
                came_mono_ns=came_ns if is_known else None,
                too_late=too_late,
            )
            receipt = self._desk.take(entry)
            if receipt is not None and receipt.outcome is TriggerOutcome.REFUSED:
                await self._stop.wait()
            if receipt is not None:
                self._tell_once(receipt.outcome, receipt.problem, entry_id)
            self._last_id = entry_id

    async def _end_of_stream(self) -> str:
        try:
            stream = await _ask(self._redis.xinfo_stream(self._key))
        except exceptions.ResponseError as error:
            if "no such key" in str(error):
                return "0-0"
            raise
        last_id = stream["last-generated-id"]
        return last_id.decode() if isinstance(last_id, bytes) else str(last_id)

    async def _read(self, block_ms: int | None) -> list[Entry]:
        after = self._last_id or "0-0"
        reply = await _ask(self._redis.xread({self._key: after}, ENTRIES_PER_READ, block_ms))
        return [
            (entry_id.decode(), fields or {})
            for _key, found in reply or ()
            for entry_id, fields in found
        ]

    def _tell_lost(self, error: Exception) -> None:
        if not self._is_lost:
            self._is_lost = True
            log.warning("triggers are not read", cause=str(error)[:_CAUSE_CHARACTERS])

    def _tell_once(self, outcome: TriggerOutcome, problem: str, entry_id: str) -> None:
        """One line per kind of mistake; the metric has their number."""
        kind = (outcome, problem.partition(" ")[0])
        if outcome is TriggerOutcome.ACCEPTED or kind in self._told:
            return
        self._told.add(kind)
        log.warning("a trigger is of no use", outcome=outcome, entry=entry_id, problem=problem)


async def _ask(reply: Awaitable[Any]) -> Any:
    with cancellable():
        return await reply
