from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    MissedFrame,
    MissReason,
    TriggerKind,
    UnitOpened,
)
from inspector.flow.frame_pool import FramePool
from inspector.settings.types import Size
from inspector.triggers.every_frame import EveryFrame
from tests.kit import jobs


def reference(sequence: int) -> FrameRef:
    return FrameRef(
        camera_id=CameraId("top"),
        sequence=sequence,
        captured_mono_ns=1000 + sequence,
        captured_unix_ns=9000 + sequence,
        label=f"{sequence}.png",
    )


def test_each_frame_is_a_unit_that_is_told_before_it_is_handed_on() -> None:
    told: list[UnitOpened] = []
    pool = FramePool(buffers=1, size=Size(4, 4))
    lease = pool.lease()
    assert lease is not None
    (frame,) = EveryFrame(told.append, job_now=jobs.job).observe(
        Frame(ref=reference(7), lease=lease)
    )
    unit = frame.ref.unit
    assert unit is not None
    assert told == [UnitOpened(unit=unit, frames_expected=1)]
    assert (unit.index, unit.kind, unit.label) == (7, TriggerKind.EVERY_FRAME, "7.png")
    assert (unit.triggered_mono_ns, unit.triggered_unix_ns) == (1007, 9007)
    assert pool.free == 0, "the buffer goes on with the frame"
    assert np.shares_memory(frame.lease.image, lease.image)


def test_a_frame_that_cannot_be_looked_at_is_a_unit_too() -> None:
    told: list[UnitOpened] = []
    lost = MissedFrame(ref=reference(3), reason=MissReason.UNREADABLE, detail="torn")
    missed = EveryFrame(told.append, job_now=jobs.job).missed(lost)
    assert missed.ref.unit == told[0].unit
    assert (missed.reason, missed.detail) == (MissReason.UNREADABLE, "torn")
    assert told[0].unit.index == 3


def test_nothing_is_in_view_between_two_frames() -> None:
    told: list[UnitOpened] = []
    assert not EveryFrame(told.append, job_now=jobs.job).interrupted(MissReason.CAMERA_LOST, "gone")
    assert not told


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=30))
def test_each_frame_good_or_missed_is_one_unit_told_once_and_in_order(
    frames: list[tuple[int, bool]],
) -> None:
    told: list[UnitOpened] = []
    trigger, pool = EveryFrame(told.append, job_now=jobs.job), FramePool(buffers=1, size=Size(4, 4))
    sequence, expected = 0, []
    for step, is_missed in frames:
        sequence += step
        expected.append(sequence)
        if is_missed:
            lost = MissedFrame(ref=reference(sequence), reason=MissReason.LANE_FULL)
            ref = trigger.missed(lost).ref
        else:
            lease = pool.lease()
            assert lease is not None
            (frame,) = trigger.observe(Frame(ref=reference(sequence), lease=lease))
            ref = frame.ref
            frame.lease.release()
        assert ref.unit is told[-1].unit
        assert replace(ref, unit=None) == reference(sequence), "nothing else of it is changed"
    assert [one.unit.index for one in told] == expected
    assert {one.frames_expected for one in told} <= {1}
