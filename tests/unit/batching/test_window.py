from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.batching.window import BatchWindow, ModelWindows
from inspector.core.recipes import ModelName
from inspector.core.records import CameraId, Frame, FrameRef, Image
from inspector.flow.model_pace import ModelPaces

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


ONE, OTHER = ModelName(name="one"), ModelName(name="other")


def windows(*, max_regions: int = 4, max_wait_ns: int = 2 * MS) -> ModelWindows:
    return ModelWindows(
        max_regions=max_regions, max_wait_ns=max_wait_ns, paces=ModelPaces(keeps_fresh=False)
    )


def test_a_request_holds_frames_for_one_model_only() -> None:
    both = windows()
    for number, model in enumerate((ONE, OTHER, ONE)):
        both.add(frame(number), model, number)
    assert [f.ref.sequence for f in both.flush(ONE)] == [0, 2]
    assert [f.ref.sequence for f in both.flush(OTHER)] == [1]
    assert both.deadline_ns is None
    assert both.due(10**12) is None


def test_together_they_hold_no_more_than_one_request_takes() -> None:
    both = windows(max_wait_ns=10**12)
    for number in range(4):
        assert not both.is_full
        both.add(frame(number), (ONE, OTHER)[number % 2], number)
    assert both.is_full
    assert both.due(4) == ONE, "the one that waited longest makes room"
    both.flush(ONE)
    assert not both.is_full


def test_a_model_that_is_asked_seldom_is_not_starved_by_one_that_is_asked_all_the_time() -> None:
    both, sent = windows(), list[ModelName]()
    now_ns = 0
    for number in range(40):  # learns that more comes soon
        both.add(frame(number), ONE, now_ns := number * MS // 4)
        if both.is_full:
            both.flush(ONE)
    both.flush(ONE)
    both.add(frame(98), OTHER, now_ns)
    both.flush(OTHER)
    both.add(frame(99), OTHER, asked_ns := now_ns + MS // 8)
    number = 100
    while OTHER not in sent:
        now_ns += MS // 4
        if not both.is_full:
            both.add(frame(number := number + 1), ONE, now_ns)
        if (model := both.due(now_ns)) is not None:
            both.flush(model)
            sent.append(model)
    assert now_ns - asked_ns <= 2 * MS


@given(st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.integers(1, 6)), max_size=60))
def test_every_frame_leaves_once_in_order_and_with_its_own_model(
    asked: list[tuple[ModelName, int]],
) -> None:
    both = windows()
    left: dict[ModelName, list[int]] = {ONE: [], OTHER: []}

    def send(model: ModelName) -> None:
        left[model] += [f.ref.sequence for f in both.flush(model)]

    for number, (model, regions) in enumerate(asked):
        both.add(frame(number), model, number * MS, regions)
        while (due := both.due(number * MS)) is not None:
            send(due)
        assert not both.is_full
    while (model_left := both.any_open()) is not None:
        send(model_left)
    for model, numbers in left.items():
        assert numbers == [n for n, (asked_for, _) in enumerate(asked) if asked_for == model]
