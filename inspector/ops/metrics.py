"""The metrics Prometheus reads. Names and labels are a contract: see docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from inspector.records import CameraId, MissReason, Result, Stream

NS_PER_S = 1_000_000_000
_STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_VERDICT_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
_BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)


class Metrics:
    """Every metric of one process, in a registry of its own. Any thread.

    Labelled series exist from the start with value 0, so that a rate over a first miss is seen.
    """

    def __init__(self, camera_ids: Iterable[CameraId], codes: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        per_camera = {"labelnames": ["camera"], "registry": self.registry}
        plain = {"registry": self.registry}
        self.frames_captured = Counter(
            "inspector_frames_captured", "Frames a camera delivered", **per_camera
        )
        self.frames_inspected = Counter(
            "inspector_frames_inspected", "Frames the model answered for", **per_camera
        )
        self.frames_idle = Counter(
            "inspector_frames_idle", "Frames with no unit in view", **per_camera
        )
        self.frames_missed = Counter(
            "inspector_frames_missed",
            "Frames that should have been inspected and were not",
            ["camera", "reason"],
            **plain,
        )
        self.units = Counter("inspector_units", "Verdicts", ["result"], **plain)
        self.defects = Counter("inspector_defects", "Defects claimed", ["code"], **plain)
        self.stage_seconds = Histogram(
            "inspector_stage_seconds",
            "Time in a stage",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            **plain,
        )
        self.verdict_seconds = Histogram(
            "inspector_verdict_seconds", "Trigger to verdict", buckets=_VERDICT_BUCKETS, **plain
        )
        self.deadline_missed = Counter(
            "inspector_deadline_missed", "Verdicts later than inspection.deadline_ms", **plain
        )
        self.batch_regions = Histogram(
            "inspector_batch_regions", "Regions per request", buckets=_BATCH_BUCKETS, **plain
        )
        self.requests_in_flight = Gauge(
            "inspector_requests_in_flight", "Requests Triton owes an answer", **plain
        )
        self.frame_buffers_free = Gauge(
            "inspector_frame_buffers_free", "Image buffers nobody owns", **per_camera
        )
        self.camera_up = Gauge(
            "inspector_camera_up", "1 while frames arrive from the camera", **per_camera
        )
        self.camera_reconnects = Counter(
            "inspector_camera_reconnects", "Times a camera was opened again", **per_camera
        )
        self.camera_last_frame = Gauge(
            "inspector_camera_last_frame_timestamp_seconds",
            "Wall clock of the newest frame",
            **per_camera,
        )
        self._operations(plain)
        self._preset(list(camera_ids), codes)

    def _operations(self, plain: dict[str, CollectorRegistry]) -> None:
        self.triton_up = Gauge("inspector_triton_up", "1 while Triton answers", **plain)
        self.triton_reconnects = Counter(
            "inspector_triton_reconnects", "Times the connection was lost", **plain
        )
        self.redis_up = Gauge("inspector_redis_up", "1 while Redis takes events", **plain)
        self.journal_pending = Gauge(
            "inspector_journal_pending_events", "Events Redis does not have yet", **plain
        )
        self.journal_oldest_pending = Gauge(
            "inspector_journal_oldest_pending_seconds", "Age of the oldest of them", **plain
        )
        self.events_published = Counter(
            "inspector_events_published", "Events Redis took", ["stream"], **plain
        )
        self.build_info = Gauge(
            "inspector_build_info", "1, with what runs", ["version", "model"], **plain
        )

    def _preset(self, camera_ids: list[CameraId], codes: Iterable[str]) -> None:
        for camera in camera_ids:
            for metric in (
                self.frames_captured,
                self.frames_inspected,
                self.frames_idle,
                self.camera_up,
                self.camera_reconnects,
                self.camera_last_frame,
                self.frame_buffers_free,
            ):
                metric.labels(camera)
            for reason in MissReason:
                self.frames_missed.labels(camera, reason)
        for result in Result:
            self.units.labels(result)
        for code in codes:
            self.defects.labels(code)
        for stream in Stream:
            self.events_published.labels(stream)

    def stage(self, name: str, elapsed_ns: int) -> None:
        """Record how long something took in a stage."""
        self.stage_seconds.labels(name).observe(elapsed_ns / NS_PER_S)

    def exposition(self) -> bytes:
        """The text Prometheus scrapes."""
        return generate_latest(self.registry)
