"""Teaches the station what a good unit looks like, from the units that pass.

Capture threads bring the frames, a separate thread with low priority compares them, and the store
keeps what was learned until a person approves it.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeVar

import structlog

from inspector.core.basics import CameraId
from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.geometry import outline_box_px
from inspector.core.optics import Optics, baseline_of
from inspector.core.ports import Teacher
from inspector.core.records import Frame, FrameRef, JudgedUnit, Outline
from inspector.products.model_teaching import ModelTeacher, TaughtModel
from inspector.products.reference import (
    Learned,
    LeftOut,
    NotLearned,
    ShownUnit,
    Sight,
    Why,
    learn,
)
from inspector.products.store import ProductStore, TaughtReference, TaughtUnit
from inspector.products.stored import StoredReference

log = structlog.get_logger("products")

ROOM_BYTES = 1_073_741_824
"""The most pixels, in bytes, that one teaching keeps; each unit has the same share."""
MARGIN_SHARE = 0.06
"""As a share of a unit's longer side: the margin around its outline that is kept, in case the
outline is inexact."""
NICENESS = 15
"""Niceness of the thread that compares: the line goes first."""
MOST_PLACES_NAMED = 3
NS_PER_S = 1_000_000_000
_T = TypeVar("_T")

_WORDS = {
    Why.ANOTHER_DESIGN: "it is of another design than the others",
    Why.DIFFERS: "it shows something that the others do not",
}


class Phase(StrEnum):
    """The phase of a teaching. A closed list."""

    COLLECTING = "collecting"
    COMPARING = "comparing"
    TO_BE_APPROVED = "to_be_approved"
    ENDED = "ended"
    """It failed, and `problem` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A lesson to learn."""

    product: str
    revision: str
    units: int
    job: int
    """The number of the job whose units are shown."""
    camera: CameraId | None = None
    """None: the first one that shows a unit."""
    by: str
    """Who asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSeen:
    """A unit that was collected."""

    number: int
    id: str
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """The state of a teaching, for people."""

    lesson: Lesson
    phase: Phase
    seen: tuple[UnitSeen, ...]
    reference: str = ""
    """The version that was stored, and waits for a person."""
    left_out: tuple[LeftOut, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class _Collected:
    """A unit that is being collected."""

    index: int
    number: int
    id: str = ""
    sights: list[Sight] = field(default_factory=list)
    frames: int = 0
    """Frames that came, kept or not."""
    is_complete: bool = False
    optics: list[Optics] = field(default_factory=list)
    """Measures of its frames, if they are measured."""
    seen_unix_ns: int = 0

    @property
    def bytes(self) -> int:
        """Size of the pixels kept."""
        return sum(sight.image.nbytes for sight in self.sights)


class _Known(NamedTuple):
    """What is known about the units besides their pictures, by number."""

    ids: Mapping[int, str]
    optics: Mapping[int, tuple[Optics, ...]]
    seen_unix_s: float
    """When the last one was seen."""


def _shown(collected: Sequence[_Collected]) -> tuple[list[ShownUnit], _Known]:
    """The units that frames show, and what else is known about all of them."""
    units = [
        ShownUnit(number=one.number, sights=tuple(one.sights)) for one in collected if one.sights
    ]
    known = _Known(
        {one.number: one.id for one in collected},
        {one.number: tuple(one.optics) for one in collected},
        max((one.seen_unix_ns for one in collected), default=0) / NS_PER_S,
    )
    return units, known


def taught_units(found: Learned, ids: Mapping[int, str]) -> list[TaughtUnit]:
    """The units of a reference and those left out, by number; `ids`: what each is called."""
    used = [TaughtUnit(number=u.number, id=ids[u.number], picture=u.picture) for u in found.used]
    left_out = [
        TaughtUnit(
            number=one.number,
            id=ids[one.number],
            picture=one.picture,
            used=False,
            why=one.why,
            likeness=max(-1.0, min(1.0, one.likeness)),
            places=one.places,
        )
        for one in found.left_out
    ]
    return sorted((*used, *left_out), key=lambda unit: unit.number)


class ReferenceTeacher(Teacher):
    """Learns one reference at a time.

    `take` is for capture threads, all else for the event loop. Memory: `ROOM_BYTES` while it
    collects, and once as much as the units' own pictures take while it compares.
    """

    def __init__(
        self,
        store: ProductStore,
        *,
        units_before: Mapping[CameraId, int],
        room_bytes: int = ROOM_BYTES,
    ) -> None:
        """`units_before`: how many units each camera had before this start, as their events say."""
        self._store = store
        self._units_before = units_before
        self._room_bytes = room_bytes
        self.models: ModelTeacher | None = None
        """Teaches a model with the units of each lesson; None: only references are made."""
        self._lock = threading.Lock()
        self._lesson: Lesson | None = None
        self._camera: CameraId | None = None
        self._units: dict[int, _Collected] = {}
        self._is_closed = False
        self._problem = ""
        self._last: Teaching | None = None
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # Capture threads.

    def take(self, frame: Frame) -> None:
        """Keep what a frame shows of its unit, if the unit is one of those to learn from."""
        try:
            self._take(frame)
        except Exception:
            # One frame is lost for learning; its buffer is still released, its unit still counted.
            log.exception("a frame could not be learned from", camera=frame.ref.camera_id)

    def _take(self, frame: Frame) -> None:
        room_bytes = self._room_of(frame.ref)
        if room_bytes is None:
            return
        sight = cut(frame)
        unit, wanted = frame.ref.unit, _frames_wanted(frame.ref)
        with self._lock:
            collected = None if unit is None else self._units.get(unit.index)
            if collected is None or self._is_closed:
                return
            collected.frames += 1
            collected.seen_unix_ns = frame.ref.captured_unix_ns
            if frame.ref.optics is not None:
                collected.optics.append(frame.ref.optics)
            collected.is_complete |= collected.frames >= wanted
            if collected.bytes + sight.image.nbytes <= room_bytes:
                collected.sights.append(sight)
            elif not collected.sights:
                self._problem = (
                    f"a picture of {sight.image.nbytes / 1e6:.0f} MB does not fit into"
                    f" {room_bytes / 1e6:.0f} MB, the room for each unit: teach fewer at once"
                )
        self._tell()

    def _room_of(self, ref: FrameRef) -> int | None:
        """How many bytes its unit may take; None if it is not one to learn from."""
        unit = ref.unit
        with self._lock:
            lesson = self._lesson
            if lesson is None or self._is_closed or unit is None or unit.job is None:
                return None
            if unit.job.number != lesson.job or ref.camera_id != (self._camera or ref.camera_id):
                return None
            if unit.index not in self._units:
                if len(self._units) >= lesson.units:
                    return None
                self._camera = ref.camera_id
                number = self._units_before.get(ref.camera_id, 0) + unit.index + 1
                self._units[unit.index] = _Collected(unit.index, number, unit.given_id or "")
            return self._room_bytes // lesson.units

    def _tell(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._changed.set)

    # Event loop.

    @property
    def state(self) -> Teaching | None:
        """The teaching in progress, or the last one; None if there was none since the start."""
        with self._lock:
            if self._lesson is None:
                return self._last
            seen = tuple(
                UnitSeen(number=one.number, id=one.id, frames=one.frames)
                for one in self._units.values()
            )
            phase = Phase.COMPARING if self._is_closed else Phase.COLLECTING
            return Teaching(lesson=self._lesson, phase=phase, seen=seen)

    @property
    def is_under_way(self) -> bool:
        """Whether units are collected or compared now."""
        return self._lesson is not None

    def begin(self, lesson: Lesson) -> None:
        """Collect the units of the lesson's job from now on.

        Raises:
            ValueError: another teaching is under way; in words for people.

        """
        if self._lesson is not None:
            msg = f"{self._lesson.product} is being taught; cancel that first, or wait for it"
            raise ValueError(msg)
        self._loop = asyncio.get_running_loop()
        self._changed.clear()
        with self._lock:
            self._units, self._is_closed, self._problem = {}, False, ""
            self._lesson, self._camera = lesson, lesson.camera
        log.info(
            "teaching",
            product=lesson.product,
            units=lesson.units,
            by=lesson.by,
            room_mb=round(self._room_bytes / 1e6),
        )

    def decided(self, unit: JudgedUnit) -> None:
        """Note that a unit has its verdict: no frame of it follows."""
        with self._lock:
            if self._lesson is None or unit.ref.camera_id != self._camera:
                return
            collected = self._units.get(unit.ref.index)
            if collected is None:
                return
            collected.is_complete = True
            collected.id = unit.id
        self._changed.set()

    async def full(self) -> None:
        """Return once enough units were seen: further ones are not needed."""
        await self._until(lambda wanted: len(self._units) >= wanted)

    async def complete(self) -> None:
        """Return once every frame of those units was taken."""
        await self._until(
            lambda wanted: (
                len(self._units) >= wanted and all(one.is_complete for one in self._units.values())
            )
        )

    def close(self) -> None:
        """Take no further frame: learn from what was collected."""
        self._is_closed = True
        self._changed.set()

    def cancel(self, problem: str) -> None:
        """Learn nothing: drop what was collected."""
        if self._lesson is not None:
            self._end(problem=problem)

    async def outcome(self) -> StoredReference | NotLearned:
        """The outcome, once it is complete: a version in the store, or why there is none.

        Comparing eight units of three frames takes a second of one core.

        Raises:
            OSError: the version could not be stored.

        """
        await self.complete()
        lesson = self._lesson
        assert lesson is not None  # noqa: S101 - complete() returns only while one is under way
        with self._lock:
            self._is_closed = True
            collected, camera = list(self._units.values()), self._camera or CameraId("")
            problem = self._problem
        units, known = _shown(collected)
        try:
            found, stored = await in_background(
                lambda: self._learned(lesson, camera, units, known), name="teaching"
            )
        except BaseException as error:
            if self._lesson is lesson:
                self._end(problem=f"it could not be learned: {str(error) or type(error).__name__}")
            raise
        if isinstance(found, NotLearned):
            sentence = "; ".join(filter(None, (problem, found.sentence)))
            found = NotLearned(sentence=sentence, left_out=found.left_out)
        if self._lesson is not lesson:
            # Cancelled meanwhile; a version that nobody approves does no harm.
            return NotLearned(sentence="it was cancelled")
        if stored is None:
            assert isinstance(found, NotLearned)  # noqa: S101
            self._end(problem=found.sentence, left_out=found.left_out)
            return found
        self._end(reference=stored.id, left_out=found.left_out)
        return stored

    def approved_or_discarded(self, reference: str) -> None:
        """Note that a person decided about a version: it no longer waits."""
        if self._last is not None and self._last.reference == reference:
            self._last = None

    def _learned(
        self, lesson: Lesson, camera: CameraId, units: list[ShownUnit], known: _Known
    ) -> tuple[Learned | NotLearned, StoredReference | None]:
        found = learn(units)
        if isinstance(found, NotLearned):
            return found, None
        model = self._model_of(lesson.product, units, found)
        stored = self._store.add_reference(
            lesson.product,
            TaughtReference(
                mean=found.mean,
                deviation=found.deviation,
                units=taught_units(found, known.ids),
                camera=camera,
                revision=lesson.revision,
                made_by=lesson.by,
                model=model,
                optics=baseline_of(
                    [one for unit in found.used for one in known.optics[unit.number]],
                    camera=camera,
                    since_unix_s=known.seen_unix_s,
                    vouched=True,
                ),
            ),
        )
        return found, stored

    def _model_of(
        self, product: str, units: list[ShownUnit], learned: Learned
    ) -> TaughtModel | None:
        """The model that these units teach; without one, the reference is still complete."""
        if self.models is None:
            return None
        began_s = time.monotonic()
        try:
            model = self.models.teach(units, learned)
        except (ConfigurationError, InferenceUnavailableError) as error:
            log.warning("no model of good units was taught", product=product, cause=str(error))
            return None
        log.info(
            "a model of good units was taught",
            product=product,
            units=model.units,
            usual_times=round(model.usual_times, 2),
            seconds=round(time.monotonic() - began_s, 2),
        )
        return model

    def _end(
        self, *, reference: str = "", problem: str = "", left_out: tuple[LeftOut, ...] = ()
    ) -> None:
        state = self.state
        assert state is not None  # noqa: S101 - one is under way
        with self._lock:
            self._lesson, self._units, self._is_closed = None, {}, True
        self._last = Teaching(
            lesson=state.lesson,
            phase=Phase.TO_BE_APPROVED if reference else Phase.ENDED,
            seen=state.seen,
            reference=reference,
            left_out=left_out,
            problem=problem,
        )
        self._changed.set()
        log.info(
            "taught" if reference else "the lesson taught nothing",
            product=state.lesson.product,
            reference=reference or None,
            left_out=[told(one) for one in left_out],
            problem=problem or None,
        )

    async def _until(self, is_so: Callable[[int], bool]) -> None:
        while True:
            lesson = self._lesson
            if lesson is None:
                msg = "the teaching was cancelled"
                raise TeachingCancelledError(msg)
            with self._lock:
                if self._is_closed or is_so(lesson.units):
                    return
            self._changed.clear()
            await self._changed.wait()


class TeachingCancelledError(Exception):
    """The outcome that was waited for will not come."""


def told(left_out: LeftOut) -> str:
    """Why a unit was left out, and where to look: a sentence for people."""
    sentence = f"unit {left_out.number} is left out: {_WORDS[left_out.why]}"
    if left_out.why is Why.ANOTHER_DESIGN:
        return sentence
    places = [
        f"{place.x_px}, {place.y_px} ({place.width_px}x{place.height_px} px)"
        for place in left_out.places[:MOST_PLACES_NAMED]
    ]
    more = len(left_out.places) - len(places)
    return f"{sentence}, at {'; '.join(places)}{f' and {more} more' if more else ''}"


def cut(frame: Frame) -> Sight:
    """Copy the unit out of a frame, with a little around it; without an outline, all of it."""
    image, outline = frame.lease.image, frame.ref.outline
    height_px, width_px = image.shape[:2]
    if outline is None:
        whole = Outline(
            centre_x_px=width_px / 2,
            centre_y_px=height_px / 2,
            width_px=width_px,
            height_px=height_px,
            turn_deg=0.0,
        )
        return Sight(image=image.copy(), outline=whole)
    margin_px = MARGIN_SHARE * max(outline.width_px, outline.height_px)
    left, top, right, bottom = outline_box_px(outline)
    x, y = max(0, math.floor(left - margin_px)), max(0, math.floor(top - margin_px))
    part = image[
        y : min(height_px, math.ceil(bottom + margin_px)),
        x : min(width_px, math.ceil(right + margin_px)),
    ]
    moved = Outline(
        centre_x_px=outline.centre_x_px - x,
        centre_y_px=outline.centre_y_px - y,
        width_px=outline.width_px,
        height_px=outline.height_px,
        turn_deg=outline.turn_deg,
    )
    return Sight(image=part.copy(), outline=moved)


def _frames_wanted(ref: FrameRef) -> int:
    return ref.under.recipe.cameras[ref.camera_id].frames_of_unit


async def in_background(work: Callable[[], _T], *, name: str) -> _T:
    """Do something long in a separate thread of low priority.

    A thread that was made less important cannot become more important again, so it ends.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        result: _T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
