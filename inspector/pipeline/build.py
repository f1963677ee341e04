"""Builds every stage and wires the channels: the pipeline on one screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import structlog

from inspector.batching.worker import BatchWorker
from inspector.capture.gate import CameraGate, NoTeacher, never
from inspector.capture.optics import OpticsGuard, OpticsMemory
from inspector.capture.worker import STOPPED_WITHIN_S, CaptureWorker
from inspector.core.faults import Fault, FaultBoard, reference_at
from inspector.core.locks import LockBoard
from inspector.core.ports import (
    KnownParts,
    Model,
    PictureKeeper,
    Preview,
    ProductCheck,
    Stage,
    Teacher,
)
from inspector.core.recipes import Job, ModelName
from inspector.core.records import (
    Batch,
    CameraId,
    EventGroup,
    Frame,
    MissedFrame,
    MissReason,
    ModelSpec,
    Outcome,
)
from inspector.events.wording import EventBuilder
from inspector.flow.channel import Channel
from inspector.flow.event_door import EventDoor
from inspector.flow.first_wait import FirstWait
from inspector.flow.frame_pool import FramePool
from inspector.flow.inbox import FrameInbox
from inspector.flow.model_pace import ModelPaces
from inspector.flow.notices import Notices
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.model_check import ModelTerms
from inspector.inference.triton import TritonModel
from inspector.inference.worker import InferenceWorker
from inspector.ops.metrics import Metrics
from inspector.pipeline.buffers import (
    BATCHES_WAITING,
    OUTCOMES_WAITING,
    buffers_of,
    require_buffers,
    tensor_pool,
)
from inspector.pipeline.cameras import (
    Camera,
    CaptureSurroundings,
    MakeSource,
    build_camera,
    gate_limits,
    open_source,
)
from inspector.pipeline.terms import (
    batch_windows,
    camera_lane,
    deadline_ns,
    event_terms,
    first_job,
    inference_limits,
    model_terms,
)
from inspector.pipeline.unit_services import (
    EvidencePictures,
    SerialsUnderWay,
    build_pictures,
    build_serials,
)
from inspector.results.verdict_desk import (
    AnyProduct,
    NoKnownParts,
    NoPictures,
    NoSerials,
    VerdictServices,
    ignore_verdict,
)
from inspector.results.worker import ResultsWorker
from inspector.settings.settings import Settings

log = structlog.get_logger("pipeline")

NS_PER_MS = 1_000_000
MS_PER_S = 1_000


def ignore_frame(frame: Frame) -> None:
    """No further receiver of frames before they are inspected."""
    del frame


class DeployedModel(Model, Protocol):
    """Models that may change during a connection. Event loop only."""

    def require(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> None:
        """Have each connection from the next one on begin with this model too."""

    async def prepare(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> ModelSpec:
        """Make a model ready while others answer; see `TritonModel.prepare`."""

    def use(self, needs: Collection[tuple[ModelName, tuple[str, ...]]]) -> None:
        """The models, with their codes, that the recipes in use need; see `TritonModel.use`."""

    def knows(self, model: ModelName, codes: tuple[str, ...]) -> bool:
        """Whether a model was prepared for these codes; see `TritonModel.knows`."""

    def release(self, model: ModelName) -> None:
        """No recipe needs this model any more; see `TritonModel.release`."""

    async def compare(self, terms: ModelTerms) -> None:
        """Raise if the model does not fit these terms; see `TritonModel.compare`."""

    def change(self, terms: ModelTerms) -> None:
        """Connect by these terms from now on."""


MakeModel = Callable[[str, ModelTerms, TensorPool], DeployedModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Where a pipeline reports what happens."""

    metrics: Metrics
    faults: FaultBoard
    events: EventBuilder
    door: EventDoor
    """Where verdicts leave, and all else that the journal keeps."""


def reports_of(
    settings: Settings, on_fault: Callable[[Fault, bool], None] = lambda _fault, _raised: None
) -> Reports:
    """Reports of a pipeline without a service around it. Event loop only."""
    return Reports(
        metrics=Metrics(map(CameraId, settings.cameras), settings.codes),
        faults=FaultBoard(on_fault),
        events=EventBuilder(event_terms(settings)),
        door=EventDoor(),
    )


def as_it_is(keeper: PictureKeeper) -> PictureKeeper:
    """The keeper alone sees units' pictures."""
    return keeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Where surroundings take part; without any the pipeline captures, inspects and judges."""

    make_source: MakeSource = open_source
    make_model: MakeModel = TritonModel
    pictures: Callable[[PictureKeeper], PictureKeeper] = as_it_is
    """Wraps what keeps pictures of units as evidence."""
    eyes: Mapping[CameraId, Preview] = field(default_factory=dict)
    """Show people what a camera sees."""
    products: ProductCheck = field(default_factory=AnyProduct)
    known_parts: KnownParts = field(default_factory=NoKnownParts)
    locks: LockBoard = field(default_factory=LockBoard)
    """While a lock stands, nothing is PASSED."""
    teacher: Teacher = field(default_factory=NoTeacher)
    optics: Mapping[CameraId, OpticsMemory] = field(default_factory=dict)
    """What the optics guards learned before this start."""
    is_held: Callable[[int], bool] = never
    """Whether a recording's unit, by its index, has to wait before it is opened."""
    on_verdict: Callable[[EventGroup], None] = ignore_verdict
    """Called with every verdict as it is passed on to be published. Event loop."""
    before_end: Callable[[], None] = lambda: None
    """Called when no frame comes any more: the last moment to open a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The stages, ready to run."""

    cameras: tuple[Camera, ...]
    stages: tuple[Stage, ...]
    model: DeployedModel
    inference: InferenceWorker
    results: ResultsWorker
    door: EventDoor
    inbox: FrameInbox
    notices: Notices
    pools: Mapping[CameraId, FramePool]
    tensors: TensorPool
    evidence: EvidencePictures | None

    @property
    def captured(self) -> int:
        """Frames grabbed since start."""
        return sum(camera.worker.captured for camera in self.cameras)

    @property
    def captures(self) -> tuple[CaptureWorker, ...]:
        """The stages that the others end after."""
        return tuple(camera.worker for camera in self.cameras)

    @property
    def triggered(self) -> dict[CameraId, CameraGate]:
        """The cameras that are triggered from outside."""
        return {c.camera_id: c.gate for c in self.cameras if c.is_external}

    @property
    def optics(self) -> dict[CameraId, OpticsGuard]:
        """The guards that judge the cameras' pictures."""
        return {camera.camera_id: camera.optics for camera in self.cameras}

    @property
    def handed_on(self) -> int:
        """Frames that are owed a result: chosen for inspection, or missed."""
        return sum(camera.gate.handed_on for camera in self.cameras)

    def change_job(self, job: Job) -> dict[CameraId, int]:
        """Judge every unit that is opened from now on by this job. Event loop.

        Returns how many units each camera opened before.
        """
        return self.change_jobs({camera.camera_id: job for camera in self.cameras})

    def change_jobs(self, jobs: Mapping[CameraId, Job]) -> dict[CameraId, int]:
        """Judge every unit that these cameras open from now on by these jobs. Event loop.

        Returns how many units each of them opened before.
        """
        gates = {camera.camera_id: camera.gate for camera in self.cameras}
        return {camera_id: gates[camera_id].change_job(job) for camera_id, job in jobs.items()}

    def opened_units(self, camera_id: CameraId) -> int:
        """How many units a camera has opened since the start. Event loop."""
        return next(c.gate.opened_units for c in self.cameras if c.camera_id == camera_id)

    def let_on(self) -> None:
        """Ask again whether the units that wait may be opened. Event loop."""
        for camera in self.cameras:
            camera.gate.let_on()

    def change(self, settings: Settings) -> None:
        """Use other settings, as far as they are reloadable. Event loop."""
        for camera in self.cameras:
            camera.gate.change(gate_limits(settings.cameras[camera.camera_id]))
        self.model.change(model_terms(settings))
        if self.evidence is not None:
            self.evidence.change(settings.evidence)

    def give_up(self) -> None:
        """Wait no longer for the model server: most of the time to drain is gone. Event loop."""
        self.tensors.stop_waiting()
        self.inference.give_up()


@asynccontextmanager
async def open_pipeline(
    settings: Settings,
    reports: Reports,
    sink: Stage,
    *,
    triton_url: str,
    units_before: Mapping[CameraId, int] | None = None,
    jobs: Mapping[CameraId, Job] | None = None,
    hooks: Hooks | None = None,
    serial_timeout_s: float | None = None,
) -> AsyncIterator[Pipeline]:
    """Allocate every buffer and wire every stage; nothing runs yet. Event loop only.

    What keeps evidence, reads serials and lends tensors is closed at the end, once the pipeline
    has run. `sink` is the stage that empties the door. A camera without an entry in `units_before`
    has seen no unit; the first units of one without an entry in `jobs` are judged by the settings.
    `serial_timeout_s` stands instead of the settings', for recordings, whose verdicts may take
    their time.
    """
    # OpenCV's worker threads spin between jobs: a frame cost 2.1 ms of client CPU with them and
    # 1.6 ms without (two cores, a model that does nothing), at the same speed.
    cv2.setNumThreads(1)
    require_buffers(settings)
    cameras = [CameraId(camera) for camera in settings.cameras]
    async with AsyncExitStack() as stack:
        evidence = build_pictures(settings, stack, reports.metrics, reports.faults)
        serials = build_serials(settings, stack, reports.metrics, timeout_s=serial_timeout_s)
        pipeline = _built(
            settings,
            _Surroundings(
                reports=reports,
                hooks=hooks or Hooks(),
                triton_url=triton_url,
                units_before=dict.fromkeys(cameras, 0) | dict(units_before or {}),
                jobs=dict.fromkeys(cameras, first_job(settings)) | dict(jobs or {}),
                evidence=evidence,
                serials=serials,
            ),
            sink,
        )
        stack.callback(pipeline.tensors.close)
        yield pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """What the stages work with."""

    reports: Reports
    hooks: Hooks
    triton_url: str
    units_before: Mapping[CameraId, int]
    jobs: Mapping[CameraId, Job]
    evidence: EvidencePictures | None
    serials: SerialsUnderWay | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _HandOvers:
    """The hand-overs from stage to stage, and their memory."""

    notices: Notices
    first_wait: FirstWait
    inbox: FrameInbox
    pools: Mapping[CameraId, FramePool]
    tensors: TensorPool
    batches: Channel[Batch]
    outcomes: Channel[Outcome]

    @classmethod
    def of(cls, settings: Settings) -> _HandOvers:
        cameras, notices = settings.cameras.items(), Notices()
        first_wait = FirstWait(settings.batching.max_age_ms / MS_PER_S)
        return cls(
            notices=notices,
            first_wait=first_wait,
            inbox=FrameInbox(
                {CameraId(c): camera_lane(settings, s) for c, s in cameras},
                on_drop=_reporter_of_drops(notices, first_wait),
            ),
            pools={
                CameraId(c): FramePool(buffers=buffers_of(settings, c), size=s.size)
                for c, s in cameras
            },
            tensors=tensor_pool(settings),
            batches=Channel(BATCHES_WAITING),
            outcomes=Channel(OUTCOMES_WAITING),
        )


def _built(settings: Settings, around: _Surroundings, sink: Stage) -> Pipeline:
    between, metrics, door = _HandOvers.of(settings), around.reports.metrics, around.reports.door
    cameras = {CameraId(c): s for c, s in settings.cameras.items()}
    only_recordings = all(camera.when_full == "wait" for camera in cameras.values())
    paces = ModelPaces(keeps_fresh=not only_recordings)
    capture = _capture_surroundings(settings, around, between.inbox, between.notices)
    batching = BatchWorker(
        between.inbox,
        batch_windows(settings, paces),
        between.tensors,
        between.batches,
        metrics=metrics,
        tell=between.notices.put,
        waits_for_model=only_recordings,
        first_wait=between.first_wait,
    )
    model = around.hooks.make_model(around.triton_url, model_terms(settings), between.tensors)
    inference = InferenceWorker(
        between.batches,
        model,
        between.outcomes,
        limits=inference_limits(settings, wait_for_server=only_recordings),
        metrics=metrics,
        on_up=_triton_reporter(around),
        paces=paces,
        first_wait=between.first_wait,
    )
    results = ResultsWorker(
        between.outcomes,
        between.notices,
        door,
        services=_services(around),
        nms_iou=settings.inspection.nms_iou,
        deadlines_ns={c: deadline_ns(settings, s) for c, s in cameras.items()},
        metrics=metrics,
        before_end=around.hooks.before_end,
    )
    return Pipeline(
        cameras=tuple(build_camera(c, s, between.pools[c], capture) for c, s in cameras.items()),
        stages=(batching, inference, results, sink),
        model=model,
        inference=inference,
        results=results,
        door=door,
        inbox=between.inbox,
        notices=between.notices,
        pools=between.pools,
        tensors=between.tensors,
        evidence=around.evidence,
    )


def _capture_surroundings(
    settings: Settings, around: _Surroundings, inbox: FrameInbox, notices: Notices
) -> CaptureSurroundings:
    hooks, serials = around.hooks, around.serials
    return CaptureSurroundings(
        inbox=inbox,
        notices=notices,
        metrics=around.reports.metrics,
        faults=around.reports.faults,
        make_source=hooks.make_source,
        on_chosen=serials.read if serials else ignore_frame,
        eyes=hooks.eyes,
        jobs=around.jobs,
        teacher=hooks.teacher,
        optics=hooks.optics,
        is_held=hooks.is_held,
        deadline_ns=round(settings.inspection.deadline_ms * NS_PER_MS),
        # Half of the drain: what a stuck library holds up must still be inspected.
        stopped_within_s=min(STOPPED_WITHIN_S, settings.shutdown.drain_timeout_s / 2),
    )


def _reporter_of_drops(
    notices: Notices, first_wait: FirstWait
) -> Callable[[Frame, MissReason], None]:
    def drop(frame: Frame, reason: MissReason) -> None:
        frame.lease.release()
        missed = MissedFrame(ref=frame.ref, reason=reason)
        is_full = reason is MissReason.LANE_FULL and first_wait.costs_frames
        if is_full or first_wait.left_s > 0:
            detail = "the model is still being connected to"
            missed = replace(missed, reason=MissReason.MODEL_UNAVAILABLE, detail=detail)
        notices.put(missed)

    return drop


def _services(around: _Surroundings) -> VerdictServices:
    reports, hooks = around.reports, around.hooks
    return VerdictServices(
        builder=reports.events,
        units_before=around.units_before,
        metrics=reports.metrics,
        pictures=hooks.pictures(around.evidence or NoPictures()),
        serials=around.serials or NoSerials(),
        products=hooks.products,
        known_parts=hooks.known_parts,
        locks=hooks.locks,
        near=_near(around.evidence),
        on_verdict=hooks.on_verdict,
        on_misfit=_misfit_reporter(reports.faults),
    )


def _near(evidence: EvidencePictures | None) -> Callable[[], float]:
    """How far below its threshold a finding is recorded; without evidence, not at all."""
    return (lambda: 0.0) if evidence is None else lambda: evidence.near_threshold


def _misfit_reporter(faults: FaultBoard) -> Callable[[CameraId, str], None]:
    def report(camera: CameraId, cause: str) -> None:
        subject = reference_at(camera)
        stands = any((f.kind, f.subject) == ("product", subject) for f in faults.standing)
        if cause:
            if not stands:
                log.warning("units do not fit their reference", camera=camera, cause=cause)
            faults.raise_fault("product", cause, subject)
        elif stands:
            log.info("units fit their reference again", camera=camera)
            faults.clear("product", subject)

    return report


def _triton_reporter(around: _Surroundings) -> Callable[[bool, str], None]:
    told: bool | None = None

    def report(up: bool, cause: str) -> None:  # noqa: FBT001 - a state
        nonlocal told
        around.reports.metrics.triton_up.set(up)
        if up == told:
            return
        told = up
        if up:
            log.info("triton up", url=around.triton_url)
            around.reports.faults.clear("triton")
        else:
            log.warning("triton down", cause=cause)
            around.reports.faults.raise_fault("triton", cause)

    return report
