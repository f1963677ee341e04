"""Brings the journal's pending events into Redis: once, in order, whatever Redis went through."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from inspector.core.errors import SinkUnavailableError
from inspector.core.records import Stream
from inspector.journal.journal import Journal
from inspector.journal.rows import JournalRow
from inspector.journal.stream_ids import Standing, StreamFullError, Tip, standing
from inspector.publish.pace import LARGEST_STEP, Pace, PaceLimits
from inspector.publish.rivals import Rivals
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from inspector.redis_io.room import Memory, Reserve, bytes_in_redis, expected_bytes

FRUITLESS_WRITES = 20
"""So many writes in a row that found a stream changed under them mean somebody else writes."""

AGREED_FOR_S = 1.0
"""Shorter than an idle worker waits between two looks, so that each of these compares."""

log = structlog.get_logger(__name__)


class Delivery:
    """Keeps Redis's streams equal to the journal. Event loop only, one caller at a time."""

    def __init__(
        self,
        journal: Journal,
        writer: RedisStreamWriter,
        *,
        on_published: Callable[[Stream, int], None],
        pace: PaceLimits | None = None,
    ) -> None:
        self._journal = journal
        self._writer = writer
        self._pace = Pace(pace or PaceLimits())
        self._on_published = on_published
        self._agreed_at_s = -math.inf
        self._rivals = Rivals()
        self._reserve = Reserve()

    @property
    def memory(self) -> Memory | None:
        """What Redis last said of its memory; None where it may not be asked."""
        return self._reserve.memory

    @property
    def is_held(self) -> bool:
        """Redis is nearly full, and what is left is not ours to fill."""
        return self._reserve.is_held

    @property
    def has_rival(self) -> bool:
        """Somebody else keeps writing to this station's streams."""
        return self._rivals.are_about(time.monotonic())

    async def deliver_pending(self, *, at_leisure: bool = True) -> None:
        """Compare the streams with the journal, then write until nothing is pending.

        Not compared when that was done a moment ago and nothing went wrong since: each write
        looks how its own streams end. `at_leisure`: a backlog goes in steps that leave the
        process to its verdicts.

        Raises:
            SinkUnavailableError: Redis is away or refuses; what it has is not written again.

        """
        try:
            if time.monotonic() - self._agreed_at_s >= AGREED_FOR_S:
                await self.agree()
            await self._write_pending(at_leisure=at_leisure)
        except SinkUnavailableError:
            self._agreed_at_s = -math.inf
            raise

    async def _write_pending(self, *, at_leisure: bool) -> None:
        fruitless = 0
        while True:
            busy_ns, began_ns = time.thread_time_ns(), time.monotonic_ns()
            rows = await self._journal.pending(self._pace.rows if at_leisure else LARGEST_STEP)
            if not rows:
                return
            await self._leave_room(rows)
            published_at = datetime.now(UTC).isoformat(timespec="milliseconds")
            if await self._writer.append(rows, self._journal.delivered, published_at):
                await self._note_published(rows)
                fruitless = 0
            else:
                fruitless += 1
                if fruitless == FRUITLESS_WRITES:
                    raise SinkUnavailableError("somebody else writes to this station's streams")
                await self.agree()
            if at_leisure and self._journal.pending_count:
                # Also what others did with the loop meanwhile: rather too careful than too fast.
                pause_s = self._pace.pause_s(
                    rows=len(rows),
                    busy_ns=time.thread_time_ns() - busy_ns,
                    took_ns=time.monotonic_ns() - began_ns,
                )
                await asyncio.sleep(pause_s)

    async def ask_for_memory(self, about_to_write_bytes: float = 0.0) -> None:
        """Ask Redis how full it is, if that was long ago, or much was written since.

        Raises:
            SinkUnavailableError: Redis is away.

        """
        if self._reserve.must_ask(time.monotonic(), about_to_write_bytes):
            self._reserve.told(await self._writer.memory(), time.monotonic())

    async def expected_bytes(self, retention_s: float) -> float | None:
        """What Redis will use once its streams reach back so far; None where nobody can say.

        Raises:
            SinkUnavailableError: Redis is away.

        """
        memory = self._reserve.memory
        if memory is None:
            return None
        held = await self._writer.lengths()
        paces = await self._journal.paces(held)
        # What the journal keeps is not trimmed from the streams either.
        kept_s = max(retention_s, self._journal.retention_s)
        return expected_bytes(memory, paces, retention_s=kept_s)

    async def _leave_room(self, rows: Sequence[JournalRow]) -> None:
        """Only if Redis then still has room for the triggers of others.

        Raises:
            SinkUnavailableError: it would not, or Redis is away.

        """
        about_bytes = sum(bytes_in_redis(len(row.body)) for row in rows)
        await self.ask_for_memory(about_bytes)
        if self._reserve.is_held:
            raise SinkUnavailableError(self._reserve.cause)
        self._reserve.spend(about_bytes)

    async def agree(self) -> None:
        """Make the journal agree with how the streams end now.

        Raises:
            SinkUnavailableError: Redis is away or refuses.

        """
        met_rival = False
        for stream, tip in (await self._writer.tips()).items():
            match standing(tip.last_id, self._journal.delivered[stream]):
                case Standing.LEVEL:
                    pass
                case Standing.BEHIND:
                    await self._refill(stream, tip)
                case Standing.AHEAD:
                    met_rival |= not await self._catch_up(stream, tip)
        self._agreed_at_s = time.monotonic()
        if met_rival:
            self._rivals.met(self._agreed_at_s)

    async def trim(self, retention_s: float) -> None:
        """Drop what Redis has had for so long and is no longer kept in the journal.

        Raises:
            SinkUnavailableError: Redis is away or refuses.

        """
        for stream in Stream:
            floor = await self._journal.trim_floor(stream, retention_s)
            if floor is not None:
                await self._writer.trim(stream, floor)

    async def _refill(self, stream: Stream, tip: Tip) -> None:
        """Redis came back empty or older: send again what it lost."""
        refill = await self._journal.reopen_after(stream, tip)
        log.warning("redis_refill", stream=stream.value, events=refill.events, gone=refill.gone)

    async def _catch_up(self, stream: Stream, tip: Tip) -> bool:
        """The stream ends after what we know of: our own unconfirmed write, or a stranger's.

        Returns whether it is our own.
        """
        ours = await self._journal.row_at(stream, tip.last_id)
        if ours is not None and tip.event_id in {None, ours.event_id}:
            # A write adds all its rows or none, so everything before this one is there too.
            # None: a consumer deleted the entry already; the ID says that it was ours.
            await self._note_published([ours])
            return True
        rows = await self._journal.pending_of(stream, LARGEST_STEP)
        there = 0
        for found in await self._writer.holds(rows):
            if not found:
                break
            there += 1
        if there:
            await self._note_published(rows[:there])
        try:
            moved = await self._journal.continue_after(stream, tip)
        except StreamFullError as error:
            raise SinkUnavailableError(
                f"stream {stream.value} ends at {tip.last_id}, after which nothing can be added:"
                " delete it, it will be filled again"
            ) from error
        log.warning(
            "redis_stream_continued", stream=stream.value, after=str(tip.last_id), renumbered=moved
        )
        return False

    async def _note_published(self, rows: Sequence[JournalRow]) -> None:
        before = self._journal.delivered_seq
        await self._journal.mark_published(rows)
        for stream, seq in self._journal.delivered_seq.items():
            if seq > before[stream]:
                self._on_published(stream, seq - before[stream])
