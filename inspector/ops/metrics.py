"""The metrics Prometheus reads. Names and labels are a contract: see docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from time import monotonic, time

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
"""Kind and subject of faults that any station can have; each camera has one of its own."""
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
        what = "Log lines that nobody took, or that could not be written"
        yield CounterMetricFamily("inspector_log_lines_lost", what, value=self._lost())


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes metrics of one registry."""

    counter: Callable[..., Counter]
    gauge: Callable[..., Gauge]
    histogram: Callable[..., Histogram]


class Metrics:
    """Every metric of one process, in a registry of its own. Any thread.

    Labelled series exist from the start with value 0, so that a rate over a first miss is seen.
    """

    def __init__(self, camera_ids: Iterable[CameraId], codes: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        make = _Maker(
            counter=partial(Counter, registry=self.registry),
            gauge=partial(Gauge, registry=self.registry),
            histogram=partial(Histogram, registry=self.registry),
        )
        self._frames(make)
        self._cameras(make)
        self._units(make)
        self._times(make)
        self._products(make)
        self._journal(make)
        self._sinks(make)
        self._readers(make)
        self._parts(make)
        self._service(make)
        ProcessCollector(registry=self.registry)
        self._preset(list(camera_ids), codes)

    def _frames(self, make: _Maker) -> None:
        """What becomes of the frames of each camera."""
        per_camera = ["camera"]
        self.frames_captured = make.counter(
            "inspector_frames_captured", "Frames a camera delivered", per_camera
        )
        self.frames_inspected = make.counter(
            "inspector_frames_inspected", "Frames the model answered for", per_camera
        )
        self.frames_idle = make.counter(
            "inspector_frames_idle",
            "Frames nobody needed: no unit in view, or enough of it",
            per_camera,
        )
        self.frames_missed = make.counter(
            "inspector_frames_missed",
            "Frames that should have been inspected and were not",
            ["camera", "reason"],
        )
        self.results_late = make.counter(
            "inspector_results_late",
            "Frames whose result came after the verdict on their unit",
            per_camera,
        )
        self.frame_buffers_free = make.gauge(
            "inspector_frame_buffers_free", "Image buffers nobody owns", per_camera
        )

    def _cameras(self, make: _Maker) -> None:
        """How the cameras are."""
        per_camera = ["camera"]
        self.camera_up = make.gauge(
            "inspector_camera_up", "1 while frames arrive from the camera", per_camera
        )
        self.camera_reconnects = make.counter(
            "inspector_camera_reconnects",
            "Times a connection was lost, or an attempt to open one failed",
            per_camera,
        )
        self.camera_last_frame = make.gauge(
            "inspector_camera_last_frame_timestamp_seconds",
            "Wall clock of the newest frame",
            per_camera,
        )
        self.camera_frozen = make.gauge(
            "inspector_camera_frozen", "1 while a camera repeats the same picture", ["camera"]
        )
        self.optics_used = make.gauge(
            "inspector_optics_used",
            "Of what a picture may differ from usual ones, the share that it does; 1: the limit",
            ["camera", "measure"],
        )
        self.camera_dark = make.gauge(
            "inspector_camera_dark",
            "1 while nothing is to be seen in a camera's pictures",
            ["camera"],
        )
        self.preview_pictures = make.counter(
            "inspector_live_pictures", "Pictures encoded for people who look", ["camera"]
        )

    def _units(self, make: _Maker) -> None:
        """Verdicts, and what people say of them."""
        self.units = make.counter("inspector_units", "Verdicts", ["result"])
        self.units_again = make.counter(
            "inspector_units_again", "Verdicts on units that had one before", ["result"]
        )
        self.units_doubtful = make.counter(
            "inspector_units_doubtful",
            "Units that may have passed a presence camera without a verdict",
            ["camera", "doubt"],
        )
        self.camera_units = make.counter(
            "inspector_camera_units", "Verdicts of a camera", ["camera", "result", "late"]
        )
        self._last_unit = make.gauge(
            "inspector_last_unit_timestamp_seconds",
            "Wall clock of the newest verdict, or of the start while there is none",
            ["camera"],
        )
        self.defects = make.counter("inspector_defects", "Defects claimed", ["code"])
        self.serials = make.counter(
            "inspector_serials", "Units whose serial was looked for", ["outcome"]
        )
        self.reviews = make.counter("inspector_reviews", "Second looks of people", ["judgement"])
        self.reviewed_defects = make.counter(
            "inspector_reviewed_defects",
            "Defects that second looks are about; one without a code where they are about none",
            ["judgement", "result", "code"],
        )

    def _times(self, make: _Maker) -> None:
        """How long it takes, and how much is asked of the model at once."""
        self.stage_seconds = make.histogram(
            "inspector_stage_seconds",
            "Time in a stage",
            ["stage"],
            buckets=_STAGE_BUCKETS,
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
        """What the line makes, how like its reference that is, and what locks it."""
        self.changes = make.counter(
            "inspector_changes", "Commands and other changes, by their answer", ["outcome"]
        )
        self.product_info = make.gauge(
            "inspector_product_info", "1, with the product in force", ["product", "revision"]
        )
        self.locked = make.gauge(
            "inspector_locked", "1 while nothing is PASSED because of such a lock", ["lock"]
        )
        self.challenges = make.counter(
            "inspector_challenges", "Checks with known parts that ended", ["result"]
        )
        self.challenge_parts = make.counter(
            "inspector_challenge_parts", "Known parts that were shown", ["result"]
        )
        for result in ("held", "failed", "aborted"):
            self.challenges.labels(result)
        for result in ("as_expected", "differs"):
            self.challenge_parts.labels(result)
        self._challenge_due = make.gauge(
            "inspector_challenge_due_timestamp_seconds",
            "Wall clock since when a set of known parts is due; 0: it is not",
            ["set"],
        )
        self.reference_likeness = make.gauge(
            "inspector_reference_likeness",
            "How like its reference the last unit was: its least like frame",
            ["camera"],
        )
        self.reference_shift = make.gauge(
            "inspector_reference_shift_px",
            "How far that frame lay from where it was expected",
            ["camera"],
        )
        for outcome in ("accepted", "refused"):
            self.changes.labels(outcome)
        for kind in LockKind:
            self.locked.labels(kind)

    def _journal(self, make: _Maker) -> None:
        """Events on their way to Redis."""
        self.journal_pending = make.gauge(
            "inspector_journal_pending_events", "Events Redis does not have yet"
        )
        self.journal_oldest_pending = make.gauge(
            "inspector_journal_oldest_pending_seconds", "Age of the oldest of them"
        )
        self.journal_bytes = make.gauge(
            "inspector_journal_bytes", "What its events take on the disk"
        )
        self.journal_limit_bytes = make.gauge(
            "inspector_journal_limit_bytes", "What they may take: journal.max_gb"
        )
        self.journal_reach = make.gauge(
            "inspector_journal_reach_seconds", "How far back a Redis can be refilled"
        )
        self.events_published = make.counter(
            "inspector_events_published", "Events Redis took", ["stream"]
        )
        self.redis_memory = make.gauge(
            "inspector_redis_memory_bytes", "Memory that Redis uses, as it says itself"
        )
        self.redis_memory_limit = make.gauge(
            "inspector_redis_memory_limit_bytes", "What it may use: maxmemory; 0: no limit"
        )
        self.redis_memory_expected = make.gauge(
            "inspector_redis_memory_expected_bytes",
            "What it will use once the streams reach back redis.retention_days",
        )

    def _sinks(self, make: _Maker) -> None:
        """Events on their way to further sinks."""
        self.sink_up = make.gauge(
            "inspector_sink_up", "1 while a further sink takes events", ["sink"]
        )
        self.sink_pending = make.gauge(
            "inspector_sink_pending_events", "Events a further sink does not have yet", ["sink"]
        )
        self.sink_oldest_pending = make.gauge(
            "inspector_sink_oldest_pending_seconds", "Age of the oldest of them", ["sink"]
        )
        self.sink_events = make.counter(
            "inspector_sink_events", "Events a further sink took", ["sink", "stream"]
        )
        self.sink_lost = make.counter(
            "inspector_sink_events_lost",
            "Events deleted from a full journal before a further sink took them",
            ["sink", "stream"],
        )

    def _readers(self, make: _Maker) -> None:
        """How far the consumer groups of the streams are; series come and go with the groups."""
        per_group = ["stream", "group"]
        self.group_undelivered = make.gauge(
            "inspector_group_undelivered_events",
            "Events that are stored and were not given to the group yet",
            per_group,
        )
        self.group_pending = make.gauge(
            "inspector_group_pending_events",
            "Events that the group was given and has not acknowledged",
            per_group,
        )
        self.group_oldest = make.gauge(
            "inspector_group_oldest_seconds", "Age of the oldest of both", per_group
        )
        self.group_lost = make.gauge(
            "inspector_group_lost_events",
            "Events that were trimmed before the group acknowledged them",
            per_group,
        )
        self.groups_unwatched = make.gauge(
            "inspector_groups_unwatched", "Groups that are not among these: too many", ["stream"]
        )
        self.retention = make.gauge("inspector_retention_seconds", "redis.retention_days")

    def _parts(self, make: _Maker) -> None:
        """What the service needs: whether it answers, and how much room there is."""
        self.triton_up = make.gauge("inspector_triton_up", "1 while Triton answers")
        self.triton_reconnects = make.counter(
            "inspector_triton_reconnects", "Times the connection was lost"
        )
        self.redis_up = make.gauge("inspector_redis_up", "1 while Redis takes events")
        self.trigger_streams_begun = make.counter(
            "inspector_trigger_stream_restarts",
            "How often the stream of triggers began again with smaller IDs, and was read anew",
        )
        self.disk_free = make.gauge(
            "inspector_disk_free_bytes", "Room on the disk of a folder", ["folder"]
        )
        self.evidence_bytes = make.gauge(
            "inspector_evidence_bytes", "Size of the kept pictures on this disk"
        )
        self.evidence_failures = make.counter(
            "inspector_evidence_failures", "Pictures that were to be kept and were not"
        )
        self.certificate_expiry = make.gauge(
            "inspector_certificate_expiry_timestamp_seconds",
            "Until when a certificate holds",
            ["subject", "certificate"],
        )
        self.http_closed = make.counter(
            "inspector_http_connections_closed",
            "Connections closed because there were too many, or they asked nothing in time",
            ["why"],
        )

    def _service(self, make: _Maker) -> None:
        """The service itself: whether it is ready, its faults, its settings, its clocks."""
        self.ready = make.gauge("inspector_ready", "1 while a unit that comes can be inspected")
        self.fault = make.gauge("inspector_fault", "1 while the fault stands", ["fault", "subject"])
        self.build_info = make.gauge(
            "inspector_build_info", "1, with what runs", ["version", "model"]
        )
        self.reloads = make.counter(
            "inspector_settings_reloads", "Times the settings were read again", ["outcome"]
        )
        self.restart_needed = make.gauge(
            "inspector_settings_restart_needed", "1 while changed settings wait for a restart"
        )
        self.clock_off = make.gauge(
            "inspector_clock_off_seconds",
            "How far the wall clock is ahead of the time that passed; 0 while it is believed",
        )
        self.clock_synchronised = make.gauge(
            "inspector_clock_synchronised", "1 while a time server vouches for the clock"
        )
        started_s = monotonic()
        make.gauge(
            "inspector_uptime_seconds", "Since the start, by a clock nobody sets"
        ).set_function(lambda: monotonic() - started_s)
        # Beside the time at which Prometheus asks, it shows a clock that is wrong.
        make.gauge("inspector_time_seconds", "Wall clock").set_function(time)

    def _preset(self, camera_ids: list[CameraId], codes: Iterable[str]) -> None:
        for camera in camera_ids:
            self._preset_camera(camera)
        for fault, subject in STATION_FAULTS:
            self.fault.labels(fault, subject)
        for result in Result:
            self.units.labels(result)
            self.units_again.labels(result)
        for name in STAGES:
            self.stage_seconds.labels(name)
        for code in codes:
            self.defects.labels(code)
        for outcome in ("applied", "refused"):
            self.reloads.labels(outcome)
        for judgement in Judgement:
            self.reviews.labels(judgement)
        for why in ("full", "late"):
            self.http_closed.labels(why)
        for stream in Stream:
            self.events_published.labels(stream)
            self.groups_unwatched.labels(stream)

    def expect_sink(self, sink: str) -> None:
        """There is a further sink of this name: what is counted of it begins at 0."""
        self.sink_up.labels(sink)
        self.sink_pending.labels(sink)
        self.sink_oldest_pending.labels(sink)
        self.fault.labels("sink", sink)
        for stream in Stream:
            self.sink_events.labels(sink, stream)
            self.sink_lost.labels(sink, stream)

    def _preset_camera(self, camera: CameraId) -> None:
        for metric in (
            self.frames_captured,
            self.frames_inspected,
            self.frames_idle,
            self.results_late,
            self.camera_up,
            self.camera_frozen,
            self.camera_dark,
            self.camera_reconnects,
            self.camera_last_frame,
            self.frame_buffers_free,
            self.preview_pictures,
        ):
            metric.labels(camera)
        self._noted_unit(camera)
        for result, late in product(Result, _LATE.values()):
            self.camera_units.labels(camera, result, late)
        for reason in MissReason:
            self.frames_missed.labels(camera, reason)
        for doubt in Doubt:
            self.units_doubtful.labels(camera, doubt)
        self.fault.labels("camera", camera)
        self.fault.labels("optics", camera)
        for measure in Measure:
            self.optics_used.labels(camera, measure)
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
        """Of the sets of known parts those that are due, and since when."""
        for name in every:
            self._challenge_due.labels(name).set(since_s.get(name, 0.0))

    def stage(self, name: str, elapsed_ns: int) -> None:
        """Record how long something took in a stage."""
        self.stage_seconds.labels(name).observe(elapsed_ns / NS_PER_S)

    def exposition(self) -> bytes:
        """The text Prometheus scrapes."""
        return generate_latest(self.registry)
