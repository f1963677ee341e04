"""Ten thousand triggered units, everything going wrong at random: one true verdict each, in order.

The units, their frames and their faults are simulated in time; the trigger, the book and
the judge are the real ones.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest

from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    Image,
    MissedFrame,
    MissReason,
    Notice,
    Result,
    UnitClosed,
    UnitOpened,
)
from inspector.core.verdicts import DecidedUnit, FrameResult, Verdict
from inspector.results.judging import judge
from inspector.results.unit_book import UnitBook
from inspector.triggers.external.messages import Trigger, TriggerOutcome
from inspector.triggers.external.trigger import ExternalTrigger
from tests.kit import jobs
from tests.kit.findings import boxed

CAMERA = CameraId("a")
MS = 1_000_000
EPOCH_NS = 1_767_225_600 * 1_000_000_000
FRAME_MS, UNIT_MS, DEADLINE_MS, WAIT_MS = 33, 250, 700, 120
DEFECT = boxed(code_index=0, confidence=0.9, left_px=10, top_px=10, right_px=30, bottom_px=30)


class Lease:
    def __init__(self) -> None:
        self.released = 0

    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        self.released += 1


class Line:
    """Units pass every quarter of a second; time is in milliseconds."""

    def __init__(self, seed: int, *, units: int, frames_of_unit: int) -> None:
        self.rng = random.Random(seed)
        self.units, self.frames_of_unit = units, frames_of_unit
        self.now_ms = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.notices: list[Notice] = []
        self.counts: Counter[str] = Counter()
        self.leases: list[Lease] = []
        self.was_there: dict[int, int] = {}
        """By the sequence number of a frame, which unit was in view."""
        self.bad = {n for n in range(units) if self.rng.random() < 0.3}
        self.arrivals: list[str] = []
        self.verdicts: list[Verdict] = []
        self.camera_until_ms = self.model_until_ms = self.frozen_until_ms = 0
        self.job = jobs.job(codes=("open",), frames_of_unit=frames_of_unit)
        self.unit_trigger = ExternalTrigger(
            CAMERA,
            job_now=lambda: self.job,
            wait_ns=WAIT_MS * MS,
            announce=self.notices.append,
            on_idle=lambda _ref: self.counts.update(["idle"]),
        )
        self.book = UnitBook(CAMERA, deadline_ns=DEADLINE_MS * MS)

    def at(self, when_ms: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(when_ms, self.now_ms), next(self._order), what))

    def run(self) -> None:
        end_ms = self.units * UNIT_MS + 200
        for number in range(self.units):
            self._schedule_triggers(number)
        for when_ms in range(0, end_ms, FRAME_MS):
            self.at(when_ms, self._frame)
        for when_ms in range(0, end_ms, 50):
            self.at(when_ms, self._expire)
        for when_ms in range(0, end_ms, 5000):
            self.at(when_ms + self.rng.randrange(4000), self._trouble)
        while self._agenda:
            self.now_ms, _order, what = heapq.heappop(self._agenda)
            what()
            self._note()
        self.now_ms = end_ms + 10 * DEADLINE_MS
        self.unit_trigger.interrupted(MissReason.SHUTTING_DOWN, "the end")
        self._note()
        self._publish(self.book.expire(self.now_ms * MS))
        self._publish(self.book.flush(MissReason.SHUTTING_DOWN))

    def _schedule_triggers(self, number: int) -> None:
        there_ms = number * UNIT_MS + self.rng.randrange(20)
        late_ms = self.rng.choice([0, 0, 1, 5, 30, 60, 200])
        at_ms = there_ms if self.rng.random() < 0.8 or late_ms else None
        for again in range(2 if self.rng.random() < 0.1 else 1):
            self.at(
                there_ms + late_ms + again * self.rng.randrange(400),
                lambda: self._trigger(number, at_ms),
            )

    def _trigger(self, number: int, at_ms: int | None) -> None:
        unit_id = f"u{number}"
        answer, frames = self.unit_trigger.trigger(
            Trigger(
                unit_id=unit_id,
                received_mono_ns=self.now_ms * MS,
                received_unix_ns=EPOCH_NS + self.now_ms * MS,
                at_unix_ns=None if at_ms is None else EPOCH_NS + at_ms * MS,
            )
        )
        self.counts[answer.outcome] += 1
        if answer.outcome is TriggerOutcome.ACCEPTED:
            assert answer.index == len(self.arrivals)
            self.arrivals.append(unit_id)
        self._inspect(frames)

    def _trouble(self) -> None:
        lasts_ms = self.rng.randrange(1500)
        draw = self.rng.random()
        if draw < 0.35:
            self.camera_until_ms = self.now_ms + lasts_ms
            self.unit_trigger.interrupted(MissReason.CAMERA_LOST, "unplugged")
        elif draw < 0.5:
            self.frozen_until_ms = self.now_ms + lasts_ms
            self.unit_trigger.interrupted(MissReason.CAMERA_FROZEN, "same picture")
        else:
            self.model_until_ms = self.now_ms + lasts_ms

    def _frame(self) -> None:
        if self.now_ms < self.camera_until_ms or self.rng.random() < 0.01:
            return
        sequence = self.counts["captured"]
        self.counts["captured"] += 1
        self.was_there[sequence] = self.now_ms // UNIT_MS
        captured_ns = self.now_ms * MS
        ref = FrameRef(
            camera_id=CAMERA,
            sequence=sequence,
            captured_mono_ns=captured_ns,
            captured_unix_ns=EPOCH_NS + captured_ns,
        )
        if self.now_ms < self.frozen_until_ms:
            self._miss(ref, MissReason.CAMERA_FROZEN)
        elif self.rng.random() < 0.05:
            self._miss(ref, self.rng.choice([MissReason.NO_BUFFER, MissReason.UNREADABLE]))
        else:
            self.leases.append(Lease())
            self._inspect(self.unit_trigger.observe(Frame(ref=ref, lease=self.leases[-1])))

    def _miss(self, ref: FrameRef, reason: MissReason) -> None:
        missed = self.unit_trigger.missed(MissedFrame(ref=ref, reason=reason))
        if missed.ref.unit is None:
            self.counts["missed"] += 1
        else:
            self._settle_later(FrameResult(ref=missed.ref, findings=None, miss=reason), 0)

    def _inspect(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            frame.lease.release()
            ref = frame.ref
            assert ref.unit is not None
            miss = None
            if self.now_ms < self.model_until_ms:
                miss = MissReason.MODEL_UNAVAILABLE
            elif self.rng.random() < 0.03:
                miss = self.rng.choice([MissReason.LANE_FULL, MissReason.MALFORMED_REPLY])
            shown = (DEFECT,) if self.was_there[ref.sequence] in self.bad else ()
            result = FrameResult(ref=ref, findings=None if miss else shown, miss=miss)
            slow = self.rng.random() < 0.02
            self._settle_later(result, self.rng.randrange(2000 if slow else 80))

    def _settle_later(self, result: FrameResult, after_ms: int) -> None:
        def settle() -> None:
            self.counts["inspected" if result.miss is None else "missed"] += 1
            self._publish(self.book.expire(self.now_ms * MS))
            decided = self.book.settled(result)
            if decided is None:
                self.counts["late"] += 1
            else:
                self._publish(decided)

        self.at(self.now_ms + after_ms, settle)

    def _expire(self) -> None:
        self.unit_trigger.expire(self.now_ms * MS)
        self._note()
        self._publish(self.book.expire(self.now_ms * MS))

    def _note(self) -> None:
        """What was announced comes before any frame of it: as the results stage does it."""
        for notice in self.notices:
            if isinstance(notice, UnitOpened):
                self.book.opened(notice)
            elif isinstance(notice, UnitClosed):
                self._publish(self.book.closed(notice))
        self.notices.clear()

    def _publish(self, decided: Iterable[DecidedUnit]) -> None:
        for unit in decided:
            number = unit.unit.index + 1
            self.verdicts.append(judge(unit, unit_number=number, recipe=self.job.recipe))


def check(line: Line) -> None:
    captured = line.counts["captured"]
    assert captured == line.counts["inspected"] + line.counts["idle"] + line.counts["missed"]
    assert all(lease.released == 1 for lease in line.leases)
    assert len(line.verdicts) == line.counts[TriggerOutcome.ACCEPTED] == line.units
    assert [v.unit.given_id for v in line.verdicts] == line.arrivals
    assert [v.unit_number for v in line.verdicts] == list(range(1, line.units + 1))
    for verdict in line.verdicts:
        number = int((verdict.unit.given_id or "")[1:])
        looked = [f for f in verdict.frames if f.findings is not None]
        if verdict.result is Result.PASSED:
            assert len(looked) == line.frames_of_unit == verdict.frames_expected
            assert number not in line.bad
        if verdict.result is Result.FAILED:
            assert number in line.bad
        # And what was looked at was this unit.
        assert {line.was_there[f.ref.sequence] for f in looked} <= {number}
        assert verdict.result is not Result.ERROR
        assert (verdict.reason is None) == (verdict.result in (Result.PASSED, Result.FAILED))


@pytest.mark.parametrize(("seed", "frames_of_unit"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_each_of_ten_thousand_units_gets_its_one_true_verdict(
    seed: int, frames_of_unit: int
) -> None:
    line = Line(seed, units=2500, frames_of_unit=frames_of_unit)
    line.run()
    check(line)
    told = Counter(verdict.reason or verdict.result.value for verdict in line.verdicts)
    # The run was worth something: everything that can happen to a unit happened.
    for outcome in (
        "PASSED",
        "FAILED",
        "frame_dropped",
        "frame_unreadable",
        "model_unavailable",
        "malformed_reply",
        "camera_lost",
        "camera_frozen",
        "no_frame",
        "deadline_missed",
    ):
        assert told[outcome] >= 3, told
    assert line.counts[TriggerOutcome.DOUBLED] > 100
    assert line.counts["late"] > 5


def test_the_check_notices_a_unit_that_passed_unseen() -> None:
    line = Line(5, units=50, frames_of_unit=2)
    line.run()
    check(line)
    unseen = next(i for i, v in enumerate(line.verdicts) if v.result is Result.NOT_INSPECTED)
    line.verdicts[unseen] = replace(line.verdicts[unseen], result=Result.PASSED, reason=None)
    with pytest.raises(AssertionError):
        check(line)
