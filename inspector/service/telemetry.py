"""Reports publishing and the reading of triggers as metrics, log lines and faults."""

from __future__ import annotations

import structlog

from inspector.core.faults import FaultBoard
from inspector.core.records import Stream
from inspector.intake.stream_reader import ReadingTelemetry
from inspector.journal.station_time import MS_PER_S, TOLERANCE_MS, Known, span, trouble
from inspector.ops.metrics import Metrics
from inspector.publish.readers import Reader, Readers, ReaderTelemetry
from inspector.publish.sink_worker import SinkTelemetry
from inspector.publish.worker import PublishTelemetry
from inspector.redis_io.room import Memory

log = structlog.get_logger("service")

RIVAL = "somebody else writes to this station's streams: another service with its id"


class Telemetry(PublishTelemetry):
    """Publishing, as metrics and faults."""

    def __init__(self, metrics: Metrics, faults: FaultBoard) -> None:
        self._metrics = metrics
        self._faults = faults
        self._wrong_clocks: set[str] = set()

    def on_up(self, up: bool, cause: str) -> None:  # noqa: FBT001 - a state
        """Report that Redis accepts events, or does not."""
        self._metrics.redis_up.set(up)
        if up:
            log.info("redis up")
            self._faults.clear("redis")
        else:
            log.warning("redis down", cause=cause)
            self._faults.raise_fault("redis", cause)

    def on_rival(self, there: bool) -> None:  # noqa: FBT001 - a state
        """Report that another producer appeared or disappeared."""
        if there:
            log.error("two producers", cause=RIVAL)
            self._faults.raise_fault("redis", RIVAL, "producer")
        else:
            log.info("the only producer again")
            self._faults.clear("redis", "producer")

    def on_published(self, stream: Stream, events: int) -> None:
        """Count events that arrived."""
        self._metrics.events_published.labels(stream).inc(events)

    def on_pending(self, events: int, oldest_s: float) -> None:
        """Record the waiting events."""
        self._metrics.journal_pending.set(events)
        self._metrics.journal_oldest_pending.set(oldest_s)

    def on_clock(self, known: Known) -> None:
        """Report that the wall clock was set, or is trusted again."""
        self._metrics.clock_off.set(known.off_by_ms / 1000)
        self._metrics.clock_synchronised.set(known.vouched_since_ms is not None)
        self._clock("", trouble(known))

    def on_redis_clock(self, ahead_s: float | None) -> None:
        """Report that Redis's clock and ours differ, or no longer do."""
        if ahead_s is None:
            return
        ahead_ms = round(ahead_s * MS_PER_S)
        cause = (
            f"Redis's clock is {span(ahead_ms)} {'ahead of' if ahead_ms > 0 else 'behind'} ours:"
            " one of the two is wrong"
        )
        self._clock("redis", cause if abs(ahead_ms) > TOLERANCE_MS else None)

    def _clock(self, subject: str, cause: str | None) -> None:
        if cause is not None:
            if subject not in self._wrong_clocks:
                log.warning("the clock is wrong", subject=subject, cause=cause)
            self._wrong_clocks.add(subject)
            self._faults.raise_fault("clock", cause, subject)
        elif subject in self._wrong_clocks:
            log.info("the clock is right again", subject=subject)
            self._wrong_clocks.discard(subject)
            self._faults.clear("clock", subject)

    def on_redis_memory(self, memory: Memory, expected_bytes: float | None) -> None:
        """Record how full Redis is, and will be."""
        self._metrics.redis_memory.set(memory.used_bytes)
        self._metrics.redis_memory_limit.set(memory.limit_bytes)
        if expected_bytes is not None:
            self._metrics.redis_memory_expected.set(expected_bytes)

    def on_kept(self, used_bytes: int, limit_bytes: int, reach_s: float) -> None:
        """Record the size of the journal."""
        self._metrics.journal_bytes.set(used_bytes)
        self._metrics.journal_limit_bytes.set(limit_bytes)
        self._metrics.journal_reach.set(reach_s)


class SinkNews(SinkTelemetry):
    """Delivery to a further sink, as metrics, log lines and faults."""

    def __init__(self, sink: str, metrics: Metrics, faults: FaultBoard) -> None:
        self._sink = sink
        self._metrics = metrics
        self._faults = faults
        metrics.expect_sink(sink)

    def on_up(self, up: bool, cause: str) -> None:  # noqa: FBT001 - a state
        """Report that the sink accepts events, or does not."""
        self._metrics.sink_up.labels(self._sink).set(up)
        if up:
            log.info("sink up", sink=self._sink)
            self._faults.clear("sink", self._sink)
        else:
            log.warning("sink down", sink=self._sink, cause=cause)
            self._faults.raise_fault("sink", cause, self._sink)

    def on_published(self, stream: Stream, events: int) -> None:
        """Count events that arrived."""
        self._metrics.sink_events.labels(self._sink, stream).inc(events)

    def on_lost(self, stream: Stream, events: int) -> None:
        """Report events that the journal was too full to keep for this sink."""
        log.error("sink lost events", sink=self._sink, stream=stream.value, events=events)
        self._metrics.sink_lost.labels(self._sink, stream).inc(events)

    def on_pending(self, events: int, oldest_s: float) -> None:
        """Record the waiting events."""
        self._metrics.sink_pending.labels(self._sink).set(events)
        self._metrics.sink_oldest_pending.labels(self._sink).set(oldest_s)


class TriggerNews(ReadingTelemetry):
    """Reading the stream of triggers, as metrics and faults."""

    def __init__(self, metrics: Metrics, faults: FaultBoard) -> None:
        self._metrics = metrics
        self._faults = faults

    def on_reading(self, reading: bool, cause: str) -> None:  # noqa: FBT001 - a state
        """Report whether triggers are read."""
        if reading:
            self._faults.clear("triggers")
        else:
            self._faults.raise_fault("triggers", cause)

    def on_begun_anew(self, cause: str) -> None:
        """Report a new stream until it is read: triggers sent to the old one may be lost."""
        self._metrics.trigger_streams_begun.inc()
        self._faults.raise_fault("triggers", cause, "stream")

    def on_caught_up(self) -> None:
        """Report that all of it was read."""
        self._faults.clear("triggers", "stream")


class ReaderNews(ReaderTelemetry):
    """The positions of the streams' readers, as metrics, log lines and part of the status."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._crowded = False
        self.readers: tuple[Reader, ...] = ()
        """The readers at the latest check."""

    def on_readers(self, readers: Readers) -> None:
        """Removes the series of groups that were destroyed."""
        metrics = self._metrics
        now = {(reader.stream, reader.group): reader for reader in readers.watched}
        before = {(reader.stream, reader.group): reader for reader in self.readers}
        for labels in before.keys() - now.keys():
            for gauge in (
                metrics.group_undelivered,
                metrics.group_pending,
                metrics.group_oldest,
                metrics.group_lost,
            ):
                gauge.remove(*labels)
        for labels, reader in now.items():
            metrics.group_undelivered.labels(*labels).set(reader.undelivered)
            metrics.group_pending.labels(*labels).set(reader.pending)
            metrics.group_oldest.labels(*labels).set(reader.oldest_s)
            metrics.group_lost.labels(*labels).set(reader.lost)
            known = before.get(labels)
            if reader.lost and not (known and known.lost):
                log.warning(
                    "events were trimmed before a group read them",
                    stream=reader.stream,
                    group=reader.group,
                    events=reader.lost,
                )
        self._tell_crowd(readers)
        self.readers = readers.watched

    def _tell_crowd(self, readers: Readers) -> None:
        for stream, groups in readers.unwatched.items():
            self._metrics.groups_unwatched.labels(stream).set(groups)
        crowded = any(readers.unwatched.values())
        if crowded and not self._crowded:
            beyond = {stream: groups for stream, groups in readers.unwatched.items() if groups}
            log.warning("more consumer groups than are watched", beyond=beyond)
        self._crowded = crowded

    def on_refused(self, cause: str | None) -> None:
        """Report missing rights; inspection and events go on."""
        if cause is None:
            log.info("the position of readers can be read again")
        else:
            log.warning(
                "the position of readers cannot be read: allow the user of redis.username"
                " +xinfo|groups and +xpending",
                cause=cause,
            )
