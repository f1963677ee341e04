"""A journal, a writer and a worker on one Redis, as the application wires them, for many tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from inspector.core.records import Event, EventGroup, Stream
from inspector.flow.event_door import EventDoor
from inspector.journal.journal import Journal
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from inspector.publish.throttle import ThrottleLimits
from inspector.publish.worker import PublishTelemetry, PublishTerms, PublishWorker
from inspector.redis_io.room import Memory
from tests.kit.groups import group
from tests.kit.redis_server import RedisServer

STATION = "plant.line-1.aoi"
UNITS_KEY = "inspector:{plant.line-1.aoi}:units"
DEFECTS_KEY = "inspector:{plant.line-1.aoi}:defects"
DAY_S = 86_400.0


def event(number: int, stream: Stream = Stream.UNITS) -> Event:
    body = {
        "id": f"{stream.value}-{number}",
        "schema": "inspector.unit/1",
        "unit": {"number": number},
        "filling": "x" * 500,
    }
    return Event(
        stream=stream,
        id=f"{stream.value}-{number}",
        schema="inspector.unit/1",
        time="2026-01-02T03:04:05+00:00",
        unit_id=f"unit-{number}",
        result="FAILED",
        body=body,
    )


def unit_with_defect(number: int) -> EventGroup:
    return group(event(number), event(number, Stream.DEFECTS))


class Seen(PublishTelemetry):
    def __init__(self) -> None:
        self.states: list[tuple[bool, str]] = []
        self.published = dict.fromkeys(Stream, 0)
        self.pending = 0
        self.rival: list[bool] = []
        self.memory: list[tuple[Memory, float | None]] = []
        self.clocks: list[float | None] = []
        self._changed = asyncio.Event()

    def on_up(self, up: bool, cause: str) -> None:  # noqa: FBT001 - as its base class
        self.states.append((up, cause))
        self._changed.set()

    def on_rival(self, there: bool) -> None:  # noqa: FBT001 - as its base class
        self.rival.append(there)
        self._changed.set()

    def on_published(self, stream: Stream, events: int) -> None:
        self.published[stream] += events
        self._changed.set()

    def on_pending(self, events: int, oldest_s: float) -> None:
        assert oldest_s >= 0
        self.pending = events
        self._changed.set()

    def on_redis_memory(self, memory: Memory, expected_bytes: float | None) -> None:
        self.memory.append((memory, expected_bytes))

    def on_redis_clock(self, ahead_s: float | None) -> None:
        self.clocks.append(ahead_s)

    def is_down(self) -> bool:
        return bool(self.states) and not self.states[-1][0]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class Station:
    """A journal, a writer and a worker on one Redis, as the application wires them."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        station_id: str = STATION,
        pace: ThrottleLimits | None = None,
        **journal_options,
    ) -> None:
        self.journal = Journal.open(folder, **{"retention_s": DAY_S} | journal_options)
        self.writer = RedisStreamWriter(url, station_id=station_id)
        self.door = EventDoor(1)
        self.seen = Seen()
        self.worker = PublishWorker(
            self.door,
            self.journal,
            self.writer,
            telemetry=self.seen,
            terms=PublishTerms(retention_s=DAY_S, drain_s=5.0, pace=pace or ThrottleLimits()),
        )
        self.sent = 0

    async def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            await self.door.send(unit_with_defect(self.sent))

    async def delivered(self) -> None:
        """Wait until Redis has everything sent so far."""
        await self.seen.until(
            lambda: (
                self.journal.main.pending_count == 0
                and self.journal.main.delivered_seq[Stream.DEFECTS] >= self.sent
            )
        )


@asynccontextmanager
async def running(folder: Path, url: str, **options) -> AsyncIterator[Station]:
    """`options` as for `Station`."""
    station = Station(folder, url, **options)
    task = asyncio.create_task(station.worker.run())
    try:
        yield station
        station.door.close()
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await station.writer.close()
        station.journal.close()


def in_loop(work: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(work(), debug=True)


def assert_once_in_order_gapless(server: RedisServer, units: int) -> None:
    with server.client() as client:
        for key in (UNITS_KEY, DEFECTS_KEY):
            entries = client.xrange(key)
            assert [f["unit_id"] for _, f in entries] == [f"unit-{n + 1}" for n in range(units)]
            assert [int(f["seq"]) for _, f in entries] == list(range(1, units + 1))
            bodies = [orjson.loads(f["data"]) for _, f in entries]
            assert [b["seq"] for b in bodies] == list(range(1, units + 1))
            assert [b["id"] for b in bodies] == [f["id"] for _, f in entries]
