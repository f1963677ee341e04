"""A station from the stream of triggers to the journal, for tests: real Redis, trigger and book."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from inspector.core.records import (
    CameraId,
    Event,
    EventGroup,
    Frame,
    FrameRef,
    JudgedUnit,
    MissReason,
    Notice,
    Stream,
    UnitClosed,
    UnitOpened,
    unit_counter,
)
from inspector.core.verdicts import DecidedUnit, FrameResult, Verdict
from inspector.flow.frame_pool import FramePool
from inspector.intake.stream_reader import ReadingTelemetry
from inspector.journal.journal import Journal
from inspector.page.archive import Archive
from inspector.results.judging import judge
from inspector.results.unit_book import UnitBook
from inspector.settings.types import Size
from inspector.triggers.external.ledger import EPOCH, Ledger, counter_names
from inspector.triggers.external.messages import Trigger, TriggerAnswer, TriggerOutcome
from inspector.triggers.external.receiver import TriggerReceiver
from inspector.triggers.external.trigger import ExternalTrigger
from inspector.triggers.external.worker import TriggerWorker
from tests.kit import jobs

STATION = "plant.line-1.aoi"
KEY = "inspector:{plant.line-1.aoi}:triggers"
CAMERA = CameraId("top")
MS = 1_000_000
DAY_S = 86_400.0
FRAME_S = 0.005


class Heard(ReadingTelemetry):
    """What a worker told of itself."""

    def __init__(self) -> None:
        self.reading: list[tuple[bool, str]] = []
        self.begun_anew: list[str] = []

    @property
    def is_reading(self) -> bool:
        return bool(self.reading) and self.reading[-1][0]

    def on_reading(self, reading: bool, cause: str) -> None:  # noqa: FBT001 - as its base
        if not self.reading or self.reading[-1] != (reading, cause):
            self.reading.append((reading, cause))

    def on_begun_anew(self, cause: str) -> None:
        self.begun_anew.append(cause)


class Station:
    """One life of a service: everything between the stream of triggers and the journal."""

    def __init__(self, folder: Path, url: str, told: list[Verdict], *, rng: random.Random) -> None:
        self.told = told
        self._rng = rng
        self._notices: list[Notice] = []
        self._sequence = 0
        self._due: asyncio.Queue[DecidedUnit] = asyncio.Queue()
        self.camera_is_lost = False
        self.pool = FramePool(buffers=12, size=Size(8, 8))
        self.unit_trigger = ExternalTrigger(
            CAMERA,
            job_now=jobs.job,
            wait_ns=300 * MS,
            announce=self._notices.append,
            on_idle=lambda _ref: None,
        )
        self.book = UnitBook(CAMERA, deadline_ns=1000 * MS)
        self.journal = Journal.open(folder, retention_s=DAY_S, counters_of=self._counters_of)
        self._units_before = self.journal.counter(unit_counter(CAMERA))
        names = counter_names([CAMERA], self.journal.counter(EPOCH))
        self.registry = CollectorRegistry()
        self.receiver = TriggerReceiver(
            {CAMERA: self},
            cameras=[CAMERA],
            units_before={CAMERA: self._units_before},
            ledger=Ledger([CAMERA], {name: self.journal.counter(name) for name in names}),
            registry=self.registry,
        )
        self.heard = Heard()
        self.archive = Archive(folder)
        self.worker = TriggerWorker(
            url,
            station_id=STATION,
            receiver=self.receiver,
            telemetry=self.heard,
            answered=self.archive,
            note=self.journal.raise_counters,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for work in (self._film(), self._expire(), self._publish()):
            self._tasks.append(asyncio.create_task(work))
        self.reading = asyncio.create_task(self.worker.run())

    async def stop(self) -> None:
        """As a service stops: what was triggered is answered."""
        self.worker.request_stop()
        await asyncio.wait_for(self.reading, 3)
        self.unit_trigger.interrupted(MissReason.SHUTTING_DOWN, "the service stops")
        self._note()
        await until(lambda: not self.book.undecided and self._due.empty())
        await asyncio.sleep(0.02)  # the last one may be on its way into the journal
        await self.crash()

    async def crash(self) -> None:
        """As a power cut: what is not in the journal is gone."""
        for task in (*self._tasks, self.reading):
            task.cancel()
        await asyncio.wait([*self._tasks, self.reading])
        self.archive.close()
        self.journal.close()

    # --- the inlet of the camera ---

    def trigger(self, trigger: Trigger) -> TriggerAnswer:
        answer, frames = self.unit_trigger.trigger(trigger)
        self._inspect(frames)
        return answer

    def remember(self, unit_id: str, received_mono_ns: int) -> None:
        self.unit_trigger.remember(unit_id, received_mono_ns)

    # --- the rest of the pipeline, in short ---

    def count(self, outcome: TriggerOutcome, camera: str = CAMERA) -> int:
        labels = {"camera": camera, "outcome": outcome.value}
        return int(self.registry.get_sample_value("inspector_triggers_total", labels) or 0)

    def _counters_of(self, group: EventGroup) -> dict[str, int]:
        return self.receiver.counters_of(group)

    async def _film(self) -> None:
        while True:
            await asyncio.sleep(FRAME_S)
            if self.camera_is_lost:
                continue
            lease = self.pool.lease()
            assert lease is not None
            ref = FrameRef(
                camera_id=CAMERA,
                sequence=self._sequence,
                captured_mono_ns=time.monotonic_ns(),
                captured_unix_ns=time.time_ns(),
            )
            self._sequence += 1
            self._inspect(self.unit_trigger.observe(Frame(ref=ref, lease=lease)))

    def _inspect(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            assert frame.ref.unit is not None
            frame.lease.release()
            miss = MissReason.INFERENCE_FAILED if self._rng.random() < 0.1 else None
            result = FrameResult(ref=frame.ref, findings=None if miss else (), miss=miss)
            loop = asyncio.get_running_loop()
            loop.call_later(self._rng.random() * 0.03, self._settle, result)
        self._note()

    def _settle(self, result: FrameResult) -> None:
        self._note()
        self._hand_on(self.book.settled(result) or [])

    def _note(self) -> None:
        for notice in self._notices:
            if isinstance(notice, UnitOpened):
                self.book.opened(notice)
            elif isinstance(notice, UnitClosed):
                self._hand_on(self.book.closed(notice))
        self._notices.clear()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.unit_trigger.expire(time.monotonic_ns())
            self._note()
            self._hand_on(self.book.expire(time.monotonic_ns()))

    def _hand_on(self, decided: Iterable[DecidedUnit]) -> None:
        for unit in decided:
            self._due.put_nowait(unit)

    async def _publish(self) -> None:
        while True:
            unit = await self._due.get()
            verdict = judge(
                unit,
                unit_number=self._units_before + unit.unit.index + 1,
                recipe=jobs.recipe(codes=("open",)),
            )
            await asyncio.shield(self._append(verdict))

    async def _append(self, verdict: Verdict) -> None:
        await self.journal.append([group_of(verdict)])
        self.told.append(verdict)


def group_of(verdict: Verdict) -> EventGroup:
    number = verdict.unit_number
    unit = JudgedUnit(
        ref=verdict.unit, number=number, id=verdict.unit.given_id or "", event_id=f"e{number}"
    )
    counters = {unit_counter(CAMERA): number}
    return EventGroup(events=(event_of(verdict),), unit=unit, counters=counters)


def event_of(verdict: Verdict) -> Event:
    number = verdict.unit_number
    body: dict[str, Any] = {
        "id": f"e{number}",
        "camera": CAMERA,
        "unit": {"number": number},
        "trigger": {"kind": "external", "entry": verdict.unit.trigger_entry},
    }
    return Event(
        stream=Stream.UNITS,
        id=f"e{number}",
        schema="inspector.unit/1",
        time="",
        unit_id=verdict.unit.given_id or "",
        result=verdict.result.value,
        body=body,
    )


async def until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - of many kinds
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(
    folder: Path, url: str, told: list[Verdict] | None = None
) -> AsyncIterator[Station]:
    station = Station(folder, url, [] if told is None else told, rng=random.Random(1))
    station.start()
    try:
        await until(lambda: station.worker.has_begun)
        yield station
    finally:
        await station.stop()


def outcomes(told: list[Verdict]) -> list[tuple[str | None, str]]:
    return [(v.unit.given_id, v.reason or v.result.value) for v in told]
