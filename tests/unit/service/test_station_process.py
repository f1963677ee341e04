from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from inspector.core.faults import Fault, FaultBoard
from inspector.core.locks import LOCKS_NOTE, LockKind
from inspector.core.records import (
    CameraId,
    Event,
    EventGroup,
    JudgedUnit,
    Stream,
    TriggerKind,
    UnitRef,
)
from inspector.flow.event_door import EventDoor
from inspector.journal.journal import Journal
from inspector.ops.metrics import Metrics
from inspector.service.station_locks import StationLocks
from inspector.service.station_process import PROCESS_NOTE, StationProcess
from inspector.settings.process_sections import ProcessSettings

TOP = CameraId("top")
AT = "same_place top"


class Station:
    """A life of a service: its journal, its rules, its locks."""

    def __init__(self, folder: Path, process: ProcessSettings) -> None:
        self.folder = folder
        self.told: list[tuple[str, bool, Fault]] = []
        self.door = EventDoor(1000)
        self.faults = FaultBoard(lambda f, raised: self.told.append((f.subject, raised, f)))
        metrics = Metrics([TOP], ("open",))
        self.locks = StationLocks(faults=self.faults, metrics=metrics, door=self.door)
        self.journal = Journal.open(folder, retention_s=86_400)
        self.rules = StationProcess(
            process, [TOP], faults=self.faults, locks=self.locks.board, door=self.door
        )

    async def start(self) -> Station:
        self.locks.restore(self.journal.note(LOCKS_NOTE))
        await self.rules.restore(self.folder, self.journal.note(PROCESS_NOTE))
        return self

    async def show(self, *numbers: int, places: int = 1) -> None:
        """Units with so many defects each, the first one always at the same place."""
        for number in numbers:
            group = verdict(number, places)
            self.rules.on_verdict(group)
            self.door.put(group)

    async def end(self) -> None:
        while len(self.door):
            await self.journal.append(await self.door.receive(100))
        self.journal.close()

    @property
    def news(self) -> list[tuple[str, bool]]:
        return [(subject, raised) for subject, raised, _ in self.told]


def verdict(number: int, places: int) -> EventGroup:
    event_id = f"{number:026d}"
    boxes = [[100.0 + 70 * place, 50.0, 12.0, 8.0] for place in range(places)]
    body: dict[str, Any] = {
        "id": event_id,
        "camera": TOP,
        "product": {"name": "controller", "revision": "1"},
        "unit": {"id": f"top-{number}", "number": number},
        "result": "FAILED" if places else "PASSED",
        "reason": None,
        "defects": [{"code": "open", "bbox_px": box} for box in boxes],
        "evidence": [{"uri": f"file:///kept/{number}.jpg"}],
    }
    event = Event(
        stream=Stream.UNITS,
        id=event_id,
        schema="inspector.unit/1",
        time="2026-11-30T12:00:00.000+00:00",
        unit_id=f"top-{number}",
        result=body["result"],
        body=body,
    )
    ref = UnitRef(
        camera_id=TOP,
        index=number - 1,
        kind=TriggerKind.EVERY_FRAME,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
    )
    unit = JudgedUnit(ref=ref, number=number, id=f"top-{number}", event_id=event_id)
    return EventGroup(events=(event,), unit=unit)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_the_third_unit_raises_a_fault_that_names_it_and_a_good_one_ends_it(tmp_path: Path) -> None:
    async def main() -> None:
        station = await Station(tmp_path, ProcessSettings()).start()
        await station.show(1, 2)
        assert station.news == []
        await station.show(3, 4)
        assert station.news == [(AT, True)]
        found = station.told[0][2].unit
        assert found is not None
        assert (found.number, found.code, found.picture_uri) == (3, "open", "file:///kept/3.jpg")
        assert found.bbox_px == (100.0, 50.0, 12.0, 8.0)
        await station.show(5, places=0)
        assert station.news == [(AT, True), (AT, False)]
        assert station.locks.board.first is None
        await station.end()

    run(main)


def test_a_row_goes_on_through_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        before = await Station(tmp_path, ProcessSettings()).start()
        await before.show(1, 2)
        await before.end()
        after = await Station(tmp_path, ProcessSettings()).start()
        assert after.news == []
        await after.show(3)
        assert after.news == [(AT, True)]
        await after.end()
        again = await Station(tmp_path, ProcessSettings()).start()
        assert again.news == [(AT, True)]
        await again.show(4, places=0)
        assert again.news == [(AT, True), (AT, False)]
        await again.end()

    run(main)


def test_a_lock_stands_through_good_units_and_restarts_until_it_is_acknowledged(
    tmp_path: Path,
) -> None:
    locks = ProcessSettings(lock=True)

    async def main() -> None:
        before = await Station(tmp_path, locks).start()
        await before.show(1, 2, 3)
        await before.show(4, places=0)
        lock = before.locks.board.first
        assert lock is not None
        assert (lock.kind, lock.subject) == (LockKind.PROCESS, AT)
        assert before.news == [(AT, True)]
        await before.end()
        after = await Station(tmp_path, locks).start()
        assert after.locks.board.first == lock
        await after.show(5, 6)
        after.locks.board.clear(lock.kind, lock.subject)  # as who acknowledges it does
        await after.show(7, 8)
        assert after.locks.board.first is None
        assert after.news == [(AT, True), (AT, False)]
        await after.end()
        # Of the units in a row, two came after it was acknowledged: the next one is the third.
        again = await Station(tmp_path, locks).start()
        assert again.locks.board.first is None
        await again.show(9)
        assert again.locks.board.first is not None
        await again.end()

    run(main)


def test_it_is_locked_before_the_unit_after_the_third_is_judged(tmp_path: Path) -> None:
    async def main() -> None:
        station = await Station(tmp_path, ProcessSettings(lock=True)).start()
        await station.show(1, 2)
        assert station.locks.board.first is None
        await station.show(3)
        assert station.locks.board.first is not None
        await station.end()

    run(main)
