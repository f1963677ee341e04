"""Receives external triggers, from the Redis stream and over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter

from inspector.core.recipes import Job
from inspector.core.records import CameraId, EventGroup
from inspector.triggers.external.ledger import Ledger
from inspector.triggers.external.messages import (
    Trigger,
    TriggerAnswer,
    TriggerOutcome,
    TriggerReceipt,
)
from inspector.triggers.external.parse import MalformedTriggerError, TriggerFields, parse_trigger

MAX_UNANSWERED = 1000
"""How many triggers of the stream may wait for their verdict before the next ones are read."""
NS_PER_S = 1_000_000_000
UNUSABLE = (
    TriggerOutcome.MALFORMED,
    TriggerOutcome.UNKNOWN_CAMERA,
    TriggerOutcome.NOT_EXTERNAL,
)
"""A trigger for no camera; nothing was opened, and nothing will be."""


class Inlet(Protocol):
    """A camera that is triggered from outside. Event loop only."""

    def trigger(self, trigger: Trigger) -> TriggerAnswer:
        """Open a unit, and inspect the frames that serve it already."""

    def remember(self, unit_id: str, received_mono_ns: int) -> None:
        """Record a unit that was triggered and answered before we started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The time now."""

    mono_ns: Callable[[], int] = time.monotonic_ns
    unix_ns: Callable[[], int] = time.time_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEntry:
    """An entry of the stream of triggers."""

    position: int
    fields: Mapping[bytes, object]
    entry_id: str | None = None
    """Its ID as Redis writes it; for the verdict's event."""
    is_answered: bool | None = None
    """Whether its verdict is in the journal; None: its position shows that."""
    came_mono_ns: int | None
    """When it was added, by our monotonic clock; None if unknown."""
    too_late: str = ""
    """Why nothing can be inspected for it any more; empty if it can."""


class JobOfTriggers(Protocol):
    """Changes the job for triggers that name a product. Event loop only."""

    def choose(self, camera: CameraId, fields: Mapping[str, str]) -> Job | None:
        """The job of the unit that such a trigger opens; None: the one in force."""

    def chosen(self, camera: CameraId, job: Job, fields: Mapping[str, str], *, number: int) -> None:
        """Record that it opened this unit under that job, which is in force from it on."""


class TriggerReceiver:
    """Passes each trigger to its camera, and returns the outcome.

    Event loop only. Counts all of them: the accepted ones are the number of units that get a
    verdict.
    """

    def __init__(
        self,
        inlets: Mapping[CameraId, Inlet],
        *,
        cameras: Collection[CameraId],
        units_before: Mapping[CameraId, int],
        ledger: Ledger,
        registry: CollectorRegistry,
        clocks: Clocks | None = None,
        jobs: JobOfTriggers | None = None,
    ) -> None:
        """`inlets`: the cameras with external triggers; `cameras`: all there are.

        `jobs` of None: a trigger's product is ignored.
        """
        self._jobs = jobs
        self._inlets = dict(inlets)
        self._cameras = frozenset(cameras)
        self._units_before = dict(units_before)
        self._clocks = clocks or Clocks()
        self.ledger = ledger
        self._is_closed = False
        self._room = asyncio.Event()
        self._room.set()
        self._count = Counter(
            "inspector_triggers",
            "Triggers from outside, by what became of them",
            ["camera", "outcome"],
            registry=registry,
        )
        # Also the empty one, for triggers without a camera: a counter that begins with its first
        # count shows no increase, and no alert fires.
        for camera in (*inlets, ""):
            for outcome in TriggerOutcome:
                self._count.labels(camera, outcome)

    def submit(self, fields: Mapping[str, object]) -> TriggerReceipt:
        """A trigger that was received just now."""
        try:
            camera, said = self._read(fields)
        except _UnusableError as unusable:
            return self._unusable(unusable)
        return self._trigger(camera, said)

    def take(self, entry: StreamEntry) -> TriggerReceipt | None:
        """A trigger of the stream; None for one that was answered before we started."""
        try:
            camera, said = self._read(entry.fields)
        except _UnusableError as unusable:
            self.ledger.read(entry.position)
            return self._unusable(unusable)
        is_answered = entry.is_answered
        if is_answered is None:
            is_answered = self.ledger.is_answered(camera, entry.position)
        if is_answered:
            came_ns = entry.came_mono_ns
            came_ns = self._clocks.mono_ns() if came_ns is None else came_ns
            self._inlets[camera].remember(said.unit_id, came_ns)
            return None
        receipt = self._trigger(
            camera,
            said,
            came_mono_ns=entry.came_mono_ns,
            too_late=entry.too_late,
            entry_id=entry.entry_id,
        )
        if receipt.outcome is TriggerOutcome.REFUSED:
            return receipt  # and not read: the next start answers it
        if receipt.outcome is TriggerOutcome.ACCEPTED and receipt.number is not None:
            self.ledger.opened(camera, receipt.number, entry.position)
        self.ledger.read(entry.position)
        self._check_room()
        return receipt

    async def wait_for_room(self) -> None:
        """Return once fewer than `MAX_UNANSWERED` triggers of the stream wait for verdicts."""
        await self._room.wait()

    def counters_of(self, group: EventGroup) -> dict[str, int]:
        """The counters that the journal keeps with a group: how far the stream is answered."""
        if not self._inlets:
            return {}
        if group.unit is not None:
            self.ledger.journaled(group.unit.ref.camera_id, group.unit.number)
        self._check_room()
        return self.ledger.counters()

    def close(self) -> None:
        """Accept no more: no further verdicts will be given."""
        self._is_closed = True

    def _read(
        self, fields: Mapping[str, object] | Mapping[bytes, object]
    ) -> tuple[CameraId, TriggerFields]:
        try:
            said = parse_trigger(fields)
        except MalformedTriggerError as malformed:
            raise _UnusableError(
                TriggerOutcome.MALFORMED, str(malformed), malformed.kind
            ) from malformed
        return self._camera_of(said), said

    def _camera_of(self, said: TriggerFields) -> CameraId:
        external = ", ".join(self._inlets) or "none"
        if said.camera is None:
            if len(self._inlets) == 1:
                return next(iter(self._inlets))
            if not self._inlets:
                problem = "no camera of this station is triggered from outside"
                raise _UnusableError(TriggerOutcome.NOT_EXTERNAL, problem)
            problem = f"camera is missing, expected one of: {external}"
            raise _UnusableError(TriggerOutcome.MALFORMED, problem, "camera: missing")
        camera = CameraId(said.camera)
        if camera in self._inlets:
            return camera
        if camera in self._cameras:
            problem = f"camera {camera} is not triggered from outside; those that are: {external}"
            raise _UnusableError(TriggerOutcome.NOT_EXTERNAL, problem)
        problem = f"there is no camera {said.camera[:64]!r}, expected one of: {external}"
        raise _UnusableError(TriggerOutcome.UNKNOWN_CAMERA, problem)

    def _unusable(self, unusable: _UnusableError) -> TriggerReceipt:
        # Not under the name in the trigger: senders must not create label values.
        self._count.labels("", unusable.outcome).inc()
        return TriggerReceipt(outcome=unusable.outcome, problem=str(unusable), kind=unusable.kind)

    def _trigger(
        self,
        camera: CameraId,
        said: TriggerFields,
        *,
        came_mono_ns: int | None = None,
        too_late: str = "",
        entry_id: str | None = None,
    ) -> TriggerReceipt:
        now_mono_ns, now_unix_ns = self._clocks.mono_ns(), self._clocks.unix_ns()
        at_unix_ns = said.at_unix_ns
        if at_unix_ns is None and came_mono_ns is not None:
            at_unix_ns = now_unix_ns - (now_mono_ns - came_mono_ns)
        job = None
        if said.job and self._jobs is not None:
            job = self._jobs.choose(camera, said.job)
        trigger = Trigger(
            unit_id=said.unit_id,
            received_mono_ns=now_mono_ns,
            received_unix_ns=now_unix_ns,
            at_unix_ns=at_unix_ns,
            too_late=too_late,
            entry=entry_id,
            job=job,
        )
        answer = TriggerAnswer(outcome=TriggerOutcome.REFUSED)
        if not self._is_closed:
            answer = self._inlets[camera].trigger(trigger)
        self._count.labels(camera, answer.outcome).inc()
        number = self._number_of(camera, answer.index)
        is_open = answer.outcome is TriggerOutcome.ACCEPTED
        if is_open and self._jobs is not None and job is not None and number is not None:
            self._jobs.chosen(camera, job, said.job, number=number)
        return TriggerReceipt(
            outcome=answer.outcome,
            unit_id=said.unit_id,
            camera=camera,
            number=number,
            problem=_problem(answer.outcome, said.unit_id, number),
        )

    def _number_of(self, camera: CameraId, index: int | None) -> int | None:
        if index is None or index < 0:
            return None
        return self._units_before.get(camera, 0) + index + 1

    def _check_room(self) -> None:
        if self.ledger.unanswered < MAX_UNANSWERED:
            self._room.set()
        else:
            self._room.clear()


class _UnusableError(Exception):
    def __init__(self, outcome: TriggerOutcome, problem: str, kind: str = "") -> None:
        super().__init__(problem)
        self.outcome = outcome
        self.kind = kind


def _problem(outcome: TriggerOutcome, unit_id: str, number: int | None) -> str:
    if outcome is TriggerOutcome.DOUBLED:
        known = f" as unit {number}" if number is not None else ""
        return f"unit {unit_id!r} was triggered a moment ago{known}"
    return "the station is stopping" if outcome is TriggerOutcome.REFUSED else ""
