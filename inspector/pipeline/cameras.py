"""Builds the capture side of one camera: source, reader, trigger, gate, worker."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

import structlog

from inspector.capture.camera_reader import CameraReader, FrameCount, Outlets
from inspector.capture.dark import DarkDetector
from inspector.capture.frozen import FrozenDetector
from inspector.capture.gate import DARK, FROZEN, CameraGate, GateLimits, JobInForce, Shown
from inspector.capture.optics import OpticsGuard, OpticsLimits, OpticsMemory, OpticsState
from inspector.capture.reconnect import ReconnectDelay
from inspector.capture.worker import CaptureWorker
from inspector.core.faults import FaultBoard, camera_clock
from inspector.core.ports import FrameSource, Preview, Teacher, UnitTrigger
from inspector.core.recipes import Job
from inspector.core.records import CameraId, Doubt, Frame
from inspector.flow.frame_pool import FramePool
from inspector.flow.inbox import FrameInbox
from inspector.flow.notices import Notices
from inspector.ops.metrics import Metrics
from inspector.settings.sections import CameraSettings
from inspector.settings.unit_sections import OpticsSettings
from inspector.sources.opening import Opening
from inspector.triggers.every_frame import EveryFrame
from inspector.triggers.external.trigger import ExternalTrigger
from inspector.triggers.presence.trigger import PresenceTrigger

log = structlog.get_logger("pipeline")

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
SPREAD_SHARE = 0.4
"""The share of the deadline in which the frames of a unit are taken; the rest is for inspection."""

MakeSource = Callable[[CameraId, CameraSettings, Event], FrameSource]


def open_source(camera_id: CameraId, camera: CameraSettings, stop: Event) -> FrameSource:
    """The camera that the settings name, not opened yet."""
    return camera.source.make_source(
        Opening(
            camera_id=camera_id,
            size=camera.size,
            read_timeout_s=camera.read_timeout_s,
            connect_timeout_s=camera.connect_timeout_s,
            stop=stop,
            pace="max" if camera.when_full == "wait" else "recorded",
            password=camera.password.get_secret_value() if camera.password else None,
            tls_ca=camera.tls_ca,
            features=camera.features,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSurroundings:
    """What the cameras of a station share."""

    inbox: FrameInbox
    notices: Notices
    metrics: Metrics
    faults: FaultBoard
    make_source: MakeSource
    on_chosen: Callable[[Frame], None]
    """Called with every frame to inspect, while it has its pixels. Capture threads."""
    eyes: Mapping[CameraId, Preview]
    jobs: Mapping[CameraId, Job]
    """The jobs under which the first units are opened."""
    teacher: Teacher
    optics: Mapping[CameraId, OpticsMemory]
    """What the cameras' guards learned before this start."""
    is_held: Callable[[int], bool]
    """Whether a unit, by its index, has to wait before it is opened: for recordings."""
    deadline_ns: int
    stopped_within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera, ready to run."""

    camera_id: CameraId
    worker: CaptureWorker
    gate: CameraGate
    is_external: bool
    """Set if the camera is triggered from outside."""
    optics: OpticsGuard


class _Shutter:
    """Makes the present reader's camera take a unit's pictures."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.reader: CameraReader | None = None

    def fire(self) -> None:
        if self.reader is not None:
            self.reader.ask_for(self._frames)


def build_camera(
    camera_id: CameraId, camera: CameraSettings, pool: FramePool, around: CaptureSurroundings
) -> Camera:
    """Wire one camera; nothing runs yet. Event loop only."""
    job = JobInForce(around.jobs[camera_id], is_held=around.is_held)
    trigger = _trigger(camera_id, camera, job, around)
    optics = OpticsGuard(
        optics_limits(camera.optics),
        camera=camera_id,
        region=camera.region,
        memory=around.optics.get(camera_id),
    )
    shutter = _Shutter(camera.frames_of_unit)
    gate = CameraGate(
        trigger,
        around.inbox,
        around.notices,
        job=job,
        frozen=_frozen(camera),
        dark=DarkDetector(below=camera.dark_below, region=camera.region),
        optics=optics,
        on_chosen=around.on_chosen,
        shown=_shown(trigger, around.eyes.get(camera_id)),
        teacher=around.teacher,
        on_triggered=shutter.fire,
    )
    outlets = Outlets(
        pool=pool, gate=gate, metrics=around.metrics, waits=camera.when_full == "wait"
    )
    return Camera(
        camera_id=camera_id,
        worker=_worker(camera_id, camera, outlets, around, _doubt(trigger), shutter=shutter),
        gate=gate,
        is_external=camera.trigger == "external",
        optics=optics,
    )


def _shown(trigger: UnitTrigger, eye: Preview | None) -> Shown | None:
    if eye is None:
        return None
    return Shown(
        eye=eye, in_view=trigger.in_view if isinstance(trigger, PresenceTrigger) else tuple
    )


def _trigger(
    camera_id: CameraId, camera: CameraSettings, job: JobInForce, around: CaptureSurroundings
) -> UnitTrigger:
    idle = around.metrics.frames_idle.labels(camera_id)
    match camera.trigger:
        case "every_frame":
            return EveryFrame(around.notices.put, job_now=job.now, job_for=job.for_unit)
        case "presence":
            return PresenceTrigger(
                camera_id,
                camera,
                job_now=job.now,
                job_for=job.for_unit,
                spread_ns=round(around.deadline_ns * SPREAD_SHARE),
                tell=around.notices.put,
                on_idle=idle.inc,
                on_doubt=_doubtful(camera_id, around.metrics),
                frame_interval_ns=_interval_ns(camera),
            )
        case "external":
            return ExternalTrigger(
                camera_id,
                job_now=job.now,
                wait_ns=round(camera.trigger_wait_ms * NS_PER_MS),
                announce=around.notices.put,
                on_idle=lambda _ref: idle.inc(),
            )


def _doubtful(camera_id: CameraId, metrics: Metrics) -> Callable[[Doubt], None]:
    return lambda doubt: metrics.units_doubtful.labels(camera_id, doubt).inc()


def _doubt(trigger: UnitTrigger) -> Callable[[], str]:
    """Functions that say why units may be missed or judged wrongly."""
    return (lambda: trigger.doubt) if isinstance(trigger, PresenceTrigger) else str


def _tell_doubt(camera_id: CameraId, cause: str, faults: FaultBoard) -> None:
    """Report optics only as a fault: pictures that show too little end as NOT_INSPECTED anyway."""
    stands = any(f.kind == "optics" and f.subject == camera_id for f in faults.standing)
    if cause:
        if not stands:
            log.warning("the pictures are doubtful", camera=camera_id, cause=cause)
        faults.raise_fault("optics", cause, camera_id)
    elif stands:
        log.info("the pictures are good again", camera=camera_id)
        faults.clear("optics", camera_id)


def _tell_optics(camera_id: CameraId, state: OpticsState | None, metrics: Metrics) -> None:
    if state is not None:
        for measure, used in state.used.items():
            metrics.optics_used.labels(camera_id, measure).set(used)


def _interval_ns(camera: CameraSettings) -> int | None:
    """The interval of a recording read as fast as it is inspected; None if frames come in time."""
    if camera.when_full != "wait":
        return None
    return camera.source.probe_interval_ns()


def _frozen(camera: CameraSettings) -> FrozenDetector | None:
    """Only a source that runs in real time can be frozen."""
    if not camera.source.traits.realtime:
        return None
    return FrozenDetector(after_ns=round(camera.frozen_after_s * NS_PER_S))


def optics_limits(optics: OpticsSettings) -> OpticsLimits:
    """What a camera's guard judges by."""
    return OpticsLimits(
        blur_px=optics.blur_px,
        clipped=optics.clipped,
        blurrier_px=optics.blurrier_px,
        blurrier_compared_px=optics.blurrier_compared_px,
        least_contrast=optics.least_contrast,
        contrast=optics.contrast,
        darker=optics.darker,
        brighter=optics.brighter,
        tint=optics.tint,
        noise=optics.noise,
        moved_px=optics.moved_px,
        warn_share=optics.warn_share,
        mark=optics.mark,
    )


def gate_limits(camera: CameraSettings) -> GateLimits:
    """The settings of a camera that may change while it runs."""
    return GateLimits(
        frozen_after_ns=round(camera.frozen_after_s * NS_PER_S),
        dark_below=camera.dark_below,
        optics=optics_limits(camera.optics),
        trigger_wait_ns=round(camera.trigger_wait_ms * NS_PER_MS),
    )


@dataclass(frozen=True, slots=True)
class _CameraReports:
    """Reports a camera's state to log, metrics and faults."""

    metrics: Metrics
    faults: FaultBoard

    def up(self, camera_id: CameraId, up: bool, cause: str) -> None:  # noqa: FBT001 - a state
        self.metrics.camera_up.labels(camera_id).set(up)
        self.metrics.camera_frozen.labels(camera_id).set(not up and cause == FROZEN)
        self.metrics.camera_dark.labels(camera_id).set(not up and cause == DARK)
        if up:
            log.info("camera up", camera=camera_id)
            self.faults.clear("camera", camera_id)
        else:
            log.warning("camera down", camera=camera_id, cause=cause)
            self.faults.raise_fault("camera", cause, camera_id)

    def clock(self, camera_id: CameraId, trouble: str) -> None:
        if trouble:
            log.warning("the camera's clock is wrong", camera=camera_id, cause=trouble)
            self.faults.raise_fault("clock", trouble, camera_clock(camera_id))
        else:
            log.info("the camera's clock is right again", camera=camera_id)
            self.faults.clear("clock", camera_clock(camera_id))


def _worker(
    camera_id: CameraId,
    camera: CameraSettings,
    outlets: Outlets,
    around: CaptureSurroundings,
    doubt: Callable[[], str],
    *,
    shutter: _Shutter,
) -> CaptureWorker:
    metrics, faults, gate = around.metrics, around.faults, outlets.gate
    reports = _CameraReports(metrics, faults)

    def make_reader(count: FrameCount) -> CameraReader:
        delay = ReconnectDelay(
            first_s=camera.reconnect_first_s, last_s=camera.reconnect_max_s, random=random.random
        )
        shutter.reader = CameraReader(
            camera_id,
            lambda stop: around.make_source(camera_id, camera, stop),
            outlets,
            count=count,
            delay=delay,
        )
        return shutter.reader

    def poll(camera_id: CameraId) -> None:
        metrics.frame_buffers_free.labels(camera_id).set(outlets.pool.free)
        _tell_doubt(camera_id, gate.refused_because or doubt(), faults)
        _tell_optics(camera_id, gate.optics_state, metrics)

    return CaptureWorker(
        camera_id,
        camera,
        make_reader,
        on_up=reports.up,
        on_poll=poll,
        on_clock=reports.clock,
        close_lane=around.inbox.close_lane,
        stopped_within_s=around.stopped_within_s,
        obstacle=lambda: gate.obstacle,
    )
