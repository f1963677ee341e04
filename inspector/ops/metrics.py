"""The metrics Prometheus reads. Names and labels are a contract: see docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from time import monotonic, time
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from inspector.core.faults import ProcessRule, camera_clock, process_at, reference_at
from inspector.core.locks import LockKind
from inspector.core.optics import Measure
from inspector.core.records import CameraId, Doubt, Judgement, MissReason, Result, Stream

NS_PER_S = 1_000_000_000
STATION_FAULTS = (
    ("triton", ""),
    ("redis", ""),
    ("redis", "producer"),
    ("disk", "journal"),
    ("disk", "evidence"),
    ("clock", ""),
    ("clock", "redis"),
    ("triggers", ""),
    ("triggers", "stream"),
    ("product", ""),
    ("product", "file"),
    ("challenge", ""),
    ("challenge", "pictures"),
    ("process", ""),
)
"""Kind and subject of the faults that any station can have; cameras have more."""
STAGES = ("queue", "preprocess", "inference", "results", "evidence", "serial")
_LATE = {False: "no", True: "yes"}
_STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_VERDICT_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
_BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)


class _LostLogLines(Collector):
    """A counter that is kept elsewhere."""

    def __init__(self, lost: Callable[[], int]) -> None:
        self._lost = lost

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counter as it stands."""
        what = "Log lines that could not be written"
        yield CounterMetricFamily("inspector_log_lines_lost", what, value=self._lost())


_Values = Iterable[str]
"""The values of a label; empty if they are known only later."""


_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


class _Maker:
    """Makes metrics of one registry.

    Labels are given with their values: a series of each combination exists from the start.
    """

    def __init__(self, registry: CollectorRegistry, cameras: Iterable[CameraId]) -> None:
        self.registry = registry
        self.cameras = tuple(cameras)

    def counter(self, name: str, what: str, **labels: _Values) -> Counter:
        return _begun(Counter(name, what, list(labels), registry=self.registry), labels)

    def gauge(self, name: str, what: str, **labels: _Values) -> Gauge:
        return _begun(Gauge(name, what, list(labels), registry=self.registry), labels)

    def histogram(
        self, name: str, what: str, buckets: Sequence[float], **labels: _Values
    ) -> Histogram:
        made = Histogram(name, what, list(labels), registry=self.registry, buckets=buckets)
        return _begun(made, labels)


def _begun(metric: _Metric, labels: Mapping[str, _Values]) -> _Metric:
    for values in product(*labels.values()) if labels else ():
        metric.labels(*values)
    return metric


class Metrics:
    """Every metric of one process, in a registry of its own. Any thread.

    Labelled series exist from the start with value 0, so that a rate shows a first miss.
    """

    def __init__(self, camera_ids: Iterable[CameraId], codes: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        make = _Maker(self.registry, camera_ids)
        self._frames(make)
        self._cameras(make)
        self._units(make, tuple(codes))
        self._times(make)
        self._products(make)
        self._journal(make)
        self._sinks(make)
        self._readers(make)
        self._parts(make)
        self._service(make)
        ProcessCollector(registry=self.registry)
        self._expect_faults(make.cameras)
        for camera in make.cameras:
            self._noted_unit(camera)

    def _frames(self, make: _Maker) -> None:
        """What happens to the frames of each camera."""
        self.frames_captured = make.counter(
            "inspector_frames_captured", "Frames a camera delivered", camera=make.cameras
        )
        self.frames_inspected = make.counter(
            "inspector_frames_inspected", "Frames the model answered for", camera=make.cameras
        )
        self.frames_idle = make.counter(
            "inspector_frames_idle",
            "Frames that were not needed: no unit in view, or enough frames of it",
            camera=make.cameras,
        )
        self.picture_scale = make.gauge(
            "inspector_picture_scale",
            "Scale at which the model sees the camera's pictures; 0 until the first one",
            camera=make.cameras,
        )
        self.frames_missed = make.counter(
            "inspector_frames_missed",
            "Frames that should have been inspected and were not",
            camera=make.cameras,
            reason=MissReason,
        )
        self.results_late = make.counter(
            "inspector_results_late",
            "Frames whose result came after the verdict on their unit",
            camera=make.cameras,
        )
        self.frame_buffers_free = make.gauge(
            "inspector_frame_buffers_free", "Image buffers that are free", camera=make.cameras
        )

    def _cameras(self, make: _Maker) -> None:
        """The state of the cameras."""
        self.camera_up = make.gauge(
            "inspector_camera_up", "1 while frames arrive from the camera", camera=make.cameras
        )
        self.camera_reconnects = make.counter(
            "inspector_camera_reconnects",
            "Times a connection was lost, or an attempt to open one failed",
            camera=make.cameras,
        )
        self.camera_last_frame = make.gauge(
            "inspector_camera_last_frame_timestamp_seconds",
            "Wall clock of the newest frame",
            camera=make.cameras,
        )
        self.camera_frozen = make.gauge(
            "inspector_camera_frozen",
            "1 while a camera repeats the same picture",
            camera=make.cameras,
        )
        self.optics_used = make.gauge(
            "inspector_optics_used",
            "How far pictures differ from usual ones, as a share of what is allowed; 1: the limit",
            camera=make.cameras,
            measure=Measure,
        )
        self.camera_dark = make.gauge(
            "inspector_camera_dark",
            "1 while a camera's pictures show nothing",
            camera=make.cameras,
        )
        self.preview_pictures = make.counter(
            "inspector_live_pictures",
            "Pictures encoded for viewers of the page",
            camera=make.cameras,
        )

    def _units(self, make: _Maker, codes: Iterable[str]) -> None:
        """Verdicts, and what people say about them."""
        self.units = make.counter("inspector_units", "Verdicts", result=Result)
        self.units_again = make.counter(
            "inspector_units_again", "Verdicts on units that already had one", result=Result
        )
        self.units_doubtful = make.counter(
            "inspector_units_doubtful",
            "Units that may have passed a presence camera without a verdict",
            camera=make.cameras,
            doubt=Doubt,
        )
        self.camera_units = make.counter(
            "inspector_camera_units",
            "Verdicts of a camera",
            camera=make.cameras,
            result=Result,
            late=_LATE.values(),
        )
        self._last_unit = make.gauge(
            "inspector_last_unit_timestamp_seconds",
            "Wall clock of the newest verdict, or of the start while there is none",
            camera=(),
        )
        self.defects = make.counter("inspector_defects", "Defects reported", code=codes)
        self.serials = make.counter(
            "inspector_serials", "Units whose serial was searched for", outcome=()
        )
        self.reviews = make.counter("inspector_reviews", "Reviews by people", judgement=Judgement)
        self.reviewed_defects = make.counter(
            "inspector_reviewed_defects",
            "Defects that reviews are about; without a code where a review is about none",
            judgement=(),
            result=(),
            code=(),
        )

    def _times(self, make: _Maker) -> None:
        """Durations, and the load on the model."""
        self.stage_seconds = make.histogram(
            "inspector_stage_seconds", "Time spent in a stage", buckets=_STAGE_BUCKETS, stage=STAGES
        )
        self.verdict_seconds = make.histogram(
            "inspector_verdict_seconds", "Trigger to verdict", buckets=_VERDICT_BUCKETS
        )
        self.deadline_missed = make.counter(
            "inspector_deadline_missed", "Verdicts later than inspection.deadline_ms"
        )
        self.deadline_seconds = make.gauge("inspector_deadline_seconds", "inspection.deadline_ms")
        self.batch_regions = make.histogram(
            "inspector_batch_regions", "Regions per request", buckets=_BATCH_BUCKETS
        )
        self.requests_in_flight = make.gauge(
            "inspector_requests_in_flight", "Requests Triton owes an answer"
        )

    def _products(self, make: _Maker) -> None:
        """The product in force, its likeness to its reference, and locks."""
        self.changes = make.counter(
            "inspector_changes",
            "Commands and other changes, by their answer",
            outcome=("accepted", "refused"),
        )
        self.product_info = make.gauge(
            "inspector_product_info", "1, with the product in force", product=(), revision=()
        )
        self.locked = make.gauge(
            "inspector_locked", "1 while nothing is PASSED because of such a lock", lock=LockKind
        )
        self.challenges = make.counter(
            "inspector_challenges",
            "Checks with known parts that ended",
            result=("held", "failed", "aborted"),
        )
        self.challenge_parts = make.counter(
            "inspector_challenge_parts",
            "Known parts that were shown to the station",
            result=("as_expected", "differs"),
        )
        self._challenge_due = make.gauge(
            "inspector_challenge_due_timestamp_seconds",
            "Wall clock since when a set of known parts has been due; 0: it is not due",
            set=(),
        )
        self.reference_likeness = make.gauge(
            "inspector_reference_likeness",
            "Likeness of the last unit to its reference: that of its least like frame",
            camera=(),
        )
        self.reference_shift = make.gauge(
            "inspector_reference_shift_px",
            "How far that frame was from its expected position",
            camera=(),
        )

    def _journal(self, make: _Maker) -> None:
        """Events on their way to Redis."""
        self.journal_pending = make.gauge(
            "inspector_journal_pending_events", "Events Redis does not have yet"
        )
        self.journal_oldest_pending = make.gauge(
            "inspector_journal_oldest_pending_seconds", "Age of the oldest of them"
        )
        self.journal_bytes = make.gauge(
            "inspector_journal_bytes", "Room its events take on the disk"
        )
        self.journal_limit_bytes = make.gauge(
            "inspector_journal_limit_bytes", "Room they may take: journal.max_gb"
        )
        self.journal_reach = make.gauge(
            "inspector_journal_reach_seconds", "How far back an empty Redis can be refilled"
        )
        self.events_published = make.counter(
            "inspector_events_published", "Events Redis took", stream=Stream
        )
        self.redis_memory = make.gauge(
            "inspector_redis_memory_bytes", "Memory that Redis reports as used"
        )
        self.redis_memory_limit = make.gauge(
            "inspector_redis_memory_limit_bytes", "Memory it may use: maxmemory; 0: no limit"
        )
        self.redis_memory_expected = make.gauge(
            "inspector_redis_memory_expected_bytes",
            "Memory it will use once the streams reach back redis.retention_days",
        )

    def _sinks(self, make: _Maker) -> None:
        """Events on their way to further sinks."""
        self.sink_up = make.gauge(
            "inspector_sink_up", "1 while a further sink takes events", sink=()
        )
        self.sink_pending = make.gauge(
            "inspector_sink_pending_events", "Events a further sink does not have yet", sink=()
        )
        self.sink_oldest_pending = make.gauge(
            "inspector_sink_oldest_pending_seconds", "Age of the oldest of them", sink=()
        )
        self.sink_events = make.counter(
            "inspector_sink_events", "Events a further sink took", sink=(), stream=()
        )
        self.sink_lost = make.counter(
            "inspector_sink_events_lost",
            "Events deleted from a full journal before a further sink took them",
            sink=(),
            stream=(),
        )

    def _readers(self, make: _Maker) -> None:
        """The progress of the consumer groups; series come and go with the groups."""
        self.group_undelivered = make.gauge(
            "inspector_group_undelivered_events",
            "Stored events that were not delivered to the group yet",
            stream=(),
            group=(),
        )
        self.group_pending = make.gauge(
            "inspector_group_pending_events",
            "Events that were delivered to the group and are not acknowledged",
            stream=(),
            group=(),
        )
        self.group_oldest = make.gauge(
            "inspector_group_oldest_seconds", "Age of the oldest of both", stream=(), group=()
        )
        self.group_lost = make.gauge(
            "inspector_group_lost_events",
            "Events that were trimmed before the group acknowledged them",
            stream=(),
            group=(),
        )
        self.groups_unwatched = make.gauge(
            "inspector_groups_unwatched",
            "Groups that are not monitored because there are too many",
            stream=Stream,
        )
        self.retention = make.gauge("inspector_retention_seconds", "redis.retention_days")

    def _parts(self, make: _Maker) -> None:
        """What the service depends on: whether it answers, and how much room there is."""
        self.triton_up = make.gauge("inspector_triton_up", "1 while Triton answers")
        self.triton_reconnects = make.counter(
            "inspector_triton_reconnects", "Times the connection was lost"
        )
        self.redis_up = make.gauge("inspector_redis_up", "1 while Redis takes events")
        self.trigger_streams_begun = make.counter(
            "inspector_trigger_stream_restarts",
            "How often the trigger stream started again with smaller IDs and was read anew",
        )
        self.disk_free = make.gauge(
            "inspector_disk_free_bytes", "Free space on the disk of a folder", folder=()
        )
        self.evidence_bytes = make.gauge(
            "inspector_evidence_bytes", "Size of the kept pictures on this disk"
        )
        self.evidence_failures = make.counter(
            "inspector_evidence_failures", "Pictures that should have been kept and were not"
        )
        self.certificate_expiry = make.gauge(
            "inspector_certificate_expiry_timestamp_seconds",
            "When a certificate expires",
            subject=(),
            certificate=(),
        )
        self.http_closed = make.counter(
            "inspector_http_connections_closed",
            "Connections closed because there were too many, or because no request came in time",
            why=("full", "late"),
        )

    def _service(self, make: _Maker) -> None:
        """The service itself: readiness, faults, settings, clocks."""
        self.ready = make.gauge("inspector_ready", "1 while units can be inspected")
        self.fault = make.gauge("inspector_fault", "1 while the fault stands", fault=(), subject=())
        self.build_info = make.gauge(
            "inspector_build_info", "1, with the running version and model", version=(), model=()
        )
        self.reloads = make.counter(
            "inspector_settings_reloads",
            "Times the settings were read again",
            outcome=("applied", "refused"),
        )
        self.restart_needed = make.gauge(
            "inspector_settings_restart_needed", "1 while changed settings wait for a restart"
        )
        self.clock_off = make.gauge(
            "inspector_clock_off_seconds",
            "How far the wall clock is ahead of the time that passed; 0 while it is trusted",
        )
        self.clock_synchronised = make.gauge(
            "inspector_clock_synchronised", "1 while the clock is synchronised with a time server"
        )
        started_s = monotonic()
        make.gauge(
            "inspector_uptime_seconds", "Time since the start, by the monotonic clock"
        ).set_function(lambda: monotonic() - started_s)
        # Compared with the time of the scrape, it shows a wrong clock.
        make.gauge("inspector_time_seconds", "Wall clock").set_function(time)

    def expect_sink(self, sink: str) -> None:
        """Begin the series of a further sink at 0."""
        self.sink_up.labels(sink)
        self.sink_pending.labels(sink)
        self.sink_oldest_pending.labels(sink)
        self.fault.labels("sink", sink)
        for stream in Stream:
            self.sink_events.labels(sink, stream)
            self.sink_lost.labels(sink, stream)

    def _expect_faults(self, cameras: Iterable[CameraId]) -> None:
        """Begin the series of every fault that the station can have."""
        for fault, subject in STATION_FAULTS:
            self.fault.labels(fault, subject)
        for camera in cameras:
            self.fault.labels("camera", camera)
            self.fault.labels("optics", camera)
            self.fault.labels("product", reference_at(camera))
            self.fault.labels("clock", camera_clock(camera))
            for rule in ProcessRule:
                self.fault.labels("process", process_at(camera, rule))

    def unit_decided(self, camera: CameraId, result: Result, *, late: bool) -> None:
        """Count a verdict, and note that there was one just now. Event loop only."""
        self.units.labels(result).inc()
        self.camera_units.labels(camera, result, _LATE[late]).inc()
        if late:
            self.deadline_missed.inc()
        self._noted_unit(camera)

    def _noted_unit(self, camera: CameraId) -> None:
        # By our monotonic clock: a trigger may claim any year, and the wall clock may be set. What
        # is shown then moves with inspector_time_seconds, and their difference stays true.
        at_s = monotonic()
        self._last_unit.labels(camera).set_function(lambda: time() - (monotonic() - at_s))

    def count_lost_log_lines(self, lost: Callable[[], int]) -> None:
        """Expose what `lost` returns."""
        self.registry.register(_LostLogLines(lost))

    def due(self, since_s: Mapping[str, float], *, every: Iterable[str]) -> None:
        """Set which sets of known parts are due, and since when."""
        for name in every:
            self._challenge_due.labels(name).set(since_s.get(name, 0.0))

    def stage(self, name: str, elapsed_ns: int) -> None:
        """Record how long something took in a stage."""
        self.stage_seconds.labels(name).observe(elapsed_ns / NS_PER_S)

    def exposition(self) -> bytes:
        """The text Prometheus scrapes."""
        return generate_latest(self.registry)
