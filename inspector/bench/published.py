"""Measures from a frame's capture to the acknowledgement of its event by Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from inspector.bench.line import (
    LineRun,
    Seen,
    memory_sources,
    percentile_of,
    run_line,
    units_before_the_clock,
)
from inspector.bench.load import Load, Server, settings_for
from inspector.core.background import background, ready_or_failed
from inspector.core.entries import JournalRow, StreamId
from inspector.core.records import EventGroup, Stream
from inspector.embedded.redis.server import EmbeddedRedis
from inspector.flow.event_door import EventDoor
from inspector.inference.connection import connect_to, login_of
from inspector.journal.journal import Journal
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from inspector.publish.worker import PublishTerms, PublishWorker

NS_PER_MS = 1_000_000
RETENTION_S = 3600.0
DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRun:
    """How long events took, of units that were inspected."""

    line: LineRun
    total_ms: tuple[float, ...]
    """From capture until Redis acknowledged the XADD."""
    triton_ms: float
    """Triton's own mean time for a request in this run, queueing in it included."""

    def added_ms(self, percentile: int) -> float:
        """The part that is not Triton's, at this percentile."""
        return percentile_of(self.total_ms, percentile) - self.triton_ms


@dataclass(slots=True)
class _Stamps(Seen):
    """Also: when frames were captured, and when their events were in Redis."""

    captured_ns: dict[str, int] = field(default_factory=dict)
    total_ms: list[float] = field(default_factory=list)

    def on_verdict(self, group: EventGroup) -> None:
        """A unit's event is about to be published."""
        super(_Stamps, self).on_verdict(group)  # slots make a class anew: no bare super()
        if group.unit is not None and self.counted:
            self.captured_ns[group.unit.event_id] = group.unit.ref.triggered_mono_ns

    def acknowledged(self, rows: Sequence[JournalRow]) -> None:
        """These are in Redis now."""
        now_ns = time.monotonic_ns()
        for row in rows:
            captured_ns = self.captured_ns.pop(row.event_id, None)
            if captured_ns is not None:
                self.total_ms.append((now_ns - captured_ns) / NS_PER_MS)


class _StampingWriter(RedisStreamWriter):
    """Notes when Redis acknowledged."""

    stamps: _Stamps

    async def append(
        self, rows: Sequence[JournalRow], ends: Mapping[Stream, StreamId], published_at: str
    ) -> bool:
        """As it is, with a stamp after the acknowledgement."""
        added = await super().append(rows, ends, published_at)
        if added:
            self.stamps.acknowledged(rows)
        return added


async def run_published(server: Server, load: Load, folder: Path | None = None) -> PublishedRun:
    """Put `load` on the whole service: journal in `folder`, a real Redis on this machine.

    Raises:
        ConfigurationError: the model does not fit, or there is no redis-server.
        FatalError: a stage failed, or too little came out.

    """
    settings = settings_for(server, load)
    stamps = _Stamps(mark_after=units_before_the_clock(load))
    async with AsyncExitStack() as stack:
        where = Path(stack.enter_context(TemporaryDirectory(dir=folder, prefix="bench-")))
        redis = EmbeddedRedis(where / "redis")
        running = await stack.enter_async_context(background(redis.run(), name="redis"))
        await ready_or_failed(redis.wait_ready(), running)
        journal = Journal.open(where / "journal", retention_s=RETENTION_S)
        stack.callback(journal.close)
        writer = _StampingWriter(redis.url, station_id=settings.station.id)
        writer.stamps = stamps
        stack.push_async_callback(writer.close)

        def publishing(door: EventDoor) -> PublishWorker:
            terms = PublishTerms(retention_s=RETENTION_S, drain_s=DRAIN_S)
            return PublishWorker(door, journal, writer, terms=terms)

        source = memory_sources(load)
        before = await _requests(server)
        line = await run_line(settings, stamps, make_source=source, make_sink=publishing)
        after = await _requests(server)
    requests, spent_ns = after[0] - before[0], after[1] - before[1]
    return PublishedRun(
        line=line,
        total_ms=tuple(stamps.total_ms),
        triton_ms=spent_ns / requests / NS_PER_MS,
    )


async def _requests(server: Server) -> tuple[int, int]:
    """Requests the model answered so far, and the nanoseconds they took in Triton."""
    client = connect_to(server.url, server.inference)
    try:
        told = await client.get_inference_statistics(
            server.model, headers=login_of(server.inference)
        )
        done = [model.inference_stats.success for model in told.model_stats]
        return sum(d.count for d in done), sum(d.ns for d in done)
    finally:
        await client.close()
