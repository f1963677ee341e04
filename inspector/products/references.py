"""Handles requests about references: learn one, use one, forget one, go back to the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from inspector.core.basics import Rect
from inspector.core.errors import ConfigurationError
from inspector.core.recipes import Job
from inspector.products.change_over import References, RefusedError
from inspector.products.commands import Approve, Discard, RollBack
from inspector.products.reference import FEWEST_UNITS, LeftOut, NotLearned, Why
from inspector.products.store import ProductStore
from inspector.products.stored import StoredReference, StoredUnit
from inspector.products.teaching import (
    Lesson,
    Phase,
    ReferenceTeacher,
    TeachingCancelledError,
)

log = structlog.get_logger("products")


class HearsOfTheEnd(Protocol):
    """The change-over. Event loop only."""

    async def taught(
        self, problem: str = "", *, by: str = "service", found: Mapping[str, str] | None = None
    ) -> None:
        """A lesson is over; see `ChangeOver.taught`."""


class StationReferences(References):
    """Teaches, and keeps what was learned. Event loop only; files are handled in threads.

    A lesson is over once its version is stored, or there is a reason why there is none. `run` has
    to be running for that.
    """

    def __init__(self, teacher: ReferenceTeacher, store: ProductStore, *, teach_units: int) -> None:
        """`teach_units`: for commands that do not say how many."""
        self.teacher = teacher
        self._store = store
        self._teach_units = teach_units
        self._approves = False
        self._begun = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def begin(self, job: Job, *, units: int | None, approve: bool, by: str) -> None:
        """Collect the units of this job from now on."""
        if units is not None and units < FEWEST_UNITS:
            raise RefusedError(f"units is {units}, expected at least {FEWEST_UNITS}")
        lesson = Lesson(
            product=job.recipe.product,
            revision=job.recipe.revision,
            units=units or self._teach_units,
            job=job.number,
            by=by,
        )
        try:
            self.teacher.begin(lesson)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        self._approves = approve
        self._idle.clear()
        self._begun.set()

    async def answer(self, command: Approve | Discard | RollBack, *, product: str, by: str) -> None:
        """Approve, discard or take back a reference of this product."""
        if isinstance(command, Discard) and command.version is None and self._is_taught(product):
            self.teacher.cancel("it was discarded")
            return
        try:
            number = await asyncio.to_thread(self._carried_out, command, product, by)
        except ConfigurationError as error:
            raise RefusedError(error.problems[0]) from None
        self.teacher.approved_or_discarded(f"{product}/{number}")

    def cut_off(self) -> None:
        """Collect no further units; a complete lesson is still stored."""
        state = self.teacher.state
        if state is not None and state.phase is Phase.COLLECTING:
            self.teacher.cancel("another job took its place before enough units were seen")

    async def idle(self) -> None:
        """Return once no lesson is in progress, and the last one's end was reported."""
        await self._idle.wait()

    async def run(self, change_over: HearsOfTheEnd) -> None:
        """Work until cancelled: bring each lesson to its end."""
        while True:
            await self._begun.wait()
            self._begun.clear()
            try:
                await self._see_to_the_end(change_over)
            finally:
                if not self.teacher.is_under_way:
                    self._idle.set()

    async def _see_to_the_end(self, change_over: HearsOfTheEnd) -> None:
        approves = self._approves
        try:
            outcome = await self.teacher.outcome()
            if isinstance(outcome, StoredReference) and approves:
                await asyncio.to_thread(
                    self._store.approve, outcome.product, outcome.number, by=outcome.made_by
                )
                self.teacher.approved_or_discarded(outcome.id)
        except TeachingCancelledError:
            return
        except ConfigurationError as error:
            await change_over.taught(error.problems[0])
        except Exception as error:
            # The product must not stay NOT_INSPECTED because of it.
            log.exception("a reference could not be learned")
            await change_over.taught(f"it could not be learned: {type(error).__name__}")
        else:
            await self._report(change_over, outcome, approves=approves)

    async def _report(
        self, change_over: HearsOfTheEnd, outcome: StoredReference | NotLearned, *, approves: bool
    ) -> None:
        if isinstance(outcome, NotLearned):
            found = {"left_out": "; ".join(map(in_short, outcome.left_out))}
            await change_over.taught(outcome.sentence, found=found if outcome.left_out else None)
            return
        named = "; ".join(_in_short(one) for one in outcome.units if not one.used)
        found = {
            "reference": outcome.id,
            "sha256": outcome.sha256,
            "units": str(outcome.units_used),
            "approved": str(approves).lower(),
        }
        await change_over.taught(found=found | ({"left_out": named} if named else {}))

    def _is_taught(self, product: str) -> bool:
        state = self.teacher.state
        return self.teacher.is_under_way and state is not None and state.lesson.product == product

    def _carried_out(self, command: Approve | Discard | RollBack, product: str, by: str) -> int:
        """Returns the number of the reference that it was about. In a thread."""
        match command:
            case Approve():
                return self._store.approve(product, command.version, by=by).number
            case RollBack():
                return self._store.roll_back(product)
            case Discard():
                number = command.version or self._newest(product)
                self._store.forget_reference(product, number)
                return number

    def _newest(self, product: str) -> int:
        numbers = self._store.reference_numbers(product)
        if not numbers:
            raise ConfigurationError(f"{product} has no reference to discard")
        return numbers[-1]


def in_short(left_out: LeftOut) -> str:
    """A unit that was left out, in a few characters: its number, and the first place."""
    return _short(left_out.number, left_out.why, [*map(_sides, left_out.places)])


def _in_short(unit: StoredUnit) -> str:
    return _short(unit.number, unit.why, unit.places)


def _sides(place: Rect) -> tuple[int, int, int, int]:
    return place.x_px, place.y_px, place.width_px, place.height_px


def _short(number: int, why: str, places: Sequence[tuple[int, int, int, int]]) -> str:
    if why == Why.ANOTHER_DESIGN or not places:
        return f"{number}: {why}"
    x, y, width, height = places[0]
    return f"{number} at {x},{y} {width}x{height}"
