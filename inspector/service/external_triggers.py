"""Connects external triggers: their stream, the HTTP server and the cameras."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from inspector.core.records import CameraId, EventGroup, unit_counter
from inspector.journal.journal import Journal
from inspector.ops.metrics import Metrics
from inspector.pipeline.build import Pipeline
from inspector.settings.settings import Settings
from inspector.triggers.external.ledger import EPOCH, Ledger, counter_names
from inspector.triggers.external.messages import TriggerOutcome, TriggerReceipt
from inspector.triggers.external.receiver import JobOfTriggers, TriggerReceiver

POLL_INTERVAL_S = 0.05
NS_PER_S = 1_000_000_000


class ExternalTriggers:
    """Exists before the pipeline, like the journal and the server: refuses until then.

    Event loop only, except `counters_of`, which the journal calls.
    """

    def __init__(self) -> None:
        self._receiver: TriggerReceiver | None = None

    def connect(
        self,
        pipeline: Pipeline,
        settings: Settings,
        journal: Journal,
        metrics: Metrics,
        jobs: JobOfTriggers,
    ) -> TriggerReceiver | None:
        """Accept triggers, now that the cameras are wired; None if none uses them."""
        gates = pipeline.triggered
        if not gates:
            return None
        names = counter_names(gates, journal.counter(EPOCH))
        self._receiver = TriggerReceiver(
            gates,
            cameras=[CameraId(c) for c in settings.cameras],
            units_before={c: journal.counter(unit_counter(c)) for c in gates},
            ledger=Ledger(gates, {name: journal.counter(name) for name in names}),
            registry=metrics.registry,
            jobs=jobs,
        )
        return self._receiver

    def submit(self, fields: Mapping[str, object]) -> TriggerReceipt:
        """Handle a trigger by HTTP."""
        if self._receiver is None:
            return TriggerReceipt(
                outcome=TriggerOutcome.REFUSED, problem="no camera takes triggers now"
            )
        return self._receiver.submit(fields)

    def counters_of(self, group: EventGroup) -> dict[str, int]:
        """The counters that the journal keeps with a group."""
        return {} if self._receiver is None else self._receiver.counters_of(group)

    def close(self) -> None:
        """No frame will come any more: refuse triggers from now on."""
        if self._receiver is not None:
            self._receiver.close()


async def expire_triggers(pipeline: Pipeline) -> None:
    """Close triggered units for which no frame came in time; until cancelled."""
    gates = list(pipeline.triggered.values())
    while gates:
        due = [gate.next_expiry_ns for gate in gates]
        next_ns = min((d for d in due if d is not None), default=None)
        wait_s = POLL_INTERVAL_S
        if next_ns is not None:
            wait_s = min(wait_s, max(0.001, (next_ns - time.monotonic_ns()) / NS_PER_S))
        await asyncio.sleep(wait_s)
        for gate in gates:
            gate.expire(time.monotonic_ns())
