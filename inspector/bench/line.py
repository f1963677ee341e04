"""Runs a load through the service's own stages and records what comes out."""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

from inspector.bench.load import Load, Server, camera_ids, resident_mib, settings_for
from inspector.bench.memory import MemoryCamera, board_picture
from inspector.core.errors import FatalError
from inspector.core.ports import Stage
from inspector.core.records import CameraId, EventGroup, MissReason, Result
from inspector.flow.event_door import EventDoor
from inspector.ops.metrics import Metrics
from inspector.pipeline.build import Hooks, Pipeline, open_pipeline, reports_of
from inspector.pipeline.cameras import MakeSource, open_source
from inspector.pipeline.supervisor import run_to_the_end
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings

WARM_SHARE = 0.1
"""The share of units before the clock starts: connecting, first use of memory."""


CONNECTED_AFTER_S = 1.0
"""The delay before open loops begin, so that no frame comes before the model server is
connected."""
KEPT_AGES = 100_000
"""The newest; a measurement of memory must not fill it itself."""
INSPECTED = {Result.PASSED.value, Result.FAILED.value}


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """Time and user + system time of this process, at one moment."""

    at_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> ProcessTimes:
        """Take it."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.perf_counter(), used.ru_utime + used.ru_stime)


@dataclass(slots=True)
class Seen:
    """What came out, unit by unit."""

    mark_after: int
    """The unit with which the clock starts."""
    results: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    ages_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_AGES))
    """From the trigger of a unit to its verdict, where it was inspected after the clock started."""
    looked_at: int = 0
    """How many of the counted units were inspected."""
    began: ProcessTimes | None = None
    ended: ProcessTimes | None = None
    counted: int = 0
    """Units between the two marks."""
    defects: int = 0
    """Defects on these units."""

    def on_verdict(self, group: EventGroup) -> None:
        """A unit's verdict, as it is passed on to be published."""
        if group.verdict is None:
            return
        body, now = group.verdict.body, ProcessTimes.now()
        self.results[body["result"]] += 1
        if body["reason"]:
            self.reasons[body["reason"]] += 1
        if self.began is None:
            self.began = now if self.results.total() >= self.mark_after else None
            return
        self.counted, self.ended = self.counted + 1, now
        self.defects += body["counts"]["defects"]
        if body["result"] in INSPECTED:
            self.looked_at += 1
            self.ages_ms.append(body["timing_ms"]["trigger_to_verdict"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRun:
    """A load, run."""

    units: int
    counted: int
    """The units that were timed; the fields below are about them unless they say otherwise."""
    defects: int
    inspected: int
    """Of all units."""
    reasons: dict[str, int]
    """Why units were not inspected."""
    frames_per_s: float
    """Inspected ones."""
    cpu_ms_per_frame: float
    """User + system of this process, per frame captured."""
    cores: float
    """CPU time of this process per second."""
    ages_ms: tuple[float, ...]
    frames_captured: int
    frames_settled: int
    """Inspected, missed with a reason, or not needed; must equal those captured."""
    rss_mib: float

    def age_ms(self, percentile: int) -> float:
        """How old a frame was at its verdict, 1 to 99; NaN where none was inspected."""
        return percentile_of(self.ages_ms, percentile)


class _Forgetting:
    """The last stage of a run whose events nobody reads."""

    name = "forgetting"

    def __init__(self, door: EventDoor) -> None:
        self._door = door

    async def run(self) -> None:
        """Work until the groups end."""
        async for _group in self._door:
            pass


async def run_load(server: Server, load: Load) -> LineRun:
    """Put `load` on the pipeline, to its last frame.

    Raises:
        ConfigurationError: the model does not fit.
        FatalError: a stage failed, or too little came out.

    """
    settings = settings_for(server, load)
    seen = Seen(mark_after=units_before_the_clock(load))
    return await run_line(settings, seen, make_source=memory_sources(load))


def units_before_the_clock(load: Load) -> int:
    """How many units of a load are not counted."""
    return max(1, round(load.frames * load.cameras * WARM_SHARE))


def memory_sources(load: Load) -> MakeSource:
    """Makes the cameras of a load; those with a rate take turns."""
    picture = board_picture(load.size)
    places = {camera: n / load.cameras for n, camera in enumerate(camera_ids(load.cameras))}

    def source(camera: CameraId, _settings: CameraSettings, stop: Event) -> MemoryCamera:
        phase_s = CONNECTED_AFTER_S + places[camera] / (load.rate_hz or 1)
        return MemoryCamera(
            picture, frames=load.frames, rate_hz=load.rate_hz, stop=stop, phase_s=phase_s
        )

    return source


async def run_line(
    settings: Settings,
    seen: Seen,
    *,
    make_source: MakeSource = open_source,
    make_sink: Callable[[EventDoor], Stage] = _Forgetting,
    stop_after_s: float | None = None,
) -> LineRun:
    """Run until the sources end, or for this long; see `run_load` for errors."""
    reports, stop = reports_of(settings), asyncio.Event()
    hooks = Hooks(make_source=make_source, on_verdict=seen.on_verdict)
    sink, url = make_sink(reports.door), settings.inference.url
    async with open_pipeline(settings, reports, sink, triton_url=url, hooks=hooks) as pipeline:
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, stop.set)
        await run_to_the_end(
            pipeline.captures,
            pipeline.stages,
            stop=stop,
            drain_timeout_s=settings.shutdown.drain_timeout_s,
            give_up=pipeline.give_up,
        )
    return _summary(pipeline, reports.metrics, seen)


def _summary(pipeline: Pipeline, metrics: Metrics, seen: Seen) -> LineRun:
    began, ended = seen.began, seen.ended
    if began is None or ended is None or not seen.counted:
        raise FatalError(f"too few units to measure: {dict(seen.results)} {dict(seen.reasons)}")
    wall_s, cpu_s = ended.at_s - began.at_s, ended.cpu_s - began.cpu_s
    return LineRun(
        units=seen.results.total(),
        counted=seen.counted,
        defects=seen.defects,
        inspected=sum(seen.results[result] for result in INSPECTED),
        reasons=dict(seen.reasons),
        frames_per_s=seen.looked_at / wall_s,
        cpu_ms_per_frame=1000 * cpu_s / seen.counted,
        cores=cpu_s / wall_s,
        ages_ms=tuple(seen.ages_ms),
        frames_captured=pipeline.captured,
        frames_settled=_settled(metrics, [c.camera_id for c in pipeline.cameras]),
        rss_mib=resident_mib(),
    )


def _settled(metrics: Metrics, cameras: Sequence[CameraId]) -> int:
    def value(name: str, **labels: str) -> int:
        return int(metrics.registry.get_sample_value(name, labels) or 0)

    total = 0
    for camera in cameras:
        total += value("inspector_frames_inspected_total", camera=camera)
        total += value("inspector_frames_idle_total", camera=camera)
        for reason in MissReason:
            total += value("inspector_frames_missed_total", camera=camera, reason=reason.value)
    return total


def percentile_of(values: Sequence[float], percentile: int) -> float:
    """A percentile of at least two values; NaN for fewer."""
    if len(values) < 2:  # noqa: PLR2004 - quantiles need two
        return float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[percentile - 1]
