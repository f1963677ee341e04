"""Connects known parts with the verdicts, the commands and the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from ulid import ULID

from inspector.challenge.book import CHALLENGE_NOTE, ChallengeBook, Ended, InForce, Running
from inspector.challenge.sets import Known, KnownSet
from inspector.core.basics import CameraId
from inspector.core.challenges import Answer, PartShown, Step
from inspector.core.locks import Lock, LockBoard, LockKind
from inspector.core.ports import KnownParts
from inspector.core.records import Event, EventGroup
from inspector.core.shifts import local_time, shift_start
from inspector.core.verdicts import Verdict
from inspector.events.schemas import rfc3339
from inspector.events.wording import EventBuilder
from inspector.flow.event_door import EventDoor
from inspector.ops.metrics import Metrics
from inspector.settings.challenge_sections import ChallengeSettings

NS_PER_S = 1_000_000_000
MOST_TOLD = 40
"""How many parts the event of a check lists, the last ones: it stays under 8 kB."""
ALIVE_EVERY_S = 30.0
"""How exactly the time of a stop is known."""
WHYS = {
    "first": "it has not held yet",
    "shift": "a shift began",
    "change_over": "the product was changed",
    "new_model": "there is another model",
    "new_revision": "what decides was changed",
    "stop": "the service was not running for a while",
    "units": "so many units were made since the last one",
    "failed": "the last one did not hold",
}
"""In words, for the reason of a lock."""

log = structlog.get_logger("challenge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the desk works with."""

    door: EventDoor
    events: EventBuilder
    metrics: Metrics
    locks: LockBoard
    on_due: Callable[[str], None]
    """Called with why challenges are due, and with "" once none is; not while that is a lock."""
    now_ns: Callable[[], int]
    """The wall clock."""


class ChallengeDesk(KnownParts):
    """Puts every change into the journal together with its events. Event loop only."""

    def __init__(
        self,
        sets: Sequence[KnownSet],
        terms: ChallengeSettings,
        around: Around,
        *,
        note: str | None,
    ) -> None:
        """`note` is the journal's."""
        self._sets = {known.name: known for known in sets}
        self._terms = terms
        self._around = around
        self._book = ChallengeBook(sets, terms, note)
        self._in_force: Callable[[], Mapping[CameraId, InForce]] = dict
        self._first_unit: Callable[[CameraId], int] = lambda _camera: 1
        self._alive_s = 0.0

    # --- reports from others ---

    def begin(
        self,
        in_force: Callable[[], Mapping[CameraId, InForce]],
        first_unit: Callable[[CameraId], int],
        *,
        is_recording: bool = False,
    ) -> None:
        """Begin at the start of the service, before anything is judged.

        `in_force` says what is in force at each camera now, `first_unit` the number of the next
        unit that it opens. In a recording nothing is due at the start.
        """
        self._in_force, self._first_unit = in_force, first_unit
        now_s = self._now_s()
        ended = [self._book.in_force(in_force(), now_s), self._book.begin_life(now_s)]
        if is_recording:
            self._book.take_as_held(now_s)
        self._book.look_at_clock(now_s, self._shift_began_s(now_s))
        self._alive_s = now_s
        self._keep(*self._told([end for end in ended if end]))

    def look(self) -> None:
        """Update after a possible change of what decides."""
        before, fitting = self._book.kept, self._book.fitting
        ended = self._book.in_force(self._in_force(), self._now_s())
        if self._book.kept is not before:
            self._book.look_at_clock(self._now_s(), None)
            self._keep(*self._told([ended] if ended else []))
        elif fitting != self._book.fitting:
            self._show()

    def tick(self) -> None:
        """Update for the time; call it every second or so."""
        self.look()
        now_s, before = self._now_s(), self._book.kept
        self._book.look_at_clock(now_s, self._shift_began_s(now_s))
        ended = self._book.expire(now_s)
        if now_s - self._alive_s >= ALIVE_EVERY_S or now_s < self._alive_s:
            self._alive_s = now_s
            self._book.is_alive(now_s)
        if self._book.kept is not before:
            self._keep(*self._told([ended] if ended else []))

    # --- commands ---

    def answer(self, step: Step, set_name: str | None, *, by: str) -> Answer:
        """Begin a check, have a part shown again, or end a check.

        The caller puts what is returned into the door, before it awaits anything.
        """
        if step is Step.BEGIN:
            return self._begin(set_name, by)
        if step is Step.RETRY:
            return self._retry()
        ended = self._book.abort(by, self._now_s())
        if ended is None:
            return Answer(problem="no challenge is under way")
        return Answer(events=self._told([ended]), notes=self._notes())

    def _begin(self, set_name: str | None, by: str) -> Answer:
        known, problem = self._book.to_begin(set_name)
        if known is None:
            return Answer(problem=problem)
        first = self._first_unit(known.camera)
        self._book.begin(known, check_id=str(ULID()), by=by, first_unit=first, now_s=self._now_s())
        log.info("challenge begun", set=known.name, by=by, first_unit=first)
        return Answer(effective={known.camera: first}, notes=self._notes())

    def _retry(self) -> Answer:
        running = self._book.kept.running
        first = 1 if running is None else self._first_unit(CameraId(running.camera))
        problem = self._book.retry(first_unit=first, now_s=self._now_s())
        if problem or running is None:
            return Answer(problem=problem)
        return Answer(effective={CameraId(running.camera): first}, notes=self._notes())

    # --- verdicts ---

    def part(self, verdict: Verdict, unit_id: str) -> PartShown | None:
        """The known part that this unit is; None: it is a unit of production."""
        self.look()
        part = self._book.part(verdict, unit_id)
        if part is None:
            before = self._book.kept
            self._book.count(verdict.unit.camera_id, verdict.unit_number, self._now_s())
            if self._book.kept is not before:
                self._keep()
        return part

    def shown(self, part: PartShown, verdict: Verdict, group: EventGroup) -> EventGroup:
        """The verdict's events, with those of the challenge and its state for the journal."""
        unit = group.unit
        assert unit is not None  # noqa: S101 - the group of a verdict
        before = self._book.kept.running
        ended = self._book.shown(
            part, verdict, unit_id=unit.id, unit_event_id=unit.event_id, now_s=self._now_s()
        )
        if before is None or before.id != part.challenge:
            return group  # its check ended while it was inspected
        told = self._of_part(part, verdict, group, before)
        events = (*group.events, told, *self._told([ended] if ended else []))
        self._show()
        as_expected = "as_expected" if part.is_as_expected else "differs"
        self._around.metrics.challenge_parts.labels(as_expected).inc()
        return replace(group, events=events, notes={**group.notes, **self._notes()})

    def _of_part(
        self, part: PartShown, verdict: Verdict, group: EventGroup, running: Running
    ) -> Event:
        known = self._sets[part.set_name]
        body = group.events[0].body
        shown = {
            "camera": verdict.unit.camera_id,
            "part": {
                "name": part.part,
                "number": part.position + 1,
                "of": len(known.parts),
                "attempt": running.tries + 1,
            },
            "expected": expected(known.parts[part.position]),
            "unit_id": body["unit"]["id"],
            "unit_event_id": body["id"],
            "seen": {
                "result": body["result"],
                "reason": body["reason"],
                "defects": [
                    {key: defect[key] for key in ("code", "confidence", "bbox_px")}
                    for defect in body["defects"]
                ],
            },
            "differences": [
                {"kind": difference.kind.value, "told": difference.told[:200]}
                for difference in part.differences
            ],
            "evidence": body["evidence"],
        }
        result = "as_expected" if part.is_as_expected else "differs"
        of_check = _of_check(running.id, running.set_name, running.by)
        return self._around.events.challenge(
            "part", of_check, shown, result=result, unit_id=body["unit"]["id"]
        )

    # --- reports to others ---

    def _told(self, ended: Sequence[Ended]) -> tuple[Event, ...]:
        """The events of checks that ended; updates which sets are due."""
        events = []
        for end in ended:
            self._around.metrics.challenges.labels(end.result).inc()
            log_as = log.info if end.result == "held" else log.warning
            log_as("challenge ended", set=end.set_name, result=end.result, problem=end.problem)
            events.append(
                self._around.events.challenge(
                    "check",
                    _of_check(end.id, end.set_name, end.by),
                    {
                        "problem": end.problem[:200],
                        "parts": [
                            {
                                "name": one.name,
                                "unit_id": one.unit_id,
                                "unit_event_id": one.unit_event_id,
                                "result": "as_expected" if one.as_expected else "differs",
                            }
                            for one in end.parts[-MOST_TOLD:]
                        ],
                    },
                    result=end.result,
                )
            )
        self._show()
        return tuple(events)

    def _notes(self) -> dict[str, str]:
        return {CHALLENGE_NOTE: self._book.text()}

    def _keep(self, *events: Event) -> None:
        self._show()
        self._around.door.put(EventGroup(events=events, notes=self._notes()))

    def _show(self) -> None:
        """Set lock, fault and metrics by what is due."""
        locks, due = self._around.locks, self._book.due
        self._around.metrics.due(
            {known.name: state.due_s for known, state in due}, every=self._sets
        )
        if not due:
            locks.clear(LockKind.CHALLENGE)
            self._around.on_due("")
            return
        known, state = due[0]
        reason = f"a challenge with the parts of set {known.name} is due: {WHYS[state.due[0]]}"
        if self._terms.locks:
            since = rfc3339(round(state.due_s * NS_PER_S))
            locks.set(Lock(kind=LockKind.CHALLENGE, reason=reason, since=since))
        else:
            locks.clear(LockKind.CHALLENGE)
            self._around.on_due(reason)

    def status(self) -> dict[str, Any]:
        """Everything that people see of it."""
        kept = self._book.kept
        return {
            "locks": self._terms.locks,
            "sets": [self._set_shown(known) for known in self._book.fitting],
            "running": None if kept.running is None else self._running_shown(kept.running),
            "last": None if kept.last is None else _ended_shown(kept.last),
        }

    def _set_shown(self, known: KnownSet) -> dict[str, Any]:
        state = self._book.state(known.name)
        return {
            "name": known.name,
            "camera": known.camera,
            "parts": [
                {"name": part.name, "serial": part.serial, **expected(part)} for part in known.parts
            ],
            "due": [why.value for why in state.due],
            "due_since": _time(state.due_s) if state.due else None,
            "held": None if state.held_s is None else _time(state.held_s),
        }

    def _running_shown(self, running: Running) -> dict[str, Any]:
        position = self._book.next_position
        return {
            "challenge": running.id,
            "set": running.set_name,
            "camera": running.camera,
            "by": running.by,
            "begun": _time(running.begun_s),
            "phase": running.phase,
            "next": None if position is None else position + 1,
            "recognised": [n + 1 for n in running.recognised],
            "parts": [one.model_dump(exclude={"position"}) for one in running.parts],
        }

    def _now_s(self) -> float:
        return self._around.now_ns() / NS_PER_S

    def _shift_began_s(self, now_s: float) -> float | None:
        if not self._terms.at:
            return None
        now = datetime.fromtimestamp(now_s, tz=UTC).astimezone()
        return shift_start(now, self._terms.at, local_time).timestamp()


def expected(known: Known) -> dict[str, Any]:
    """What is known about a part, as events and the page show it."""
    return {
        "result": known.result,
        "defects": [
            {
                "code": defect.code,
                "bbox_px": None if defect.bbox_px is None else list(defect.bbox_px),
            }
            for defect in known.defects
        ],
    }


def _of_check(check_id: str, set_name: str, by: str) -> dict[str, Any]:
    return {"challenge": check_id, "set": set_name, "by": by, "way": "parts"}


def _ended_shown(ended: Ended) -> dict[str, Any]:
    return {
        "challenge": ended.id,
        "set": ended.set_name,
        "result": ended.result,
        "problem": ended.problem,
        "by": ended.by,
        "ended": _time(ended.at_s),
        "parts": [one.model_dump(exclude={"position"}) for one in ended.parts],
    }


def _time(at_s: float) -> str:
    return rfc3339(round(at_s * NS_PER_S))
