from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.batching.window import BatchWindow
from inspector.core.records import CameraId, Frame, FrameRef, Image

MS = 1_000_000


class NoLease:
    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def frame(sequence: int) -> Frame:
    ref = FrameRef(
        camera_id=CameraId("a"), sequence=sequence, captured_mono_ns=0, captured_unix_ns=0
    )
    return Frame(ref=ref, lease=NoLease())


def test_a_full_window_is_due() -> None:
    window = BatchWindow(max_regions=2, max_wait_ns=10 * MS)
    window.add(frame(0), 0)
    window.add(frame(1), 1)
    assert window.is_full
    assert window.is_due(1)
    assert [f.ref.sequence for f in window.flush()] == [0, 1]
    assert not window.is_due(10**12)
    assert window.deadline_ns is None


def test_a_lone_slow_cameras_frames_leave_at_once() -> None:
    window = BatchWindow(max_regions=4, max_wait_ns=2 * MS)
    waits = []
    for number in range(30):
        now_ns = number * 40 * MS
        window.add(frame(number), now_ns)
        assert window.deadline_ns is not None
        waits.append(window.deadline_ns - now_ns)
        window.flush()
    assert waits[5:] == [0] * 25


def test_frames_that_come_fast_wait_for_company() -> None:
    window = BatchWindow(max_regions=4, max_wait_ns=2 * MS)
    for number in range(40):
        window.add(frame(number), number * MS // 2)
        if window.is_full:
            window.flush()
    window.flush()
    now_ns = 40 * MS // 2
    window.add(frame(40), now_ns)
    assert window.deadline_ns is not None
    assert MS < window.deadline_ns - now_ns <= 2 * MS


def test_a_frame_counts_as_many_regions_as_it_becomes() -> None:
    window = BatchWindow(max_regions=4, max_wait_ns=2 * MS)
    window.add(frame(0), 0, regions=3)
    assert not window.is_full
    window.add(frame(1), 1, regions=3)
    assert window.is_full
    assert window.is_due(1)
    assert [f.ref.sequence for f in window.flush()] == [0, 1]
    assert not window.is_full


def test_a_frame_that_fills_a_request_alone_waits_for_nobody() -> None:
    window = BatchWindow(max_regions=4, max_wait_ns=2 * MS)
    for number in range(20):
        window.add(frame(number), number * MS, regions=20)
        assert window.is_due(number * MS)
        assert window.deadline_ns == number * MS
        window.flush()


@given(st.lists(st.integers(0, 20 * MS), max_size=60), st.integers(1, 5), st.integers(0, 10 * MS))
def test_no_frame_waits_longer_than_allowed_and_none_is_lost(
    gaps_ns: list[int], max_regions: int, max_wait_ns: int
) -> None:
    window = BatchWindow(max_regions=max_regions, max_wait_ns=max_wait_ns)
    now_ns, sent, began_ns = 0, [], 0
    for number, gap_ns in enumerate(gaps_ns):
        now_ns += gap_ns
        if window.is_due(now_ns):
            sent += [f.ref.sequence for f in window.flush()]
        if window.deadline_ns is None:
            began_ns = now_ns
        window.add(frame(number), now_ns)
        assert window.deadline_ns is not None
        assert began_ns <= window.deadline_ns <= began_ns + max_wait_ns
    sent += [f.ref.sequence for f in window.flush()]
    assert sent == list(range(len(gaps_ns)))
