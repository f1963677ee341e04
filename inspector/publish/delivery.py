"""Delivers the journal's pending events to a sink: exactly once, in order, whatever fails."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import structlog

from inspector.core.entries import JournalRow, StreamFullError, Tip
from inspector.core.errors import SinkUnavailableError
from inspector.core.ports import Sink
from inspector.core.records import Stream
from inspector.journal.cursor import SinkCursor
from inspector.journal.stream_ids import Standing, standing
from inspector.publish.rivals import Rivals
from inspector.publish.throttle import LARGEST_STEP, Throttle, ThrottleLimits

FRUITLESS_WRITES = 20
"""This many writes in a row that found the stream changed mean that somebody else writes."""

AGREED_FOR_S = 1.0
"""Shorter than the interval of an idle worker, so that each of its checks compares."""

log = structlog.get_logger(__name__)


class Delivery:
    """Keeps a sink's streams equal to the journal. Event loop only, one caller at a time."""

    def __init__(
        self,
        cursor: SinkCursor,
        sink: Sink,
        *,
        on_published: Callable[[Stream, int], None],
        on_lost: Callable[[Stream, int], None] = lambda _stream, _events: None,
        pace: ThrottleLimits | None = None,
    ) -> None:
        """`on_lost` gets the number of events that were deleted before a further sink took them."""
        self._cursor = cursor
        self._sink = sink
        self._on_lost = on_lost
        self._pace = Throttle(pace or ThrottleLimits())
        self._on_published = on_published
        self._agreed_at_s = -math.inf
        self._rivals = Rivals()

    @property
    def has_rival(self) -> bool:
        """Whether somebody else keeps writing to this station's streams."""
        return self._rivals.are_about(time.monotonic())

    async def deliver_pending(self, *, at_leisure: bool = True) -> None:
        """Compare the streams with the journal, then write until nothing is pending.

        The comparison is skipped if it was made a moment ago and nothing failed since: each write
        checks how its own streams end. `at_leisure`: a backlog goes in steps that leave time for
        verdicts.

        Raises:
            SinkUnavailableError: it is away or refuses; what it has is not written again.

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
            rows = await self._cursor.pending(self._pace.rows if at_leisure else LARGEST_STEP)
            if not rows:
                return
            await self._sink.make_room(rows)
            published_at = datetime.now(UTC).isoformat(timespec="milliseconds")
            if await self._sink.append(rows, self._cursor.delivered, published_at):
                await self._note_published(rows, self._lost_before(rows))
                fruitless = 0
            else:
                fruitless += 1
                if fruitless == FRUITLESS_WRITES:
                    raise SinkUnavailableError("somebody else writes to this station's streams")
                await self.agree()
            if at_leisure and self._cursor.pending_count:
                # Includes what others did on the loop meanwhile: better too careful than too fast.
                pause_s = self._pace.pause_s(
                    rows=len(rows),
                    busy_ns=time.thread_time_ns() - busy_ns,
                    took_ns=time.monotonic_ns() - began_ns,
                )
                await asyncio.sleep(pause_s)

    async def agree(self) -> None:
        """Make the journal agree with how the streams end now.

        Raises:
            SinkUnavailableError: it is away or refuses.

        """
        met_rival = False
        for stream, tip in (await self._sink.tips()).items():
            if stream not in self._cursor.streams:
                continue
            match standing(tip.last_id, self._cursor.delivered[stream]):
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
        """Trim entries that were delivered long enough ago and are no longer in the journal.

        Raises:
            SinkUnavailableError: it is away or refuses.

        """
        for stream in self._cursor.streams:
            floor = await self._cursor.trim_floor(stream, retention_s)
            if floor is not None:
                await self._sink.trim(stream, floor)

    async def _refill(self, stream: Stream, tip: Tip) -> None:
        """The sink came back empty or older: send the lost events again."""
        refill = await self._cursor.reopen_after(stream, tip)
        log.warning(
            "redis_refill" if self._cursor.is_main else "sink_refill",
            sink=self._cursor.sink,
            stream=stream.value,
            events=refill.events,
            gone=refill.gone,
        )

    async def _catch_up(self, stream: Stream, tip: Tip) -> bool:
        """Handle a stream's end after the last known entry: our unconfirmed write, or another's.

        Returns whether it is our own.
        """
        ours = await self._cursor.row_at(stream, tip.last_id)
        if ours is not None and tip.event_id in {None, ours.event_id}:
            # A write adds all its rows or none, so everything before this one is there too.
            # None: a consumer deleted the entry already; the ID shows that it was ours.
            await self._note_published([ours])
            return True
        rows = await self._cursor.pending_of(stream, LARGEST_STEP)
        # By its ID in the journal, if another sink's end made the journal renumber it.
        names = [row.event_id for row in rows]
        there = names.index(tip.event_id) + 1 if tip.event_id in names else 0
        for found in await self._sink.holds(rows[there:]):
            if not found:
                break
            there += 1
        if there:
            await self._note_published(rows[:there])
        try:
            moved = await self._cursor.continue_after(stream, tip)
        except StreamFullError as error:
            raise SinkUnavailableError(
                f"stream {stream.value} ends at {tip.last_id}, after which nothing can be added:"
                " delete it, it will be filled again"
            ) from error
        log.warning(
            "redis_stream_continued" if self._cursor.is_main else "sink_stream_continued",
            sink=self._cursor.sink,
            stream=stream.value,
            after=str(tip.last_id),
            renumbered=moved,
        )
        return False

    async def _note_published(
        self, rows: Sequence[JournalRow], lost: Mapping[Stream, int] = MappingProxyType({})
    ) -> None:
        before = self._cursor.delivered_seq
        await self._cursor.mark_published(rows)
        for stream, seq in self._cursor.delivered_seq.items():
            added = seq - before[stream] - lost.get(stream, 0)
            if added > 0:
                self._on_published(stream, added)
        for stream, events in lost.items():
            self._on_lost(stream, events)

    def _lost_before(self, rows: Sequence[JournalRow]) -> dict[Stream, int]:
        """How many events of each stream before these are no longer in the journal."""
        delivered = self._cursor.delivered_seq
        first = {row.stream: row.seq for row in reversed(rows)}
        gaps = {stream: seq - delivered[stream] - 1 for stream, seq in first.items()}
        return {stream: gap for stream, gap in gaps.items() if gap > 0}
