"""The locks of a station: kept in its journal, and reported as faults of the same kind."""

from __future__ import annotations

import time

import structlog

from inspector.core.faults import FaultBoard
from inspector.core.locks import LOCKS_NOTE, Lock, LockBoard
from inspector.core.records import EventGroup
from inspector.events.schemas import rfc3339
from inspector.flow.event_door import EventDoor
from inspector.ops.metrics import Metrics

log = structlog.get_logger("service")


class StationLocks:
    """A caller that sets or clears a lock on the board need do nothing else. Event loop only."""

    def __init__(self, *, faults: FaultBoard, metrics: Metrics, door: EventDoor) -> None:
        self.board = LockBoard(self._on_change)
        self._faults = faults
        self._metrics = metrics
        self._door = door

    def restore(self, note: str | None) -> None:
        """Restore the locks from the end of the service; before the first unit is judged."""
        self.board.restore(note, now=rfc3339(time.time_ns()))

    def _on_change(self, lock: Lock, stands: bool) -> None:  # noqa: FBT001 - a state
        # Before the event: if that is lost in a power cut, the lock is reported at the start.
        self._door.put(EventGroup(events=(), notes={LOCKS_NOTE: self.board.text()}))
        of_kind = [one for one in self.board.standing if one.kind is lock.kind]
        self._metrics.locked.labels(lock.kind).set(bool(of_kind))
        if lock.is_quiet:
            return
        if stands:
            log.warning("nothing is PASSED", lock=lock.kind.value, reason=lock.reason)
            self._faults.raise_fault(lock.kind.value, lock.reason, lock.subject)
        else:
            log.info("a lock is over", lock=lock.kind.value, reason=lock.reason)
            self._faults.clear(lock.kind.value, lock.subject)
