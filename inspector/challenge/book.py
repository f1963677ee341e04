"""Which sets of known parts are due, and the progress of the one being shown: pure.

The book only decides. It is given the time, and all its state is in what `text` returns, so that a
restart or a power cut changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inspector.challenge.comparing import differences
from inspector.challenge.sets import KnownPart, KnownSet
from inspector.core.basics import CameraId
from inspector.core.challenges import ChallengeResult, Difference, Differs, PartShown
from inspector.core.part_names import shown
from inspector.core.verdicts import Verdict
from inspector.settings.challenge_sections import ChallengeSettings

CHALLENGE_NOTE = "challenge"
"""The journal's note of all this."""
S_PER_MIN = 60


class Why(StrEnum):
    """Why a set is due. A closed list; the first that applies is reported."""

    FIRST = "first"
    """No check of it has succeeded yet."""
    SHIFT = "shift"
    CHANGE_OVER = "change_over"
    NEW_MODEL = "new_model"
    NEW_REVISION = "new_revision"
    STOP = "stop"
    """The service was not running for a while."""
    UNITS = "units"
    FAILED = "failed"
    """The last check failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What one camera's units are judged by at present."""

    product: str
    models: str
    """Which models, with versions and files; empty while that is not known."""
    revision: str
    """A hash over everything that decides."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class SetState(_Kept):
    """What is known about one set."""

    due: tuple[Why, ...] = ()
    due_s: float = 0.0
    """Since when; wall clock, as all times here."""
    held_s: float | None = None
    """When a check of it last succeeded."""
    held_unit: int = 0
    """The number of its camera's last unit at that time."""
    models: str = ""
    revision: str = ""
    """Those in force at that time."""


class ShownPart(_Kept):
    """A part that was shown in this check."""

    position: int
    name: str
    unit_id: str
    unit_event_id: str = ""
    as_expected: bool
    differences: tuple[str, ...] = ()


class Running(_Kept):
    """The check that is running."""

    id: str
    set_name: str
    set_sha256: str
    camera: str
    by: str
    begun_s: float
    moved_s: float
    """When it began, or when the last part came."""
    first_unit: int
    """The number of the first unit that may be a part: it was opened afterwards."""
    models: str
    revision: str
    """What decided when it began: it must stay the same for all parts."""
    recognised: tuple[int, ...] = ()
    """The positions of parts that were seen as expected."""
    tries: int = 0
    """How often the current part was not seen as expected."""
    phase: Literal["shows", "differs"] = "shows"
    """Whether it waits for a part; otherwise it waits for a person's decision."""
    parts: tuple[ShownPart, ...] = ()


class Ended(_Kept):
    """The last check, for people."""

    id: str
    set_name: str
    result: ChallengeResult
    problem: str
    by: str
    at_s: float
    parts: tuple[ShownPart, ...]


class Kept(_Kept):
    """Everything that the book keeps."""

    format: Literal["inspector.challenges/1"] = "inspector.challenges/1"
    sets: Mapping[str, SetState] = Field(default_factory=dict)
    products: Mapping[str, str] = Field(default_factory=dict)
    """The product last in force, by camera."""
    running: Running | None = None
    last: Ended | None = None
    alive_s: Annotated[float, Field(ge=0)] = 0.0
    """When the service last ran, to within some minutes; 0: not known."""


def read_kept(note: str | None) -> tuple[Kept, bool]:
    """What a note says, and whether it could be read: if not, every set is due."""
    try:
        return (Kept(), True) if note is None else (Kept.model_validate_json(note), True)
    except ValidationError:
        return Kept(), False


class ChallengeBook:
    """Everything that is known about challenges. Methods return what they changed, or a problem.

    A set stays due, with its reason, until a check of it succeeds. Only the sets of the products in
    force matter; the others keep their state.
    """

    def __init__(
        self, sets: Sequence[KnownSet], terms: ChallengeSettings, note: str | None
    ) -> None:
        self._sets = {known.name: known for known in sets}
        self._terms = terms
        self.kept, self._is_read = read_kept(note)
        self._in_force: dict[CameraId, InForce] = {}

    def text(self) -> str:
        """As the journal keeps it."""
        return self.kept.model_dump_json()

    # --- which are due ---

    @property
    def fitting(self) -> tuple[KnownSet, ...]:
        """The sets with parts of the products in force."""
        return tuple(
            known
            for known in self._sets.values()
            if known.parts
            and (now := self._in_force.get(known.camera)) is not None
            and known.is_for(now.product)
        )

    @property
    def due(self) -> tuple[tuple[KnownSet, SetState], ...]:
        """Those of them that are due, the longest first."""
        found = [(known, self.state(known.name)) for known in self.fitting]
        return tuple(sorted((f for f in found if f[1].due), key=lambda f: f[1].due_s))

    def state(self, name: str) -> SetState:
        """What is known of a set."""
        return self.kept.sets.get(name, SetState())

    def begin_life(self, now_s: float) -> Ended | None:
        """The service was started; call `in_force` before."""
        alive_s, stop_min = self.kept.alive_s, self._terms.after_stop_min
        was_long = bool(stop_min) and alive_s > 0 and now_s - alive_s > stop_min * S_PER_MIN
        for known in self._sets.values():
            if not self._is_read:
                self._add_due(known.name, Why.FIRST, now_s)
            if was_long:
                self._add_due(known.name, Why.STOP, now_s)
        self.kept = self.kept.model_copy(update={"alive_s": now_s})
        running = self.kept.running
        its_set = self._sets.get(running.set_name) if running else None
        if running and (its_set is None or its_set.sha256 != running.set_sha256):
            return self._end("aborted", "the file of the set was changed", now_s)
        return None

    def take_as_held(self, now_s: float) -> None:
        """A recording begins: nothing is due."""
        for known in self.fitting:
            now = self._in_force[known.camera]
            held = SetState(held_s=now_s, models=now.models, revision=now.revision)
            self._put(known.name, held)

    def is_alive(self, now_s: float) -> None:
        """Note that the service runs."""
        self.kept = self.kept.model_copy(update={"alive_s": now_s})

    def in_force(self, now: Mapping[CameraId, InForce], now_s: float) -> Ended | None:
        """Set what units are judged by from now on; returns the check that this ends."""
        if now == self._in_force:
            return None
        self._in_force = dict(now)
        products = {str(camera): of.product for camera, of in now.items()}
        before = self.kept.products
        if products != before:
            self.kept = self.kept.model_copy(update={"products": products})
        for known in self.fitting:
            old = before.get(known.camera)
            if self._terms.after_change_over and old not in (None, products[known.camera]):
                self._add_due(known.name, Why.CHANGE_OVER, now_s)
        self._see_what_decides(now_s)
        running = self.kept.running
        if running is None:
            return None
        if running.set_name not in {known.name for known in self.fitting}:
            return self._end("aborted", "the product was changed", now_s)
        of = now[CameraId(running.camera)]
        is_known = bool(of.models)  # not while its server is unavailable
        if is_known and (running.revision != of.revision or running.models not in ("", of.models)):
            return self._end("aborted", "what decides was changed meanwhile", now_s)
        return None

    def _see_what_decides(self, now_s: float) -> None:
        for known in self.fitting:
            state, now = self.state(known.name), self._in_force[known.camera]
            if state.held_s is None:
                continue
            is_known = bool(now.models and state.models)
            if self._terms.after_new_model and is_known and now.models != state.models:
                self._add_due(known.name, Why.NEW_MODEL, now_s)
            if self._terms.after_new_revision and now.revision != state.revision:
                self._add_due(known.name, Why.NEW_REVISION, now_s)

    def look_at_clock(self, now_s: float, shift_began_s: float | None) -> None:
        """Update for the time; `shift_began_s` is when the current shift began."""
        if not self._terms.is_ever_due:
            return
        for known in self.fitting:
            state = self.state(known.name)
            if state.held_s is None:
                if not state.due:
                    self._add_due(known.name, Why.FIRST, now_s)
            elif shift_began_s is not None and state.held_s < shift_began_s:
                self._add_due(known.name, Why.SHIFT, now_s)

    def count(self, camera: CameraId, unit_number: int, now_s: float) -> None:
        """A unit of production is about to be judged."""
        most = self._terms.every_units
        for known in self.fitting if most else ():
            state = self.state(known.name)
            if known.camera == camera and unit_number - state.held_unit > most:
                self._add_due(known.name, Why.UNITS, now_s)

    def _add_due(self, name: str, why: Why, now_s: float) -> None:
        state = self.state(name)
        if why in state.due:
            return
        due = tuple(sorted({*state.due, why}, key=list(Why).index))
        self._put(name, state.model_copy(update={"due": due, "due_s": state.due_s or now_s}))

    def _put(self, name: str, state: SetState) -> None:
        self.kept = self.kept.model_copy(update={"sets": {**self.kept.sets, name: state}})

    # --- showing the parts ---

    def to_begin(self, name: str | None) -> tuple[KnownSet | None, str]:
        """The set to begin a check of, or why there is none."""
        if self.kept.running is not None:
            return None, f"set {shown(self.kept.running.set_name)} is being shown already"
        fitting = {known.name: known for known in self.fitting}
        names = ", ".join(fitting)
        if not fitting:
            return None, "there is no set of known parts for the product in force"
        if name is not None and name not in fitting:
            return None, f"set is {shown(name)}, expected one for the product in force: {names}"
        choice = [name] if name else [known.name for known, _state in self.due] or list(fitting)
        if not name and not self.due and len(fitting) > 1:
            return None, f"set is missing, expected one of: {names}"
        return fitting[choice[0]], ""

    def begin(
        self, known: KnownSet, *, check_id: str, by: str, first_unit: int, now_s: float
    ) -> None:
        """Expect the parts of the set from unit `first_unit` of its camera on."""
        running = Running(
            id=check_id,
            set_name=known.name,
            set_sha256=known.sha256,
            camera=known.camera,
            by=by,
            begun_s=now_s,
            moved_s=now_s,
            first_unit=first_unit,
            models=self._in_force[known.camera].models,
            revision=self._in_force[known.camera].revision,
        )
        self.kept = self.kept.model_copy(update={"running": running})

    @property
    def next_position(self) -> int | None:
        """The name of the next part; None: any of those left, or no check is running."""
        running = self.kept.running
        if running is None or self._sets[running.set_name].said.order == "any":
            return None
        return self._left(running)[0]

    def _left(self, running: Running) -> list[int]:
        every = range(len(self._sets[running.set_name].parts))
        return [n for n in every if n not in running.recognised]

    def part(self, verdict: Verdict, unit_id: str) -> PartShown | None:
        """The known part that this unit is; None for a unit of production.

        With serials a part is known by its own: what is none of the set's is production. Without,
        each unit from the first on is the part whose turn it is.
        """
        running, unit = self.kept.running, verdict.unit
        if (
            running is None
            or running.phase != "shows"
            or unit.camera_id != running.camera
            or verdict.unit_number < running.first_unit
        ):
            return None
        known = self._sets[running.set_name]
        came, wanted = known.part_of_serial(unit_id), self._left(running)
        if came is None:
            if known.parts[wanted[0]].serial is not None:
                return None
            came = wanted[0]
        expected = came if known.said.order == "any" else wanted[0]
        told = differences(known.parts[expected], verdict, tolerance_px=known.said.tolerance_px)
        if came != expected:
            told = (_wrong_part(known.parts[came], known.parts[expected]),)
        return PartShown(
            challenge=running.id,
            set_name=known.name,
            part=known.parts[expected].name,
            position=expected,
            differences=told,
        )

    def shown(
        self, part: PartShown, verdict: Verdict, *, unit_id: str, unit_event_id: str, now_s: float
    ) -> Ended | None:
        """The part has its verdict; returns how the check ended, if it did."""
        running = self.kept.running
        if running is None or running.id != part.challenge or running.phase != "shows":
            return None
        one = ShownPart(
            position=part.position,
            name=part.part,
            unit_id=unit_id,
            unit_event_id=unit_event_id,
            as_expected=part.is_as_expected,
            differences=tuple(difference.told for difference in part.differences),
        )
        update = {"moved_s": now_s, "parts": (*running.parts, one)}
        known = self._sets[running.set_name]
        if part.is_as_expected:
            recognised = tuple(sorted({*running.recognised, part.position}))
            update |= {"recognised": recognised, "tries": 0}
            self._move(running.model_copy(update=update))
            if len(recognised) == len(known.parts):
                return self._end("held", "", now_s, unit_number=verdict.unit_number)
            return None
        # Whatever follows: until a check succeeds, nothing is certain any more.
        self._add_due(known.name, Why.FAILED, now_s)
        # With any order a part may come twice: what was seen last counts.
        recognised = tuple(n for n in running.recognised if n != part.position)
        update |= {"recognised": recognised, "tries": running.tries + 1, "phase": "differs"}
        self._move(running.model_copy(update=update))
        if running.tries >= known.said.retries:
            problem = f"{part.part}: {part.differences[0].told}"
            return self._end("failed", problem, now_s)
        return None

    def retry(self, *, first_unit: int, now_s: float) -> str:
        """Expect the part that differed again; returns why that is not possible."""
        running = self.kept.running
        if running is None:
            return "no challenge is under way"
        if running.phase != "differs":
            return "it waits for a part already"
        update = {"phase": "shows", "first_unit": first_unit, "moved_s": now_s}
        self._move(running.model_copy(update=update))
        return ""

    def abort(self, by: str, now_s: float) -> Ended | None:
        """End the check on request; what was due stays due. None if none is running."""
        if self.kept.running is None:
            return None
        return self._end("aborted", f"ended by {by}", now_s)

    def expire(self, now_s: float) -> Ended | None:
        """End a check if nothing came for too long."""
        running = self.kept.running
        if running is None or now_s - running.moved_s <= self._terms.patience_min * S_PER_MIN:
            return None
        self._add_due(running.set_name, Why.FAILED, now_s)
        left = self._left(running)
        name = self._sets[running.set_name].parts[left[0]].name
        return self._end("failed", f"{name} was not shown in time", now_s)

    def _move(self, running: Running) -> None:
        self.kept = self.kept.model_copy(update={"running": running})

    def _end(
        self, result: ChallengeResult, problem: str, now_s: float, *, unit_number: int = 0
    ) -> Ended:
        running = self.kept.running
        assert running is not None  # noqa: S101 - callers looked
        ended = Ended(
            id=running.id,
            set_name=running.set_name,
            result=result,
            problem=problem,
            by=running.by,
            at_s=now_s,
            parts=running.parts,
        )
        self.kept = self.kept.model_copy(update={"running": None, "last": ended})
        if result == "held":
            now = self._in_force[CameraId(running.camera)]
            self._put(
                running.set_name,
                SetState(
                    held_s=now_s,
                    held_unit=unit_number,
                    models=now.models,
                    revision=now.revision,
                ),
            )
        return ended


def _wrong_part(came: KnownPart, expected: KnownPart) -> Difference:
    told = f"{came.name} came first; expected {expected.name}"
    return Difference(kind=Differs.WRONG_PART, told=told)
