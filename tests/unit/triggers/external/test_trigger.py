from __future__ import annotations

import threading
from collections.abc import Iterable

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
    TriggerKind,
    UnitClosed,
    UnitOpened,
)
from inspector.triggers.external.messages import Trigger, TriggerAnswer, TriggerOutcome
from inspector.triggers.external.trigger import (
    DOUBLED_WITHIN_NS,
    FRAMES_HELD,
    REMEMBERED_IDS,
    ExternalTrigger,
)
from tests.kit import jobs

CAMERA = CameraId("a")
MS = 1_000_000
BOOT_NS = 1_000_000 * MS
"""Monotonic time is small, wall clock time is large."""
EPOCH_NS = 1_767_225_600 * 1_000_000_000
ACCEPTED = TriggerOutcome.ACCEPTED


class Lease:
    def __init__(self) -> None:
        self.released = 0

    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        self.released += 1


def ref(at_ms: float) -> FrameRef:
    return FrameRef(
        camera_id=CAMERA,
        sequence=round(at_ms),
        captured_mono_ns=BOOT_NS + round(at_ms * MS),
        captured_unix_ns=EPOCH_NS + round(at_ms * MS),
    )


class Station:
    """A trigger and all it says; times are in milliseconds."""

    def __init__(self, *, frames_of_unit: int = 1, wait_ms: float = 500) -> None:
        self.notices: list[Notice] = []
        self.idle: list[int] = []
        self.leases: dict[int, Lease] = {}
        self.job = jobs.job(frames_of_unit=frames_of_unit)
        self.unit_trigger = ExternalTrigger(
            CAMERA,
            job_now=lambda: self.job,
            wait_ns=round(wait_ms * MS),
            announce=self.notices.append,
            on_idle=lambda ref: self.idle.append(ref.sequence),
        )

    def frame(self, at_ms: int) -> list[tuple[int, str | None]]:
        """Returns which frames are to be inspected now, and for which unit."""
        self.leases[at_ms] = Lease()
        return served(self.unit_trigger.observe(Frame(ref=ref(at_ms), lease=self.leases[at_ms])))

    def missed(self, at_ms: int, reason: MissReason = MissReason.UNREADABLE) -> str | None:
        unit = self.unit_trigger.missed(MissedFrame(ref=ref(at_ms), reason=reason)).ref.unit
        return None if unit is None else unit.given_id

    def trigger(
        self, unit_id: str, received_ms: float, at_ms: float | None = None, too_late: str = ""
    ) -> tuple[TriggerAnswer, list[tuple[int, str | None]]]:
        answer, frames = self.unit_trigger.trigger(
            Trigger(
                unit_id=unit_id,
                received_mono_ns=BOOT_NS + round(received_ms * MS),
                received_unix_ns=EPOCH_NS + round(received_ms * MS),
                at_unix_ns=None if at_ms is None else EPOCH_NS + round(at_ms * MS),
                too_late=too_late,
            )
        )
        return answer, served(frames)

    def expire(self, now_ms: float) -> None:
        self.unit_trigger.expire(BOOT_NS + round(now_ms * MS))

    @property
    def opened(self) -> list[str | None]:
        return [n.unit.given_id for n in self.notices if isinstance(n, UnitOpened)]

    @property
    def closed(self) -> list[tuple[str | None, MissReason | None]]:
        return [(n.unit.given_id, n.miss) for n in self.notices if isinstance(n, UnitClosed)]

    def held(self) -> list[int]:
        return [at for at, lease in self.leases.items() if not lease.released]


def served(frames: Iterable[Frame]) -> list[tuple[int, str | None]]:
    return [(f.ref.sequence, f.ref.unit.given_id if f.ref.unit else None) for f in frames]


def test_the_first_frame_after_a_trigger_serves_it() -> None:
    station = Station()
    station.frame(0)
    answer, now = station.trigger("u1", 10)
    assert (answer.outcome, answer.index, now) == (ACCEPTED, 0, [])
    assert station.frame(33) == [(33, "u1")]
    assert station.frame(66) == []
    assert station.closed == [("u1", None)]
    (opened, closed) = station.notices
    assert isinstance(opened, UnitOpened)
    assert isinstance(closed, UnitClosed)
    assert (opened.unit.kind, opened.frames_expected) == (TriggerKind.EXTERNAL, None)
    assert opened.unit.triggered_mono_ns == BOOT_NS + 10 * MS
    assert opened.unit.triggered_unix_ns == EPOCH_NS + 10 * MS
    assert closed.frames_expected == 1


def test_a_trigger_that_comes_late_is_served_by_the_frame_nearest_to_its_time() -> None:
    station = Station()
    for at_ms in (0, 33, 66):
        station.frame(at_ms)
    _answer, now = station.trigger("u1", 80, at_ms=20)
    assert now == [(33, "u1")]
    assert station.closed == [("u1", None)]
    assert station.frame(99) == []


def test_a_frame_before_the_triggers_time_never_serves_it() -> None:
    station = Station()
    station.frame(33)
    assert station.trigger("u1", 40, at_ms=34)[1] == []
    assert station.frame(66) == [(66, "u1")]


def test_several_frames_serve_a_unit_where_it_takes_several() -> None:
    station = Station(frames_of_unit=3)
    station.frame(0)
    station.frame(33)
    assert station.trigger("u1", 40, at_ms=20)[1] == [(33, "u1")]
    assert station.closed == []
    assert station.frame(66) == [(66, "u1")]
    assert station.frame(99) == [(99, "u1")]
    assert station.closed == [("u1", None)]
    assert station.frame(132) == []


def test_only_the_newest_frames_are_held_and_the_rest_are_idle() -> None:
    station = Station()
    for at_ms in range(0, 330, 33):
        station.frame(at_ms)
    assert station.held() == [264, 297]
    assert len(station.held()) == FRAMES_HELD
    assert station.idle == list(range(0, 264, 33))
    assert all(lease.released <= 1 for lease in station.leases.values())


def test_a_trigger_that_no_frame_follows_is_answered_after_its_wait() -> None:
    station = Station()
    station.trigger("u1", 10)
    assert station.unit_trigger.next_expiry_ns == BOOT_NS + 510 * MS
    station.expire(509)
    assert station.closed == []
    station.expire(510)
    assert station.closed == [("u1", MissReason.NO_FRAME)]
    assert station.unit_trigger.next_expiry_ns is None
    assert station.frame(520) == []


def test_a_frame_that_comes_after_the_wait_does_not_serve() -> None:
    station = Station()
    station.trigger("u1", 10)
    assert station.frame(511) == []
    assert station.closed == [("u1", MissReason.NO_FRAME)]


def test_a_unit_that_gets_some_of_its_frames_is_closed_a_wait_after_the_last() -> None:
    station = Station(frames_of_unit=3)
    station.trigger("u1", 0)
    station.frame(30)
    station.expire(529)
    assert station.closed == []
    station.expire(530)
    (_opened, closed) = station.notices
    assert isinstance(closed, UnitClosed)
    assert (closed.miss, closed.frames_expected) == (MissReason.NO_FRAME, 3)
    assert closed.detail == "1 of 3 frames within 500 ms"


def test_a_frame_serves_the_latest_trigger_and_ends_the_units_before() -> None:
    """Of a unit whose frame never came, the next unit's frame must not be inspected."""
    station = Station()
    station.trigger("u1", 10)
    station.trigger("u2", 300)
    assert station.frame(310) == [(310, "u2")]
    assert station.closed == [("u1", MissReason.NO_FRAME), ("u2", None)]
    assert station.frame(343) == []


def test_triggers_of_the_same_moment_are_served_in_turn() -> None:
    station = Station()
    station.trigger("left", 10, at_ms=5)
    station.trigger("right", 11, at_ms=5)
    assert station.frame(33) == [(33, "left")]
    assert station.frame(66) == [(66, "right")]
    assert station.closed == [("left", None), ("right", None)]


@pytest.mark.parametrize("skew_ns", [-30_000, 30_000])
def test_two_readings_of_a_clock_do_not_tell_triggers_of_one_moment_apart(skew_ns: int) -> None:
    station = Station()
    for unit_id, off_ns in (("left", 0), ("right", skew_ns)):
        received = Trigger(
            unit_id=unit_id,
            received_mono_ns=BOOT_NS + 10 * MS + off_ns,
            received_unix_ns=EPOCH_NS + 10 * MS,
            at_unix_ns=EPOCH_NS + 5 * MS,
        )
        station.unit_trigger.trigger(received)
    assert station.frame(33) == [(33, "left")]
    assert station.frame(66) == [(66, "right")]
    assert station.closed == [("left", None), ("right", None)]


def test_triggers_out_of_order_get_the_frames_of_their_own_time() -> None:
    station = Station()
    station.frame(10)
    station.frame(110)
    assert station.trigger("second", 120, at_ms=105)[1] == [(110, "second")]
    assert station.trigger("first", 121, at_ms=5)[1] == [(10, "first")]
    assert station.closed == [("second", None), ("first", None)]


def test_a_frame_after_the_next_trigger_does_not_serve_one_that_comes_late() -> None:
    station = Station()
    station.trigger("second", 100)
    assert station.trigger("first", 101, at_ms=5)[0].outcome is ACCEPTED
    assert station.frame(110) == [(110, "second")]
    assert dict(station.closed)["first"] is MissReason.NO_FRAME


def test_the_same_trigger_twice_is_answered_once() -> None:
    station = Station()
    station.trigger("u1", 0)
    answer, now = station.trigger("u1", 5)
    assert (answer.outcome, answer.index, now) == (TriggerOutcome.DOUBLED, 0, [])
    station.frame(10)
    assert station.trigger("u1", 2000)[0].outcome is TriggerOutcome.DOUBLED
    assert (station.opened, station.closed) == (["u1"], [("u1", None)])


def test_a_unit_that_comes_back_later_is_inspected_again() -> None:
    station = Station()
    station.trigger("u1", 0)
    later_ms = DOUBLED_WITHIN_NS / MS + 1
    answer, _now = station.trigger("u1", later_ms)
    assert (answer.outcome, answer.index) == (ACCEPTED, 1)
    assert station.trigger("u1", later_ms + 5)[0].index == 1


def test_a_unit_answered_before_the_start_is_known() -> None:
    station = Station()
    station.unit_trigger.remember("u1", BOOT_NS)
    assert station.trigger("u1", 50)[0] == TriggerAnswer(outcome=TriggerOutcome.DOUBLED, index=-1)
    assert station.opened == []


def test_what_is_remembered_of_units_is_bounded() -> None:
    station = Station()
    for number in range(REMEMBERED_IDS + 500):
        station.trigger(f"u{number}", 0.0001 * number)
        station.expire(10**6)
    assert len(station.unit_trigger._ids) <= REMEMBERED_IDS
    assert len(station.closed) == REMEMBERED_IDS + 500


def test_a_missed_frame_costs_its_unit_the_frame() -> None:
    """Were the next one taken in its place, of a triggered camera it would be the next unit's."""
    station = Station()
    station.trigger("u1", 0)
    assert station.missed(10) == "u1"
    assert station.closed == [("u1", None)]
    station.trigger("u2", 300)
    assert station.frame(310) == [(310, "u2")]


def test_a_frame_missed_before_its_late_trigger_costs_the_unit_too() -> None:
    station = Station()
    assert station.missed(10) is None
    assert station.trigger("u1", 20, at_ms=5)[1] == []
    assert station.closed == [("u1", MissReason.UNREADABLE)]
    assert station.frame(43) == []


def test_a_missed_frame_that_serves_nobody_has_no_unit() -> None:
    station = Station()
    assert station.missed(10) is None
    station.trigger("u1", 20)
    assert station.frame(43) == [(43, "u1")]


def test_held_frames_give_way_when_buffers_run_out() -> None:
    station = Station()
    station.frame(0)
    station.frame(33)
    station.missed(66, MissReason.NO_BUFFER)
    assert station.held() == [33]
    station.missed(99, MissReason.NO_BUFFER)
    assert station.held() == []


def test_a_lost_camera_closes_the_units_that_wait_and_gives_its_buffers_back() -> None:
    station = Station(frames_of_unit=2)
    station.frame(0)
    station.trigger("u1", 10)
    station.frame(33)
    station.frame(40)
    station.trigger("u2", 50)
    assert station.unit_trigger.interrupted(MissReason.CAMERA_LOST, "unplugged") == []
    assert station.closed == [("u1", None), ("u2", MissReason.CAMERA_LOST)]
    assert station.idle == [0]


def test_a_trigger_while_the_camera_is_lost_says_so_unless_it_comes_back() -> None:
    station = Station()
    station.unit_trigger.interrupted(MissReason.CAMERA_LOST, "unplugged")
    station.trigger("u1", 10)
    station.expire(510)
    station.trigger("u2", 600)
    assert station.frame(700) == [(700, "u2")]
    station.trigger("u3", 800)
    station.expire(1300)
    assert station.closed == [
        ("u1", MissReason.CAMERA_LOST),
        ("u2", None),
        ("u3", MissReason.NO_FRAME),
    ]


def test_a_frozen_camera_never_serves() -> None:
    station = Station()
    station.unit_trigger.interrupted(MissReason.CAMERA_FROZEN, "same picture")
    station.trigger("u1", 10)
    assert station.missed(33, MissReason.CAMERA_FROZEN) == "u1"
    station.trigger("u2", 400)
    station.expire(900)
    assert station.closed == [("u1", None), ("u2", MissReason.CAMERA_FROZEN)]


def test_triggers_while_stopping_are_answered() -> None:
    station = Station()
    station.trigger("u1", 0)
    station.unit_trigger.interrupted(MissReason.SHUTTING_DOWN, "the service stops")
    assert station.trigger("u2", 10)[0].outcome is ACCEPTED
    assert station.closed == [
        ("u1", MissReason.SHUTTING_DOWN),
        ("u2", MissReason.SHUTTING_DOWN),
    ]
    assert station.opened == ["u1", "u2"]


@pytest.mark.parametrize("at_ms", [-3_600_000, -501])
def test_a_trigger_of_long_ago_is_answered_at_once(at_ms: float) -> None:
    station = Station()
    station.frame(0)
    station.trigger("u1", 10, at_ms=at_ms)
    assert station.closed == [("u1", MissReason.NO_FRAME)]
    opened = station.notices[0]
    assert isinstance(opened, UnitOpened)
    assert opened.unit.triggered_mono_ns == BOOT_NS + 10 * MS
    assert opened.unit.triggered_unix_ns == EPOCH_NS + at_ms * MS
    assert station.frame(20) == []


def test_a_trigger_from_a_clock_that_is_far_ahead_is_answered_at_once() -> None:
    station = Station()
    station.trigger("u1", 10, at_ms=3_600_010)
    assert station.closed == [("u1", MissReason.NO_FRAME)]
    closed = station.notices[-1]
    assert isinstance(closed, UnitClosed)
    assert closed.detail == "its time is 3600.0 s ahead of our clock"
    station.trigger("u2", 20)
    assert station.frame(33) == [(33, "u2")]


def test_a_trigger_a_little_ahead_of_time_waits_for_its_frame() -> None:
    station = Station()
    station.trigger("u1", 10, at_ms=50)
    assert station.frame(33) == []
    assert station.frame(66) == [(66, "u1")]


def test_a_trigger_that_is_only_to_be_answered_takes_no_frame() -> None:
    station = Station()
    station.frame(0)
    assert station.trigger("u1", 5, at_ms=0, too_late="it came before")[1] == []
    closed = station.notices[-1]
    assert isinstance(closed, UnitClosed)
    assert (closed.miss, closed.detail) == (MissReason.NO_FRAME, "it came before")
    assert station.trigger("u2", 6, at_ms=0)[1] == [(0, "u2")]


def test_triggers_and_frames_from_two_threads_end_in_one_order() -> None:
    station = Station(wait_ms=1e6)
    answers: list[TriggerAnswer] = []
    count = 2000

    def capture() -> None:
        for at_ms in range(count):
            station.frame(at_ms)

    thread = threading.Thread(target=capture)
    thread.start()
    answers.extend(station.trigger(f"u{n}", n * 0.9)[0] for n in range(count))
    thread.join()
    station.unit_trigger.interrupted(MissReason.SHUTTING_DOWN, "")
    assert [a.index for a in answers] == list(range(count))
    assert station.opened == [f"u{n}" for n in range(count)]
    assert sorted(unit or "" for unit, _miss in station.closed) == sorted(
        f"u{n}" for n in range(count)
    )
    opened: set[str | None] = set()
    for notice in station.notices:
        if isinstance(notice, UnitOpened):
            opened.add(notice.unit.given_id)
        elif isinstance(notice, UnitClosed):
            assert notice.unit.given_id in opened
    taken = sum(1 for _unit, miss in station.closed if miss is None)
    assert taken + len(station.idle) == count
    assert len(station.held()) == taken
