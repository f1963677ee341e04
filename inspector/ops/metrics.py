"""The metrics Prometheus reads. Names and labels are a contract: see docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from time import monotonic, time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from inspector.core.faults import ProcessRule, camera_clock, process_at, reference_at
from inspector.core.locks import LockKind
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


class Metrics:
    """Every metric of one process, in a registry of its own. Any thread.

    Labelled series exist from the start with value 0, so that a rate over a first miss is seen.
    """

    def __init__(self, camera_ids: Iterable[CameraId], codes: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        per_camera = ["camera"]
        self.frames_captured = counter(
            "inspector_frames_captured", "Frames a camera delivered", per_camera
        )
        self.frames_inspected = counter(
            "inspector_frames_inspected", "Frames the model answered for", per_camera
        )
        self.frames_idle = counter(
            "inspector_frames_idle",
            "Frames nobody needed: no unit in view, or enough of it",
            per_camera,
        )
        self.frames_missed = counter(
            "inspector_frames_missed",
            "Frames that should have been inspected and were not",
            ["camera", "reason"],
        )
        self.results_late = counter(
            "inspector_results_late",
            "Frames whose result came after the verdict on their unit",
            per_camera,
        )
        self.units = counter("inspector_units", "Verdicts", ["result"])
        self.defects = counter("inspector_defects", "Defects claimed", ["code"])
        self.stage_seconds = histogram(
            "inspector_stage_seconds",
            "Time in a stage",
            ["stage"],
            buckets=_STAGE_BUCKETS,
        )
        self.verdict_seconds = histogram(
            "inspector_verdict_seconds", "Trigger to verdict", buckets=_VERDICT_BUCKETS
        )
        self.deadline_missed = counter(
            "inspector_deadline_missed", "Verdicts later than inspection.deadline_ms"
        )
        self.batch_regions = histogram(
            "inspector_batch_regions", "Regions per request", buckets=_BATCH_BUCKETS
        )
        self.requests_in_flight = gauge(
            "inspector_requests_in_flight", "Requests Triton owes an answer"
        )
        self.frame_buffers_free = gauge(
            "inspector_frame_buffers_free", "Image buffers nobody owns", per_camera
        )
        self.camera_up = gauge(
            "inspector_camera_up", "1 while frames arrive from the camera", per_camera
        )
        self.camera_reconnects = counter(
            "inspector_camera_reconnects",
            "Times a connection was lost, or an attempt to open one failed",
            per_camera,
        )
        self.camera_last_frame = gauge(
            "inspector_camera_last_frame_timestamp_seconds",
            "Wall clock of the newest frame",
            per_camera,
        )
        self._operations(counter, gauge)
        self._watched(counter, gauge)
        ProcessCollector(registry=self.registry)
        self._preset(list(camera_ids), codes)

    def _operations(self, counter: Callable[..., Counter], gauge: Callable[..., Gauge]) -> None:
        self.triton_up = gauge("inspector_triton_up", "1 while Triton answers")
        self.triton_reconnects = counter(
            "inspector_triton_reconnects", "Times the connection was lost"
        )
        self.redis_up = gauge("inspector_redis_up", "1 while Redis takes events")
        self.journal_pending = gauge(
            "inspector_journal_pending_events", "Events Redis does not have yet"
        )
        self.journal_oldest_pending = gauge(
            "inspector_journal_oldest_pending_seconds", "Age of the oldest of them"
        )
        self.journal_bytes = gauge("inspector_journal_bytes", "What its events take on the disk")
        self.journal_limit_bytes = gauge(
            "inspector_journal_limit_bytes", "What they may take: journal.max_gb"
        )
        self.journal_reach = gauge(
            "inspector_journal_reach_seconds", "How far back a Redis can be refilled"
        )
        self.redis_memory = gauge(
            "inspector_redis_memory_bytes", "Memory that Redis uses, as it says itself"
        )
        self.redis_memory_limit = gauge(
            "inspector_redis_memory_limit_bytes", "What it may use: maxmemory; 0: no limit"
        )
        self.redis_memory_expected = gauge(
            "inspector_redis_memory_expected_bytes",
            "What it will use once the streams reach back redis.retention_days",
        )
        self._readers(gauge)
        self.sink_up = gauge("inspector_sink_up", "1 while a further sink takes events", ["sink"])
        self.sink_pending = gauge(
            "inspector_sink_pending_events", "Events a further sink does not have yet", ["sink"]
        )
        self.sink_oldest_pending = gauge(
            "inspector_sink_oldest_pending_seconds", "Age of the oldest of them", ["sink"]
        )
        self.sink_events = counter(
            "inspector_sink_events", "Events a further sink took", ["sink", "stream"]
        )
        self.sink_lost = counter(
            "inspector_sink_events_lost",
            "Events deleted from a full journal before a further sink took them",
            ["sink", "stream"],
        )
        self.events_published = counter(
            "inspector_events_published", "Events Redis took", ["stream"]
        )
        self.evidence_bytes = gauge(
            "inspector_evidence_bytes", "Size of the kept pictures on this disk"
        )
        self.evidence_failures = counter(
            "inspector_evidence_failures", "Pictures that were to be kept and were not"
        )
        self.serials = counter(
            "inspector_serials", "Units whose serial was looked for", ["outcome"]
        )
        self.reloads = counter(
            "inspector_settings_reloads", "Times the settings were read again", ["outcome"]
        )
        self.restart_needed = gauge(
            "inspector_settings_restart_needed", "1 while changed settings wait for a restart"
        )
        self.changes = counter(
            "inspector_changes", "Commands and other changes, by their answer", ["outcome"]
        )
        for outcome in ("accepted", "refused"):
            self.changes.labels(outcome)
        self.product_info = gauge(
            "inspector_product_info", "1, with the product in force", ["product", "revision"]
        )
        self.locked = gauge(
            "inspector_locked", "1 while nothing is PASSED because of such a lock", ["lock"]
        )
        for kind in LockKind:
            self.locked.labels(kind)
        self.challenges = counter(
            "inspector_challenges", "Checks with known parts that ended", ["result"]
        )
        self.challenge_parts = counter(
            "inspector_challenge_parts", "Known parts that were shown", ["result"]
        )
        for result in ("held", "failed", "aborted"):
            self.challenges.labels(result)
        for result in ("as_expected", "differs"):
            self.challenge_parts.labels(result)
        self._challenge_due = gauge(
            "inspector_challenge_due_timestamp_seconds",
            "Wall clock since when a set of known parts is due; 0: it is not",
            ["set"],
        )
        self.reviews = counter("inspector_reviews", "Second looks of people", ["judgement"])
        self.reviewed_defects = counter(
            "inspector_reviewed_defects",
            "Defects that second looks are about; one without a code where they are about none",
            ["judgement", "result", "code"],
        )
        self.preview_pictures = counter(
            "inspector_live_pictures", "Pictures encoded for people who look", ["camera"]
        )
        self.reference_likeness = gauge(
            "inspector_reference_likeness",
            "How like its reference the last unit was: its least like frame",
            ["camera"],
        )
        self.reference_shift = gauge(
            "inspector_reference_shift_px",
            "How far that frame lay from where it was expected",
            ["camera"],
        )
        self.build_info = gauge("inspector_build_info", "1, with what runs", ["version", "model"])

    def _readers(self, gauge: Callable[..., Gauge]) -> None:
        """How far the consumer groups of the streams are; series come and go with the groups."""
        per_group = ["stream", "group"]
        self.group_undelivered = gauge(
            "inspector_group_undelivered_events",
            "Events that are stored and were not given to the group yet",
            per_group,
        )
        self.group_pending = gauge(
            "inspector_group_pending_events",
            "Events that the group was given and has not acknowledged",
            per_group,
        )
        self.group_oldest = gauge(
            "inspector_group_oldest_seconds", "Age of the oldest of both", per_group
        )
        self.group_lost = gauge(
            "inspector_group_lost_events",
            "Events that were trimmed before the group acknowledged them",
            per_group,
        )
        self.groups_unwatched = gauge(
            "inspector_groups_unwatched", "Groups that are not among these: too many", ["stream"]
        )
        self.retention = gauge("inspector_retention_seconds", "redis.retention_days")

    def _watched(self, counter: Callable[..., Counter], gauge: Callable[..., Gauge]) -> None:
        """For alert rules and shift reports."""
        self.camera_frozen = gauge(
            "inspector_camera_frozen", "1 while a camera repeats the same picture", ["camera"]
        )
        self.camera_dark = gauge(
            "inspector_camera_dark",
            "1 while nothing is to be seen in a camera's pictures",
            ["camera"],
        )
        self.units_again = counter(
            "inspector_units_again", "Verdicts on units that had one before", ["result"]
        )
        self.units_doubtful = counter(
            "inspector_units_doubtful",
            "Units that may have passed a presence camera without a verdict",
            ["camera", "doubt"],
        )
        self.camera_units = counter(
            "inspector_camera_units", "Verdicts of a camera", ["camera", "result", "late"]
        )
        self._last_unit = gauge(
            "inspector_last_unit_timestamp_seconds",
            "Wall clock of the newest verdict, or of the start while there is none",
            ["camera"],
        )
        self.fault = gauge("inspector_fault", "1 while the fault stands", ["fault", "subject"])
        self.trigger_streams_begun = counter(
            "inspector_trigger_stream_restarts",
            "How often the stream of triggers began again with smaller IDs, and was read anew",
        )
        self.ready = gauge("inspector_ready", "1 while a unit that comes can be inspected")
        self.deadline_seconds = gauge("inspector_deadline_seconds", "inspection.deadline_ms")
        self.disk_free = gauge(
            "inspector_disk_free_bytes", "Room on the disk of a folder", ["folder"]
        )
        self.certificate_expiry = gauge(
            "inspector_certificate_expiry_timestamp_seconds",
            "Until when a certificate holds",
            ["subject", "certificate"],
        )
        self.http_closed = counter(
            "inspector_http_connections_closed",
            "Connections closed because there were too many, or they asked nothing in time",
            ["why"],
        )
        started_s = monotonic()
        gauge("inspector_uptime_seconds", "Since the start, by a clock nobody sets").set_function(
            lambda: monotonic() - started_s
        )
        self.clock_off = gauge(
            "inspector_clock_off_seconds",
            "How far the wall clock is ahead of the time that passed; 0 while it is believed",
        )
        self.clock_synchronised = gauge(
            "inspector_clock_synchronised", "1 while a time server vouches for the clock"
        )
        # Beside the time at which Prometheus asks, it shows a clock that is wrong.
        gauge("inspector_time_seconds", "Wall clock").set_function(time)

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
