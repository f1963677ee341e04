"""Feeds the process rules with verdicts, and reports their alarms as faults and locks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson
import structlog

from inspector.core.faults import FaultBoard, FaultUnit, ProcessRule, process_at
from inspector.core.locks import Lock, LockBoard, LockKind
from inspector.core.records import CameraId, EventGroup
from inspector.events.schemas import rfc3339
from inspector.flow.event_door import EventDoor
from inspector.page.archive import Archive, ArchiveUnreadableError
from inspector.page.archive_rows import UnitQuery
from inspector.results.process_rules import (
    Alarm,
    JudgedOne,
    ProcessLimits,
    ProcessRules,
    judged_one,
)
from inspector.settings.process_sections import ProcessSettings

log = structlog.get_logger("service")

PROCESS_NOTE = "process"
"""The journal's note of what was acknowledged."""
UNITS_READ_AGAIN = 1000
"""For each camera at the start: the state of the rules when the service ended."""


def process_limits(process: ProcessSettings) -> ProcessLimits:
    """The settings of the rules."""
    return ProcessLimits(
        same_place=process.same_place,
        same_place_px=process.same_place_px,
        failed=process.failed,
        not_inspected=process.not_inspected,
        share=process.share,
        share_units=process.share_units,
    )


class StationProcess:
    """Sees every verdict before it is published. Event loop only.

    An alarm is the fault `process` while its rule holds. With `lock` it is a lock as well, and
    stands until a person acknowledges it; units that were judged before then no longer count.
    """

    def __init__(
        self,
        process: ProcessSettings,
        cameras: Iterable[CameraId],
        *,
        faults: FaultBoard,
        locks: LockBoard,
        door: EventDoor,
    ) -> None:
        self._process = process
        self._faults = faults
        self._locks = locks
        self._door = door
        self._rules = {camera: ProcessRules(process_limits(process)) for camera in cameras}
        self._raised: dict[CameraId, set[str]] = {camera: set() for camera in self._rules}
        self._locked: dict[CameraId, set[str]] = {camera: set() for camera in self._rules}
        self._acknowledged: dict[str, int] = {}
        """For each camera, the last unit that was judged before the acknowledgement."""

    async def restore(self, journal_folder: Path, note: str | None) -> None:
        """Count the journal's verdicts, as if the service had never ended; locks stand already."""
        self._acknowledged = _acknowledged(note)
        standing = {lock.subject for lock in self._locks.standing if lock.kind is LockKind.PROCESS}
        for camera in self._rules:
            of_camera = standing & {process_at(camera, rule) for rule in ProcessRule}
            self._locked[camera] |= of_camera
            self._raised[camera] |= of_camera
        archive = Archive(journal_folder)
        try:
            await self._count(archive)
        finally:
            archive.close()

    async def _count(self, archive: Archive) -> None:
        for camera, rules in self._rules.items():
            query = UnitQuery(limit=UNITS_READ_AGAIN, camera=camera)
            try:
                page = await archive.units(query)
            except ArchiveUnreadableError as error:
                log.warning("earlier verdicts are not counted", camera=camera, cause=str(error))
                continue
            alarms: Mapping[ProcessRule, Alarm] = {}
            for stored in reversed(page.units):
                body = orjson.loads(stored.body)
                unit = judged_one(body)
                is_known_part = body.get("challenge") is not None
                if not is_known_part and unit.number > self._acknowledged.get(camera, 0):
                    alarms = rules.see(unit)
            self._report(camera, alarms)

    def change(self, process: ProcessSettings) -> None:
        """Apply other limits from the next unit on."""
        self._process = process
        for rules in self._rules.values():
            rules.change(process_limits(process))

    def on_verdict(self, group: EventGroup) -> None:
        """Record the verdict of a unit."""
        if group.verdict is None or group.verdict.body.get("challenge") is not None:
            return  # a known part says nothing about production
        unit = judged_one(group.verdict.body)
        self._begin_anew_if_acknowledged(unit)
        self._report(unit.camera, self._rules[unit.camera].see(unit))

    def _begin_anew_if_acknowledged(self, unit: JudgedOne) -> None:
        standing = {lock.subject for lock in self._locks.standing if lock.kind is LockKind.PROCESS}
        over = self._locked[unit.camera] - standing
        if not over:
            return
        self._locked[unit.camera] -= over
        self._raised[unit.camera] -= over  # the fault was cleared with its lock
        self._rules[unit.camera].begin_anew()
        self._acknowledged[unit.camera] = unit.number - 1
        text = orjson.dumps(self._acknowledged).decode()
        self._door.put(EventGroup(events=(), notes={PROCESS_NOTE: text}))

    def _report(self, camera: CameraId, alarms: Mapping[ProcessRule, Alarm]) -> None:
        standing = {process_at(camera, alarm.rule): alarm for alarm in alarms.values()}
        raised, locked = self._raised[camera], self._locked[camera]
        for subject in raised - standing.keys() - locked:
            raised.discard(subject)
            self._faults.clear("process", subject)
            log.info("all process rules hold again", subject=subject)
        for subject in standing.keys() - raised:
            alarm = standing[subject]
            raised.add(subject)
            log.warning("a process rule is violated", subject=subject, cause=alarm.cause)
            self._faults.raise_fault("process", alarm.cause, subject, unit=_told(alarm))
            if self._process.lock:
                locked.add(subject)
                self._locks.set(
                    Lock(
                        kind=LockKind.PROCESS,
                        subject=subject,
                        reason=alarm.cause,
                        since=rfc3339(time.time_ns()),
                    )
                )


def _acknowledged(note: str | None) -> dict[str, int]:
    try:
        found = orjson.loads(note or "{}")
        return {str(camera): int(number) for camera, number in found.items()}
    except (ValueError, TypeError, AttributeError):
        log.warning("what was acknowledged could not be restored", note=note)
        return {}


def _told(alarm: Alarm) -> FaultUnit:
    unit: JudgedOne = alarm.unit
    defect = alarm.defect
    return FaultUnit(
        id=unit.unit_id,
        event_id=unit.event_id,
        number=unit.number,
        code=None if defect is None else defect.code,
        bbox_px=None if defect is None else defect.bbox_px,
        picture_uri=unit.picture_uri,
    )
