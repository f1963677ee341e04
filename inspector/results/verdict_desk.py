"""Gives decided units their serial, verdict and picture, and passes them on in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ulid import ULID

from inspector.core.challenges import PartShown
from inspector.core.locks import LockBoard
from inspector.core.ports import KnownParts, PictureKeeper, ProductCheck, SerialService
from inspector.core.recipes import FusingRules, Recipe
from inspector.core.records import (
    CameraId,
    EventGroup,
    Evidence,
    Finding,
    Frame,
    Outline,
    Serial,
    TriggerKind,
    UnitPicture,
    UnitRef,
)
from inspector.core.verdicts import DecidedUnit, Verdict
from inspector.events.wording import EventBuilder, Identity, Particulars
from inspector.flow.event_door import EventDoor
from inspector.ops.metrics import NS_PER_S, Metrics
from inspector.results.judging import judge, under_lock
from inspector.results.known_units import KnownUnits
from inspector.results.misfits import Misfits

WAITING_PER_CAMERA = 4


class NoPictures(PictureKeeper):
    """Evidence is switched off."""

    async def keep(self, picture: UnitPicture) -> Evidence | None:
        """Release the frame."""
        picture.frame.lease.release()
        return None


class NoSerials(SerialService):
    """No camera reads serials."""

    async def serial_of(self, unit: UnitRef) -> Serial | None:
        """Nothing was read."""
        del unit
        return None


class AnyProduct(ProductCheck):
    """Take every unit as the product it was judged as."""

    def check(self, verdict: Verdict, serial: Serial | None) -> Verdict:
        """As it is."""
        del serial
        return verdict


class NoKnownParts(KnownParts):
    """Take every unit as a product, none as a known part."""

    def part(self, verdict: Verdict, unit_id: str) -> PartShown | None:
        """None."""
        del verdict, unit_id
        return None

    def shown(self, part: PartShown, verdict: Verdict, group: EventGroup) -> EventGroup:
        """As it is."""
        del part, verdict
        return group


def ignore_verdict(group: EventGroup) -> None:
    """Ignores verdicts before they are published."""
    del group


def ignore_misfit(camera: CameraId, cause: str) -> None:
    """Ignores that the line makes another product."""
    del camera, cause


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictServices:
    """What a verdict needs besides the unit."""

    builder: EventBuilder
    units_before: Mapping[CameraId, int]
    metrics: Metrics
    pictures: PictureKeeper
    serials: SerialService
    products: ProductCheck = field(default_factory=AnyProduct)
    known_parts: KnownParts = field(default_factory=NoKnownParts)
    locks: LockBoard = field(default_factory=LockBoard)
    """While a lock stands, nothing is PASSED."""
    near: Callable[[], float] = lambda: 0.0
    """How far below its threshold a finding is still recorded."""
    on_verdict: Callable[[EventGroup], None] = ignore_verdict
    """Called with each verdict before it is passed on."""
    on_misfit: Callable[[CameraId, str], None] = ignore_misfit
    """Called after each verdict: why the camera's units seem to be of another product; empty if
    they do not."""


class VerdictDesk:
    """One queue and one task per camera: a slow disk or serial of one camera holds up no other.

    Within a camera verdicts leave in the order in which they are put in.
    """

    def __init__(self, door: EventDoor, services: VerdictServices) -> None:
        self._door = door
        self._services = services
        self._known_units = KnownUnits()
        self._misfits = {camera: Misfits() for camera in services.units_before}
        self.verdicts = 0
        """Verdicts passed on since start."""
        self._queues: dict[CameraId, asyncio.Queue[tuple[DecidedUnit, Frame | None] | None]] = {
            camera: asyncio.Queue(WAITING_PER_CAMERA) for camera in services.units_before
        }

    async def run(self) -> None:
        """Work until closed and empty."""
        async with asyncio.TaskGroup() as group:
            for camera, queue in self._queues.items():
                group.create_task(self._serve(queue), name=f"results/verdicts/{camera}")

    async def put(self, decided: DecidedUnit, picture: Frame | None) -> None:
        """Pass on a unit and the frame that shows it best; waits while the queue is full."""
        await self._queues[decided.unit.camera_id].put((decided, picture))

    async def close(self) -> None:
        """Nothing more is put in."""
        for queue in self._queues.values():
            await queue.put(None)

    async def _serve(self, queue: asyncio.Queue[tuple[DecidedUnit, Frame | None] | None]) -> None:
        while (waiting := await queue.get()) is not None:
            await self._send(*waiting)

    async def _send(self, decided: DecidedUnit, picture: Frame | None) -> None:
        services, unit = self._services, decided.unit
        decided, recipe = comparable(decided, unit.under.recipe)
        verdict = judge(
            decided,
            unit_number=services.units_before[unit.camera_id] + unit.index + 1,
            recipe=recipe,
        )
        serial = await services.serials.serial_of(unit)
        identity = services.builder.identity(verdict, serial)
        part = services.known_parts.part(verdict, identity.id)
        if part is None:
            # A known part belongs to no job's product, and only known parts may pass while a
            # challenge is due: neither check is for them.
            verdict = under_lock(services.products.check(verdict, serial), services.locks.first)
        event_id = str(ULID())
        found = Particulars(
            event_id=event_id,
            serial=serial,
            outline=_outline(verdict, picture),
            evidence=await self._keep(verdict, identity.id, event_id, picture, part),
            part=part,
        )
        now_ns = time.monotonic_ns()
        await self._door.room()
        # From here on without an await: a lock that was set meanwhile holds for this unit too.
        if part is None:
            verdict = under_lock(verdict, services.locks.first)
        in_time = services.builder.is_in_time(verdict, now_ns)
        self._count(verdict, identity, in_time=in_time, now_ns=now_ns, part=part)
        group = services.builder.verdict(verdict, found, now_ns)
        if part is not None:
            group = services.known_parts.shown(part, verdict, group)
        services.on_verdict(group)
        camera = unit.camera_id
        services.on_misfit(camera, self._misfits[camera].cause(verdict))
        self._door.put(group)
        self.verdicts += 1

    async def _keep(
        self,
        verdict: Verdict,
        unit_id: str,
        event_id: str,
        picture: Frame | None,
        part: PartShown | None,
    ) -> Evidence | None:
        if picture is None:
            return None
        return await self._services.pictures.keep(
            UnitPicture(
                frame=picture,
                unit_id=unit_id,
                unit_number=verdict.unit_number,
                event_id=event_id,
                result=verdict.result,
                short_by=None if verdict.nearest is None else verdict.nearest.short_by,
                is_asked_for=part is not None,
            )
        )

    def _count(
        self,
        verdict: Verdict,
        identity: Identity,
        *,
        in_time: bool,
        now_ns: int,
        part: PartShown | None,
    ) -> None:
        metrics, unit = self._services.metrics, verdict.unit
        late = verdict.deadline_missed or not in_time
        metrics.unit_decided(unit.camera_id, verdict.result, late=late)
        # The same known parts come repeatedly.
        names_unit = part is None and identity.source in ("trigger", "serial")
        if names_unit and self._known_units.met(identity.id):
            metrics.units_again.labels(verdict.result).inc()
        if verdict.placed is not None:
            metrics.reference_likeness.labels(unit.camera_id).set(verdict.placed.likeness)
            metrics.reference_shift.labels(unit.camera_id).set(verdict.placed.shift_px)
        for defect in verdict.defects:
            metrics.defects.labels(defect.code).inc()
        metrics.verdict_seconds.observe((now_ns - unit.triggered_mono_ns) / NS_PER_S)


def comparable(decided: DecidedUnit, recipe: Recipe) -> tuple[DecidedUnit, Recipe]:
    """The unit and the recipe to judge it by if some of its frames have no outline.

    A unit moves from frame to frame. In a frame without its outline findings have no place on the
    unit, so that frames that show the same defect would never agree on it, and the unit would pass.
    Then the frame that shows most, whose picture is kept, decides alone. Whether a finding lies in
    a zone is not known either: no zone applies.
    """
    seen = [frame for frame in decided.frames if any(f.box for f in frame.findings or ())]
    placed = all(frame.ref.outline is not None for frame in seen)
    if placed or decided.unit.kind is not TriggerKind.PRESENCE:
        return decided, recipe
    recipe = replace(recipe, zones=())
    if decided.frames_expected == 1:
        return decided, recipe
    rules = recipe.rules
    decisive = max(seen, key=lambda f: _margin(f.findings or (), rules))
    frames = tuple(
        frame if frame is decisive or frame.findings is None else replace(frame, findings=())
        for frame in decided.frames
    )
    alone = replace(rules, min_frames_seen=1)
    return replace(decided, frames=frames), replace(recipe, rules=alone)


def _margin(findings: Iterable[Finding], rules: FusingRules) -> float:
    """By how much the most certain of them is above its threshold."""
    return max(f.confidence - rules.thresholds[f.code_index] for f in findings)


def _outline(verdict: Verdict, picture: Frame | None) -> Outline | None:
    """The outline in the frame that is shown, else the last one known."""
    if picture is not None:
        return picture.ref.outline
    known = [frame.ref.outline for frame in verdict.frames if frame.ref.outline is not None]
    return known[-1] if known else None
