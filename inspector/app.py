"""Builds every stage and wires the channels: the pipeline on one screen."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

import cv2
import structlog

from inspector.batching.window import BatchWindow
from inspector.batching.worker import BatchWorker
from inspector.capture.reader import CameraReader, FrameCount, Outlets
from inspector.capture.reconnect import ReconnectDelay
from inspector.capture.sources import make_source
from inspector.capture.worker import STOPPED_WITHIN_S, CaptureWorker
from inspector.flow.channel import Channel
from inspector.flow.frame_pool import FramePool
from inspector.flow.inbox import FrameInbox, Lane
from inspector.flow.missed import MissedFrames
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.triton import TritonModel
from inspector.inference.worker import InferenceLimits, InferenceWorker
from inspector.ops.health import FaultBoard
from inspector.ops.metrics import Metrics
from inspector.ports import FrameSource, Model, Stage
from inspector.records import (
    Batch,
    CameraId,
    EventGroup,
    Frame,
    MissedFrame,
    MissReason,
    Outcome,
    Rect,
)
from inspector.results.event_builder import EventBuilder
from inspector.results.worker import ResultsWorker
from inspector.sections import CameraSettings
from inspector.settings import Settings

log = structlog.get_logger("pipeline")

NS_PER_MS = 1_000_000
GROUPS_WAITING = 16
"""Verdicts that may wait for the journal: one commit takes them all."""

MakeSource = Callable[[CameraId, CameraSettings, Event], FrameSource]


def open_source(camera_id: CameraId, camera: CameraSettings, stop: Event) -> FrameSource:
    """The camera that the settings name, not opened yet."""
    return make_source(
        camera.source.get_secret_value(),
        camera_id=camera_id,
        size=camera.size,
        read_timeout_s=camera.read_timeout_s,
        connect_timeout_s=camera.connect_timeout_s,
        stop=stop,
        pace="max" if camera.when_full == "wait" else "recorded",
        password=camera.password.get_secret_value() if camera.password else None,
        tls_ca=camera.tls_ca,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the pipeline is put into, and tests replace."""

    metrics: Metrics
    faults: FaultBoard
    builder: EventBuilder
    triton_url: str
    units_before: Mapping[CameraId, int]
    make_source: MakeSource = open_source
    make_model: Callable[[str, Settings, TensorPool], Model] = TritonModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The stages, ready to run."""

    captures: tuple[CaptureWorker, ...]
    stages: tuple[Stage, ...]
    inference: InferenceWorker
    results: ResultsWorker
    groups: Channel[EventGroup]
    inbox: FrameInbox
    pools: Mapping[CameraId, FramePool]
    tensors: TensorPool

    @property
    def captured(self) -> int:
        """Frames grabbed since start."""
        return sum(capture.captured for capture in self.captures)

    def give_up(self) -> None:
        """Wait no longer for the model server: most of the time to drain is gone. Event loop."""
        self.tensors.stop_waiting()
        self.inference.give_up()


def build_pipeline(
    settings: Settings,
    around: Surroundings,
    make_sink: Callable[[Channel[EventGroup]], Stage],
) -> Pipeline:
    """Allocate every buffer and wire every stage; nothing runs yet. Event loop only."""
    # OpenCV's worker threads spin between jobs: a frame cost 2.1 ms of client CPU with them and
    # 1.6 ms without (two cores, a model that does nothing), at the same speed.
    cv2.setNumThreads(1)
    missed = MissedFrames()
    cameras = {CameraId(c): s for c, s in settings.cameras.items()}
    only_recordings = all(camera.when_full == "wait" for camera in cameras.values())
    lanes = {c: _lane(settings, s) for c, s in cameras.items()}
    inbox = FrameInbox(lanes, on_drop=_reporter_of_drops(missed))
    pools = {c: FramePool(buffers=settings.buffers_of(c), size=s.size) for c, s in cameras.items()}
    tensors = _tensors(settings)
    batches: Channel[Batch] = Channel(1)
    outcomes: Channel[Outcome] = Channel(1)
    groups: Channel[EventGroup] = Channel(GROUPS_WAITING)

    # Half of the drain: what a stuck library holds up must still be inspected.
    stopped_within_s = min(STOPPED_WITHIN_S, settings.shutdown.drain_timeout_s / 2)
    captures = []
    for camera_id, camera in cameras.items():
        outlets = Outlets(
            pool=pools[camera_id],
            inbox=inbox,
            missed=missed,
            metrics=around.metrics,
            waits=camera.when_full == "wait",
        )
        captures.append(
            _capture(camera_id, camera, around, outlets, stopped_within_s=stopped_within_s)
        )
    batching = BatchWorker(
        inbox,
        _window(settings),
        tensors,
        batches,
        rects={c: _rect(s) for c, s in cameras.items()},
        metrics=around.metrics,
        waits_for_model=only_recordings,
    )
    inference = InferenceWorker(
        batches,
        around.make_model(around.triton_url, settings, tensors),
        outcomes,
        limits=_limits(settings, wait_for_server=only_recordings),
        metrics=around.metrics,
        on_up=_triton_reporter(around),
    )
    results = ResultsWorker(
        outcomes,
        missed,
        groups,
        builder=around.builder,
        inspection=settings.inspection,
        units_before=around.units_before,
        metrics=around.metrics,
    )
    return Pipeline(
        captures=tuple(captures),
        stages=(batching, inference, results, make_sink(groups)),
        inference=inference,
        results=results,
        groups=groups,
        inbox=inbox,
        pools=pools,
        tensors=tensors,
    )


def _reporter_of_drops(missed: MissedFrames) -> Callable[[Frame, MissReason], None]:
    def drop(frame: Frame, reason: MissReason) -> None:
        frame.lease.release()
        missed.put(MissedFrame(ref=frame.ref, reason=reason))

    return drop


def _tensors(settings: Settings) -> TensorPool:
    return TensorPool(
        tensors=settings.tensors_needed(),
        max_regions=settings.batching.max_regions,
        shared=settings.inference.tensors != "inline",
    )


def _window(settings: Settings) -> BatchWindow:
    return BatchWindow(
        max_frames=settings.batching.max_regions,
        max_wait_ns=round(settings.batching.window_ms * NS_PER_MS),
    )


def _limits(settings: Settings, *, wait_for_server: bool) -> InferenceLimits:
    return InferenceLimits(
        max_in_flight=settings.inference.max_in_flight,
        reply_timeout_s=settings.inference.reply_timeout_s,
        wait_for_server=wait_for_server,
    )


def _lane(settings: Settings, camera: CameraSettings) -> Lane:
    waits = camera.when_full == "wait"
    max_age_ns = round(settings.batching.max_age_ms * NS_PER_MS)
    return Lane(
        capacity=settings.batching.lane_capacity,
        max_age_ns=None if waits else max_age_ns,
        waits=waits,
    )


def _rect(camera: CameraSettings) -> Rect:
    return Rect(*(camera.region or (0, 0, *camera.size)))


def _capture(
    camera_id: CameraId,
    camera: CameraSettings,
    around: Surroundings,
    outlets: Outlets,
    *,
    stopped_within_s: float,
) -> CaptureWorker:
    metrics, faults = around.metrics, around.faults

    def make_reader(count: FrameCount) -> CameraReader:
        delay = ReconnectDelay(
            first_s=camera.reconnect_first_s,
            last_s=camera.reconnect_max_s,
            random=random.random,
        )
        return CameraReader(
            camera_id,
            lambda stop: around.make_source(camera_id, camera, stop),
            outlets,
            count=count,
            delay=delay,
        )

    def report(camera_id: CameraId, up: bool, cause: str) -> None:  # noqa: FBT001 - a state
        metrics.camera_up.labels(camera_id).set(up)
        if up:
            log.info("camera up", camera=camera_id)
            faults.clear("camera", camera_id)
        else:
            log.warning("camera down", camera=camera_id, cause=cause)
            faults.raise_fault("camera", cause, camera_id)

    def look(camera_id: CameraId) -> None:
        metrics.frame_buffers_free.labels(camera_id).set(outlets.pool.free)

    return CaptureWorker(
        camera_id,
        camera,
        make_reader,
        on_up=report,
        on_look=look,
        close_lane=outlets.inbox.close_lane,
        stopped_within_s=stopped_within_s,
    )


def _triton_reporter(around: Surroundings) -> Callable[[bool, str], None]:
    told: bool | None = None

    def report(up: bool, cause: str) -> None:  # noqa: FBT001 - a state
        nonlocal told
        around.metrics.triton_up.set(up)
        if up == told:
            return
        told = up
        if up:
            log.info("triton up", url=around.triton_url)
            around.faults.clear("triton")
        else:
            log.warning("triton down", cause=cause)
            around.faults.raise_fault("triton", cause)

    return report
