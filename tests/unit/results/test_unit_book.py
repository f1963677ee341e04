from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import (
    CameraId,
    FrameRef,
    MissReason,
    TriggerKind,
    UnitClosed,
    UnitOpened,
    UnitRef,
)
from inspector.core.verdicts import DecidedUnit, FrameResult
from inspector.results.unit_book import REMEMBERED_UNITS, UnitBook
from tests.kit import jobs

CAMERA = CameraId("a")
MS = 1_000_000
DEADLINE_NS = 2000 * MS


def unit(index: int, of_unit: int = 3) -> UnitRef:
    """Units come every 100 ms."""
    return UnitRef(
        camera_id=CAMERA,
        index=index,
        kind=TriggerKind.PRESENCE,
        triggered_mono_ns=index * 100 * MS,
        triggered_unix_ns=0,
        job=jobs.job(frames_of_unit=of_unit),
    )


def frame(index: int | None, sequence: int, miss: MissReason | None = None) -> FrameResult:
    ref = FrameRef(
        camera_id=CAMERA,
        sequence=sequence,
        captured_mono_ns=0,
        captured_unix_ns=0,
        unit=None if index is None else unit(index),
    )
    return FrameResult(ref=ref, findings=None if miss else (), miss=miss)


def closed(
    index: int, expected: int, miss: MissReason | None = None, frames_taken: int | None = None
) -> UnitClosed:
    return UnitClosed(
        unit=unit(index),
        frames_expected=expected,
        frames_taken=expected if frames_taken is None else frames_taken,
        miss=miss,
    )


def book(opened: int = 0, *, deadline_ns: int | None = DEADLINE_NS, of_unit: int = 3) -> UnitBook:
    pages = UnitBook(CAMERA, deadline_ns=deadline_ns)
    for index in range(opened):
        pages.opened(UnitOpened(unit=unit(index, of_unit)))
    return pages


def indexes(units: list[DecidedUnit] | None) -> list[int]:
    return [decided.unit.index for decided in units or ()]


def test_a_unit_is_decided_once_it_is_closed_and_all_its_frames_are_settled() -> None:
    pages = book(1)
    assert pages.settled(frame(0, 5)) == []
    assert pages.closed(closed(0, 3)) == []
    assert pages.settled(frame(0, 9, MissReason.STALE)) == []
    (decided,) = pages.settled(frame(0, 7)) or []
    assert [f.ref.sequence for f in decided.frames] == [5, 7, 9]
    assert (decided.frames_expected, decided.miss, decided.deadline_missed) == (3, None, False)
    assert (pages.undecided, pages.waiting) == (0, 0)


def test_a_closing_may_come_last() -> None:
    pages = book(1)
    for sequence in range(2):
        assert pages.settled(frame(0, sequence)) == []
    assert indexes(pages.closed(closed(0, 2))) == [0]


def test_a_unit_whose_frames_are_known_from_the_start_needs_no_closing() -> None:
    pages = book()
    pages.opened(UnitOpened(unit=unit(0), frames_expected=1))
    assert indexes(pages.settled(frame(0, 0))) == [0]


def test_verdicts_leave_in_the_order_units_came() -> None:
    pages = book()
    for index in range(3):
        pages.opened(UnitOpened(unit=unit(index), frames_expected=1))
    assert pages.settled(frame(2, 2)) == []
    assert pages.settled(frame(1, 1, MissReason.LANE_FULL)) == []
    assert pages.waiting == 2
    assert indexes(pages.settled(frame(0, 0))) == [0, 1, 2]


def test_a_unit_cut_short_is_decided_with_the_frames_it_has() -> None:
    pages = book(1)
    pages.settled(frame(0, 0))
    (decided,) = pages.closed(closed(0, 3, MissReason.CAMERA_LOST, frames_taken=1))
    assert (decided.frames_expected, len(decided.frames)) == (3, 1)
    assert decided.miss is MissReason.CAMERA_LOST


def test_a_unit_without_any_frame_is_decided_when_it_is_closed() -> None:
    pages = book(1)
    (decided,) = pages.closed(closed(0, 3, MissReason.NO_FRAME, frames_taken=0))
    assert (decided.frames, decided.miss) == ((), MissReason.NO_FRAME)


def test_a_unit_cut_short_waits_for_the_frames_under_way() -> None:
    pages = book(1)
    assert pages.closed(closed(0, 3, MissReason.CAMERA_LOST, frames_taken=2)) == []
    assert pages.settled(frame(0, 0)) == []
    assert indexes(pages.settled(frame(0, 1, MissReason.STALE))) == [0]


def test_a_unit_still_undecided_at_its_deadline_is_decided_then() -> None:
    pages = book(2)
    pages.settled(frame(0, 0))
    assert pages.next_deadline_ns == DEADLINE_NS
    assert pages.expire(DEADLINE_NS - 1) == []
    (decided,) = pages.expire(DEADLINE_NS)
    assert decided.miss is MissReason.DEADLINE_MISSED
    assert decided.deadline_missed
    assert (decided.frames_expected, len(decided.frames)) == (3, 1)
    assert pages.next_deadline_ns == DEADLINE_NS + 100 * MS


def test_a_unit_still_in_view_at_its_deadline_is_a_frame_short_at_least() -> None:
    pages = book(1, of_unit=2)
    for sequence in range(2):
        pages.settled(frame(0, sequence))
    (decided,) = pages.expire(DEADLINE_NS)
    assert decided.frames_expected == 3


def test_at_the_deadline_the_reason_of_the_closing_stays() -> None:
    pages = book(1)
    pages.closed(closed(0, 3, MissReason.CAMERA_LOST, frames_taken=1))
    (decided,) = pages.expire(DEADLINE_NS)
    assert decided.miss is MissReason.CAMERA_LOST
    assert decided.deadline_missed


def test_what_comes_after_the_deadline_is_late() -> None:
    pages = book(1)
    assert indexes(pages.expire(DEADLINE_NS)) == [0]
    assert pages.settled(frame(0, 0)) is None
    assert pages.settled(frame(0, 1, MissReason.STALE)) is None
    assert pages.closed(closed(0, 2)) == []
    assert pages.expire(DEADLINE_NS * 9) == []


def test_a_frame_missed_after_its_unit_was_decided_is_no_bug() -> None:
    pages = book(1)
    assert indexes(pages.closed(closed(0, 3, MissReason.CAMERA_LOST, frames_taken=0))) == [0]
    assert pages.settled(frame(0, 0, MissReason.SHUTTING_DOWN)) is None


def test_a_decided_unit_waits_for_an_earlier_one_at_most_until_its_deadline() -> None:
    pages = book(2)
    assert pages.closed(closed(1, 1, MissReason.NO_FRAME, frames_taken=0)) == []
    assert indexes(pages.expire(DEADLINE_NS)) == [0, 1]


def test_recordings_have_no_deadline() -> None:
    pages = book(1, deadline_ns=None)
    assert pages.next_deadline_ns is None
    assert pages.expire(10**18) == []
    assert pages.undecided == 1


def test_at_the_end_every_unit_is_decided_in_order() -> None:
    pages = book(4, deadline_ns=None)
    pages.settled(frame(1, 1))
    pages.closed(closed(2, 1))
    pages.settled(frame(2, 2))
    pages.closed(closed(3, 2, MissReason.CAMERA_LOST, frames_taken=1))
    decided = pages.flush(MissReason.SHUTTING_DOWN, "over")
    assert indexes(decided) == [0, 1, 2, 3]
    assert [d.miss for d in decided] == [
        MissReason.SHUTTING_DOWN,
        MissReason.SHUTTING_DOWN,
        None,
        MissReason.CAMERA_LOST,
    ]
    assert not any(d.deadline_missed for d in decided)
    assert (pages.undecided, pages.waiting, pages.flush(MissReason.SHUTTING_DOWN)) == (0, 0, [])


def test_bugs_are_loud() -> None:
    pages = book(1)
    with pytest.raises(RuntimeError, match="expected unit 1"):
        pages.opened(UnitOpened(unit=unit(0)))
    with pytest.raises(RuntimeError, match="expected unit 1"):
        pages.opened(UnitOpened(unit=unit(2)))
    with pytest.raises(RuntimeError, match="belongs to no unit"):
        pages.settled(frame(None, 0))
    with pytest.raises(RuntimeError, match="before unit 1 was opened"):
        pages.settled(frame(1, 0))
    with pytest.raises(RuntimeError, match="never opened"):
        pages.closed(closed(1, 1))
    pages.settled(frame(0, 0))
    with pytest.raises(RuntimeError, match="settled twice"):
        pages.settled(frame(0, 0))
    pages.closed(closed(0, 2))
    with pytest.raises(RuntimeError, match="closed twice"):
        pages.closed(closed(0, 2))


def test_a_second_settlement_or_closing_is_a_bug_after_the_verdict_too() -> None:
    pages = book(1)
    pages.settled(frame(0, 0))
    pages.closed(closed(0, 1))
    with pytest.raises(RuntimeError, match="settled twice"):
        pages.settled(frame(0, 0))
    with pytest.raises(RuntimeError, match="closed twice"):
        pages.closed(closed(0, 1))
    late = book(1)
    late.expire(DEADLINE_NS)
    late.settled(frame(0, 3))
    late.closed(closed(0, 1))
    with pytest.raises(RuntimeError, match="settled twice"):
        late.settled(frame(0, 3))
    with pytest.raises(RuntimeError, match="closed twice"):
        late.closed(closed(0, 1))


def test_what_is_kept_of_decided_units_is_bounded() -> None:
    pages = book()
    for index in range(10 * REMEMBERED_UNITS):
        pages.opened(UnitOpened(unit=unit(index), frames_expected=1))
        assert indexes(pages.settled(frame(index, index))) == [index]
    assert len(pages._remembered) == len(pages._closed) == REMEMBERED_UNITS
    assert pages.settled(frame(0, 10**6)) is None


@given(st.data())
def test_every_unit_is_given_out_once_and_in_order_whatever_comes_when(data: st.DataObject) -> None:
    pages, given_out, now_ns = book(), [], 0
    steps: list[tuple[str, int, int]] = []
    for index in range(6):
        taken = data.draw(st.integers(0, 2))
        steps += [("frame", index, index * 10 + n) for n in range(taken)]
        steps.append(("close", index, taken))
        pages.opened(UnitOpened(unit=unit(index, 2)))
    for kind, index, number in data.draw(st.permutations(steps)):
        now_ns += data.draw(st.integers(0, 400)) * MS
        given_out += indexes(pages.expire(now_ns))
        if kind == "frame":
            given_out += indexes(pages.settled(frame(index, number)))
        else:
            miss = None if number == 2 else MissReason.NO_FRAME
            given_out += indexes(pages.closed(closed(index, 2, miss, frames_taken=number)))
    assert given_out == list(range(6))
    assert (pages.undecided, pages.waiting) == (0, 0)
