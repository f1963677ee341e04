"""Reports a fault that was raised or cleared to the metrics, the page and the health stream."""

from __future__ import annotations

import structlog

from inspector.core.faults import Fault
from inspector.core.records import EventGroup
from inspector.flow.event_door import EventDoor
from inspector.ops.metrics import Metrics
from inspector.service.state import StationState

log = structlog.get_logger("service")


class FaultNews:
    """Publishes a station's faults. Event loop only."""

    def __init__(self, metrics: Metrics, views: StationState, door: EventDoor) -> None:
        self._metrics = metrics
        self._views = views
        self._door = door

    def tell(self, fault: Fault, event: EventGroup, *, raised: bool) -> None:
        """`event` is published in order among the verdicts, until these end."""
        self._metrics.fault.labels(fault.kind, fault.subject).set(raised)
        if (fault.kind, fault.subject) == (
            "disk",
            "evidence",
        ):  # the others are logged where they are detected
            log_as = log.warning if raised else log.info
            log_as("evidence fault" if raised else "evidence is kept again", cause=fault.cause)
        page = self._views.page
        if page is not None:
            page.on_fault(fault, raised=raised)
            page.tell(self._views.status())
        self._door.put(event)
