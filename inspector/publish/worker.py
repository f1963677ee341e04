"""The last stage: writes events into the journal, and from there into every sink."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from inspector.core.ports import Sink
from inspector.flow.event_door import EventDoor
from inspector.journal.cursor import SinkCursor
from inspector.journal.journal import Journal
from inspector.journal.station_time import Known
from inspector.publish.sink_worker import SinkTelemetry, SinkWorker
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from inspector.publish.throttle import ThrottleLimits
from inspector.redis_io.room import ASK_EVERY_S, Memory, expected_bytes

GROUPS_PER_COMMIT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTerms:
    """The settings for publishing."""

    retention_s: float
    """Older entries are trimmed from the streams, unless the journal keeps them."""
    drain_s: float
    """How long sinks get at the end to take the rest."""
    pace: ThrottleLimits = field(default_factory=ThrottleLimits)


class PublishTelemetry(SinkTelemetry):
    """What the worker reports of Redis and the journal; the default ignores it. Event loop."""

    def on_clock(self, known: Known) -> None:
        """The station's knowledge about time and its wall clock."""

    def on_redis_clock(self, ahead_s: float | None) -> None:
        """By how much Redis's clock is ahead of ours; None: this user may not ask."""

    def on_redis_memory(self, memory: Memory, expected_bytes: float | None) -> None:
        """How full Redis is, and will be with everything kept; None: too early to say."""

    def on_kept(self, used_bytes: int, limit_bytes: int, reach_s: float) -> None:
        """How large the journal is and may be, and how far back it reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherSink:
    """A sink besides Redis. The journal knows it by its name."""

    name: str
    sink: Sink
    telemetry: SinkTelemetry = field(default_factory=SinkTelemetry)


class PublishWorker:
    """Journals every group it gets, whether or not a sink answers, and delivers in order.

    Each sink has a separate delivery: one that is slow or away holds up neither another nor the
    verdicts.
    """

    name = "publish"

    def __init__(
        self,
        door: EventDoor,
        journal: Journal,
        writer: RedisStreamWriter,
        *,
        telemetry: PublishTelemetry | None = None,
        terms: PublishTerms,
        further: Sequence[FurtherSink] = (),
    ) -> None:
        self._door = door
        self._journal = journal
        self._telemetry = telemetry or PublishTelemetry()
        self._terms = terms
        self._writer = writer
        self.main = self._worker(journal.main, writer, self._telemetry)
        """Redis's delivery."""
        self._sinks = [
            self.main,
            *(self._worker(journal.cursor(f.name), f.sink, f.telemetry) for f in further),
        ]
        self._ask_at_s = -math.inf

    def _worker(self, cursor: SinkCursor, sink: Sink, telemetry: SinkTelemetry) -> SinkWorker:
        return SinkWorker(
            cursor,
            sink,
            telemetry=telemetry,
            retention_s=self._terms.retention_s,
            pace=self._terms.pace,
        )

    async def run(self) -> None:
        """Work until the door is closed and all is journaled; then deliver for up to `drain_s`.

        Events that a sink does not take by then stay in the journal for the next start. The journal
        and the sinks stay open: their creator closes them.
        """
        journaling = asyncio.create_task(self._journal_until_end(), name="publish/journal")
        delivering = {
            asyncio.create_task(
                worker.run_until_cancelled(self._care_for_redis if worker is self.main else None),
                name=f"publish/deliver/{worker.cursor.sink}",
            )
            for worker in self._sinks
        }
        try:
            # Delivery only ends by an error, which must not wait for the next event.
            done, _ = await asyncio.wait(
                {journaling, *delivering}, return_when=asyncio.FIRST_COMPLETED
            )
            for ended in done & delivering:
                ended.result()
            await journaling
        finally:
            for task in (journaling, *delivering):
                task.cancel()
            await asyncio.wait({journaling, *delivering})
        await asyncio.gather(
            *(worker.deliver_the_rest(self._terms.drain_s) for worker in self._sinks)
        )
        self._tell_kept()

    async def _journal_until_end(self) -> None:
        while groups := await self._door.receive(GROUPS_PER_COMMIT):
            await self._journal.append(groups)
            self._door.kept()
            for worker in self._sinks:
                worker.wake()
            self._tell_kept()

    async def _care_for_redis(self) -> None:
        """Check Redis's clock and memory at intervals."""
        self._tell_kept()
        now_s = time.monotonic()
        if now_s < self._ask_at_s:
            return
        await self._writer.ask_for_memory()
        self._telemetry.on_redis_clock(await self._writer.clock_ahead_s())
        if (memory := self._writer.memory_told) is not None:
            self._telemetry.on_redis_memory(memory, await self._expected_bytes(memory))
        self._ask_at_s = now_s + ASK_EVERY_S
        if self._writer.is_held:
            self.main.trim_by(self._ask_at_s)

    async def _expected_bytes(self, memory: Memory) -> float | None:
        """The memory that Redis will use once its streams reach back that far; None if unknown."""
        held = await self._writer.lengths()
        growths = await self._journal.main.growths(held)
        # Events that the journal keeps are not trimmed from the streams either.
        kept_s = max(self._terms.retention_s, self._journal.retention_s)
        return expected_bytes(memory, growths, retention_s=kept_s)

    def _tell_kept(self) -> None:
        self._telemetry.on_clock(self._journal.time_known)
        self._telemetry.on_kept(
            self._journal.used_bytes, self._journal.limit_bytes, self._journal.reach_s
        )
