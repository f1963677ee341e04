"""Publishing, as metrics, log lines and faults."""

from __future__ import annotations

import structlog

from inspector.ops.health import FaultBoard
from inspector.ops.metrics import Metrics
from inspector.publish.worker import PublishTelemetry
from inspector.records import Stream

log = structlog.get_logger("service")

RIVAL = "somebody else writes to this station's streams: another service with its id"


class Telemetry(PublishTelemetry):
    """Publishing, as metrics and faults."""

    def __init__(self, metrics: Metrics, faults: FaultBoard) -> None:
        self._metrics = metrics
        self._faults = faults

    def on_up(self, up: bool, cause: str) -> None:  # noqa: FBT001 - a state
        """Redis came or went."""
        self._metrics.redis_up.set(up)
        if up:
            log.info("redis up")
            self._faults.clear("redis")
        else:
            log.warning("redis down", cause=cause)
            self._faults.raise_fault("redis", cause)

    def on_rival(self, there: bool) -> None:  # noqa: FBT001 - a state
        """Another producer came or went."""
        if there:
            log.error("two producers", cause=RIVAL)
            self._faults.raise_fault("redis", RIVAL, "producer")
        else:
            log.info("the only producer again")
            self._faults.clear("redis", "producer")

    def on_published(self, stream: Stream, events: int) -> None:
        """Events arrived."""
        self._metrics.events_published.labels(stream).inc(events)

    def on_pending(self, events: int, oldest_s: float) -> None:
        """What still waits."""
        self._metrics.journal_pending.set(events)
        self._metrics.journal_oldest_pending.set(oldest_s)

    def on_kept(self, used_bytes: int, limit_bytes: int, reach_s: float) -> None:
        """What the journal holds."""
        self._metrics.journal_bytes.set(used_bytes)
        self._metrics.journal_limit_bytes.set(limit_bytes)
        self._metrics.journal_reach.set(reach_s)
