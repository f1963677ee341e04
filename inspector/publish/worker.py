"""The last stage: events into the journal, and from there into Redis."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass, field

from inspector.core.errors import SinkUnavailableError
from inspector.core.records import Stream
from inspector.flow.event_door import EventDoor
from inspector.journal.journal import Journal
from inspector.journal.station_time import Known
from inspector.publish.delivery import Delivery
from inspector.publish.pace import PaceLimits
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from inspector.redis_io.room import ASK_EVERY_S, Memory

GROUPS_PER_COMMIT = 256
LOOK_EVERY_S = 2.0
"""How often an idle worker looks whether Redis is there and still has its streams."""
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0
TRIM_EVERY_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTerms:
    """What the settings say about publishing."""

    retention_s: float
    """Older entries are trimmed from the streams, unless the journal keeps them."""
    drain_s: float
    """At the end: how long Redis gets to take the rest."""
    pace: PaceLimits = field(default_factory=PaceLimits)


class PublishTelemetry:
    """What the worker tells about itself; the default tells nobody. Event loop only."""

    def on_up(self, up: bool, cause: str) -> None:  # noqa: FBT001 - a state, set by a name
        """Redis accepts events, or does not and why. Called on every change, also of the why."""

    def on_rival(self, there: bool) -> None:  # noqa: FBT001 - a state, set by a name
        """Somebody else keeps writing to this station's streams, or does so no more."""

    def on_published(self, stream: Stream, events: int) -> None:
        """So many events of a stream are now known to be in Redis."""

    def on_pending(self, events: int, oldest_s: float) -> None:
        """What the journal holds for Redis."""

    def on_clock(self, known: Known) -> None:
        """What the station knows about time, and about its wall clock."""

    def on_redis_clock(self, ahead_s: float | None) -> None:
        """By how much Redis's clock is ahead of ours; None: it may not be asked."""

    def on_redis_memory(self, memory: Memory, expected_bytes: float | None) -> None:
        """How full Redis is, and will be with all that is to be kept; None: too early to say."""

    def on_kept(self, used_bytes: int, limit_bytes: int, reach_s: float) -> None:
        """How large the journal is and may be, and how far back it reaches."""


class PublishWorker:
    """Journals every group it is given, whether or not Redis is there, and delivers in order."""

    name = "publish"

    def __init__(
        self,
        door: EventDoor,
        journal: Journal,
        writer: RedisStreamWriter,
        *,
        telemetry: PublishTelemetry | None = None,
        terms: PublishTerms,
    ) -> None:
        self._door = door
        self._journal = journal
        self._telemetry = telemetry or PublishTelemetry()
        self._terms = terms
        self._delivery = Delivery(
            journal, writer, on_published=self._tell_published, pace=terms.pace
        )
        self._appended = asyncio.Event()
        self._told: tuple[bool, str] | None = None
        self._told_rival = False
        self._writer = writer
        self._trim_at_s = time.monotonic() + TRIM_EVERY_S
        self._ask_at_s = -math.inf

    async def run(self) -> None:
        """Work until the door is closed and all is journaled; then deliver for up to `drain_s`.

        What Redis does not take by then stays in the journal for the next start. The journal
        and the writer stay open: whoever made them closes them.
        """
        delivering = asyncio.create_task(self._deliver_for_ever(), name="publish/deliver")
        journaling = asyncio.create_task(self._journal_until_end(), name="publish/journal")
        try:
            # Delivery only ever ends by an error, which must not wait for the next event.
            await asyncio.wait({delivering, journaling}, return_when=asyncio.FIRST_COMPLETED)
            if delivering.done():
                delivering.result()
            await journaling
        finally:
            for task in (delivering, journaling):
                task.cancel()
            await asyncio.wait({delivering, journaling})
        await self._deliver_the_rest()

    async def _journal_until_end(self) -> None:
        while groups := await self._door.receive(GROUPS_PER_COMMIT):
            await self._journal.append(groups)
            self._door.kept()
            self._appended.set()
            self._tell_pending()

    async def _deliver_for_ever(self) -> None:
        delay_s = FIRST_RETRY_S
        while True:
            self._appended.clear()
            try:
                # First: a Redis that is nearly full takes nothing until some of it is old.
                await self._look_after_redis()
                await self._delivery.deliver_pending()
            except SinkUnavailableError as error:
                self._tell_up(up=False, cause=str(error))
                self._tell_pending()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)
                continue
            delay_s = FIRST_RETRY_S
            self._tell_up(up=True, cause="")
            self._tell_rival()
            self._tell_pending()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._appended.wait()

    async def _look_after_redis(self) -> None:
        """Drop what is old, and ask how Redis's clock and memory are; now and then."""
        now_s = time.monotonic()
        if now_s >= self._trim_at_s:
            self._trim_at_s = now_s + TRIM_EVERY_S
            await self._delivery.trim(self._terms.retention_s)
        if now_s >= self._ask_at_s:
            await self._delivery.ask_for_memory()
            self._telemetry.on_redis_clock(await self._writer.clock_ahead_s())
            if (memory := self._delivery.memory) is not None:
                expected_bytes = await self._delivery.expected_bytes(self._terms.retention_s)
                self._telemetry.on_redis_memory(memory, expected_bytes)
            self._ask_at_s = now_s + ASK_EVERY_S
            if self._delivery.is_held:
                self._trim_at_s = min(self._trim_at_s, self._ask_at_s)

    async def _deliver_the_rest(self) -> None:
        try:
            async with asyncio.timeout(self._terms.drain_s):
                await self._delivery.deliver_pending(at_leisure=False)
        except (SinkUnavailableError, TimeoutError) as error:
            self._tell_up(up=False, cause=str(error) or "not done when the service had to stop")
        self._tell_pending()

    def _tell_up(self, *, up: bool, cause: str) -> None:
        # A server that closes the connection may have a reason that only the next attempt hears
        # of. What follows the colon differs each time and would be a line each time.
        state = (up, cause.partition(":")[0])
        if state != self._told:
            self._told = state
            self._telemetry.on_up(up, cause)

    def _tell_rival(self) -> None:
        there = self._delivery.has_rival
        if there != self._told_rival:
            self._told_rival = there
            self._telemetry.on_rival(there)

    def _tell_published(self, stream: Stream, events: int) -> None:
        # A long backlog must not look like a Redis that is still away.
        self._tell_up(up=True, cause="")
        self._telemetry.on_published(stream, events)
        self._tell_pending()

    def _tell_pending(self) -> None:
        self._telemetry.on_pending(self._journal.pending_count, self._journal.oldest_pending_age_s)
        self._telemetry.on_clock(self._journal.time_known)
        self._telemetry.on_kept(
            self._journal.used_bytes, self._journal.limit_bytes, self._journal.reach_s
        )
