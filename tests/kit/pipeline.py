"""Runs the real pipeline between scripted cameras and a sink that only collects.

Every run ends with the same questions: was every frame accounted for, did every frame get exactly
one verdict in order, did every buffer come home, was nothing left running.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from inspector.core.errors import (
    CameraUnavailableError,
    EndOfFootageError,
    FrameUnreadableError,
    LoginRefusedError,
)
from inspector.core.faults import Fault, FaultBoard
from inspector.core.ports import FrameSource
from inspector.core.recipes import Job
from inspector.core.records import CameraId, Grabbed, Image, MissReason, Stream
from inspector.flow.event_door import EventDoor
from inspector.inference.triton import TritonModel
from inspector.ops.metrics import Metrics
from inspector.pipeline.build import Hooks, MakeModel, Pipeline, open_pipeline, reports_of
from inspector.pipeline.cameras import open_source
from inspector.pipeline.supervisor import run_pipeline
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings

LIVE = "rtsp://127.0.0.1/scripted"
FOOTAGE = "file:scripted.mp4"
WIDTH_PX, HEIGHT_PX = 160, 120
Box = tuple[int, int, int, int]
L = TypeVar("L", bound="Line")


# --- cameras -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One frame, `at_s` after the script began (None: at once); bright where `spot` says."""

    at_s: float | None = None
    spot: Box | None = None
    """x, y, width, height."""
    unreadable: bool = False
    raises: Exception | None = None
    """From `retrieve_into`, in place of pixels."""


@dataclass(frozen=True, slots=True)
class Lost:
    """`grab` says that the camera is gone."""

    cause: str = "unplugged"


@dataclass(frozen=True, slots=True)
class Refuses:
    """The next `open` fails."""

    cause: str = "connection refused"
    login: bool = False
    """Because of the login."""


@dataclass(frozen=True, slots=True)
class Fails:
    """`grab` raises what no camera library should."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Blocks:
    """`grab` (or, with `in_retrieve`, the decoding of a picture) does not return until set."""

    until: Event
    in_retrieve: bool = False


Step = Picture | Lost | Refuses | Fails | Blocks


def frames(count: int, *, fps: float | None = None, spot: Box | None = None) -> Iterator[Step]:
    """Equal frames, paced by an absolute clock so that a slow machine catches up."""
    for number in range(count):
        yield Picture(at_s=None if fps is None else number / fps, spot=spot)


class ScriptedCamera:
    """A FrameSource that plays steps; the end of the script is the end of the footage."""

    def __init__(self, steps: Iterable[Step], stop: Event) -> None:
        self._steps = iter(steps)
        self._held: Step | None = None
        self._stop = stop
        self._began_s: float | None = None
        self._now: Picture | Blocks | None = None
        self.opened = 0

    def open(self) -> None:
        if self._began_s is None:
            self._began_s = time.monotonic()
        step = self._next()
        if isinstance(step, Refuses):
            raise (LoginRefusedError if step.login else CameraUnavailableError)(step.cause)
        self._held = step
        self.opened += 1

    def _next(self) -> Step | None:
        step, self._held = self._held, None
        return step if step is not None else next(self._steps, None)

    def grab(self) -> Grabbed:
        match self._next():
            case None:
                raise EndOfFootageError("the script is over")
            case Lost(cause) | Refuses(cause=cause):
                raise CameraUnavailableError(cause)
            case Fails(error):
                raise error
            case Blocks(until, in_retrieve) as block:
                if not in_retrieve:
                    until.wait()
                self._now = block
            case Picture(at_s=at_s) as picture:
                assert self._began_s is not None
                if at_s is not None:
                    self._stop.wait(max(0.0, self._began_s + at_s - time.monotonic()))
                self._now = picture
        return Grabbed(captured_mono_ns=time.monotonic_ns(), captured_unix_ns=time.time_ns())

    def retrieve_into(self, image: Image) -> None:
        image[:] = 40
        if isinstance(self._now, Blocks):
            if self._now.in_retrieve:
                self._now.until.wait()
            return
        picture = self._now
        assert picture is not None
        if picture.raises is not None:
            raise picture.raises
        if picture.unreadable:
            raise FrameUnreadableError("truncated picture")
        if picture.spot is not None:
            x, y, width, height = picture.spot
            image[y : y + height, x : x + width] = 255

    def close(self) -> None:
        pass


# --- the pipeline --------------------------------------------------------------------------------


def settings_for(url: str, cameras: Mapping[str, Mapping[str, Any]], **sections: Any) -> Settings:
    """Small pictures, short times; `sections` go over it key by key."""
    base: dict[str, Any] = {
        "station": {"site": "test", "line": "line1", "name": "aoi"},
        "cameras": {
            name: {
                "source": LIVE,
                "size": f"{WIDTH_PX}x{HEIGHT_PX}",
                "reconnect_first_s": 0.02,
                "reconnect_max_s": 0.1,
                "silent_after_s": 0.5,
                **camera,
                # What these cameras show is mostly plain.
                "optics": {"least_contrast": 0, **camera.get("optics", {})},
            }
            for name, camera in cameras.items()
        },
        "batching": {"max_regions": 4, "window_ms": 2.0, "lane_capacity": 2, "max_age_ms": 500.0},
        "inference": {"url": url, "reply_timeout_s": 2.0, "connect_timeout_s": 1.0},
        "shutdown": {"drain_timeout_s": 4.0},
        "journal": {"directory": "unused"},
        "evidence": {"enabled": False},
    }
    for section, keys in sections.items():
        base[section] = {**base.get(section, {}), **keys}
    return Settings(**base)


def recording(**extra: Any) -> dict[str, Any]:
    return {"source": FOOTAGE, "when_full": "wait", **extra}


class CollectingSink:
    """The last stage: keeps what the publisher would get."""

    name = "sink"

    def __init__(self, door: EventDoor) -> None:
        self._door = door
        self.units: list[dict[str, Any]] = []
        self.defects: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def run(self) -> None:
        async for group in self._door:
            await self.open.wait()
            for event in group.events:
                if event.stream is Stream.UNITS:
                    self.units.append(event.body)
                elif event.stream is Stream.DEFECTS:
                    self.defects.append(event.body)


@dataclass(kw_only=True)
class Line:
    """A running pipeline, and what came out of it."""

    settings: Settings
    pipeline: Pipeline
    metrics: Metrics
    sink: CollectingSink
    faults: FaultBoard
    health: list[tuple[str, str, str, float]] = field(default_factory=list)
    """(kind, raised or cleared, cause, monotonic seconds) per change."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    complaints: list[dict[str, Any]] = field(default_factory=list)
    """What the event loop was told and nobody took care of."""
    ended: asyncio.Task[None] = field(init=False)

    @property
    def units(self) -> list[dict[str, Any]]:
        return self.sink.units

    def results(self, camera: str | None = None) -> list[str]:
        """PASSED, FAILED, or the reason why not, per unit in order of publication."""
        return [
            unit["reason"] or unit["result"]
            for unit in self.units
            if camera is None or unit["camera"] == camera
        ]

    def tally(self, camera: str | None = None) -> Counter[str]:
        return Counter(self.results(camera))

    def count(self, metric: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(metric, labels)
        assert value is not None, f"no series {metric} {labels}"
        return value

    def missed(self, camera: str) -> dict[str, int]:
        """By reason, from the metrics; reasons that did not happen left out."""
        counts = {
            reason.value: int(
                self.count("inspector_frames_missed_total", camera=camera, reason=reason)
            )
            for reason in MissReason
        }
        return {reason: number for reason, number in counts.items() if number}

    async def until(self, what: Callable[[], object], within_s: float = 5.0) -> float:
        """Wait for a condition; returns how long it took. The pipeline must go on meanwhile."""
        began_s = time.monotonic()
        while not what():
            assert not self.ended.done(), f"the pipeline ended: {self.ended}"
            assert time.monotonic() - began_s < within_s, f"not within {within_s} s; {self.tally()}"
            await asyncio.sleep(0.005)
        return time.monotonic() - began_s

    def check_invariants(self) -> None:
        for capture in self.pipeline.captures:
            camera = capture.name.partition("/")[2]
            captured = int(self.count("inspector_frames_captured_total", camera=camera))
            inspected = int(self.count("inspector_frames_inspected_total", camera=camera))
            idle = int(self.count("inspector_frames_idle_total", camera=camera))
            assert captured == capture.captured
            assert captured == inspected + idle + sum(self.missed(camera).values()), (
                f"{camera}: {captured} captured, {inspected} inspected, {self.missed(camera)}"
            )
            numbers = [u["unit"]["number"] for u in self.units if u["camera"] == camera]
            assert numbers == list(range(1, captured + 1))
            pool = self.pipeline.pools[CameraId(camera)]
            assert pool.free == pool.buffers, f"{camera}: {pool.free} of {pool.buffers} came back"
        for unit in self.units:
            looked = unit["counts"]["frames_inspected"]
            assert (unit["result"] in ("PASSED", "FAILED")) == bool(looked) == (not unit["reason"])
        tensors = self.pipeline.tensors
        assert not tensors.lent, f"{tensors.lent} tensors did not come back"
        assert not self.complaints, self.complaints


async def nothing_runs_on() -> list[str]:
    """Names of pipeline tasks that are still there; waits a few turns for cancelled ones."""
    names: list[str] = []
    for _ in range(50):
        names = [t.get_name() for t in asyncio.all_tasks() if is_ours(t)]
        if not names:
            break
        await asyncio.sleep(0.002)
    return names


def is_ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "/inspector/" in code.co_filename and not task.done()


@asynccontextmanager
async def line(
    settings: Settings,
    scripts: Mapping[str, Iterable[Step]],
    *,
    make_model: MakeModel = TritonModel,
) -> AsyncIterator[Line]:
    """A pipeline that runs inside the `with`; at its end it is stopped and checked.

    A camera without a script is the one that its settings name.

    A body that expects the pipeline to fail awaits `line.ended` itself.
    """
    steps = {name: iter(script) for name, script in scripts.items()}

    def make_source(camera_id: CameraId, camera: CameraSettings, stop: Event) -> FrameSource:
        if camera_id not in steps:
            return open_source(camera_id, camera, stop)
        # A second reader of the same camera goes on where the script is.
        return ScriptedCamera(steps[camera_id], stop)

    hooks = Hooks(make_source=make_source, make_model=make_model)
    async with running_line(Line, settings, hooks) as running:
        yield running
        failed = running.ended.done() and running.ended.exception() is not None
        await ended_well(running, has_failed=failed)


@asynccontextmanager
async def running_line(
    kind: type[L], settings: Settings, hooks: Hooks, *, jobs: Mapping[CameraId, Job] | None = None
) -> AsyncIterator[L]:
    """A pipeline that runs inside the `with`; afterwards nothing of it is left."""
    health: list[tuple[str, str, str, float]] = []

    def changed(fault: Fault, raised: bool) -> None:  # noqa: FBT001
        state = "raised" if raised else "cleared"
        health.append((fault.kind, state, fault.cause, time.monotonic()))

    reports = reports_of(settings, changed)
    sink = CollectingSink(reports.door)
    async with open_pipeline(
        settings,
        reports,
        sink,
        triton_url=settings.inference.url,
        jobs=jobs or {},
        hooks=hooks,
    ) as pipeline:
        running = kind(
            settings=settings,
            pipeline=pipeline,
            metrics=reports.metrics,
            sink=sink,
            faults=reports.faults,
            health=health,
        )
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: running.complaints.append(context))
        running.ended = asyncio.create_task(
            run_pipeline(
                pipeline.captures,
                pipeline.stages,
                stop=running.stop,
                drain_timeout_s=settings.shutdown.drain_timeout_s,
                give_up=pipeline.give_up,
            ),
            name="line",
        )
        try:
            yield running
        finally:
            running.ended.cancel()
            await asyncio.wait([running.ended])
            loop.set_exception_handler(None)
    assert not segments_of_this_process()


async def ended_well(running: Line, *, has_failed: bool = False) -> None:
    """Stop it; nothing runs on, and what must always hold does where it did not fail."""
    running.stop.set()
    if not has_failed:
        async with asyncio.timeout(running.settings.shutdown.drain_timeout_s + 3):
            await running.ended
    left = await nothing_runs_on()
    assert not left, f"still running: {left}"
    if not has_failed:
        running.check_invariants()


def segments_of_this_process() -> list[str]:
    return [path.name for path in Path("/dev/shm").glob(f"inspector-{os.getpid()}-*")]
