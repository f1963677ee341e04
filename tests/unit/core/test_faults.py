from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.core.faults import NS_PER_S, Fault, FaultBoard, Progress


def test_only_changes_are_told() -> None:
    told: list[tuple[str, str, bool]] = []
    board = FaultBoard(lambda fault, raised: told.append((fault.kind, fault.cause, raised)))
    board.clear("triton")
    board.raise_fault("triton", "away")
    board.raise_fault("triton", "still away")
    board.clear("triton")
    board.clear("triton")
    assert told == [("triton", "away", True), ("triton", "still away", False)]


def test_cameras_are_told_apart_and_listed_oldest_first() -> None:
    board = FaultBoard(lambda _fault, _raised: None)
    board.raise_fault("camera", "lost", "left")
    board.raise_fault("camera", "silent", "right")
    board.clear("camera", "left")
    assert board.standing == [Fault(kind="camera", subject="right", cause="silent")]


def stalled(progress: Progress, at_s: float, captured: int, settled: int) -> bool:
    return progress.is_stalled(captured=captured, settled=settled, now_ns=round(at_s * NS_PER_S))


def test_frames_that_come_in_and_do_not_come_out_are_a_stall() -> None:
    progress = Progress(stalled_after_s=5, now_ns=0)
    assert not stalled(progress, 4.0, 10, 0)
    assert stalled(progress, 5.1, 20, 0)


def test_a_line_that_stands_still_is_idle_and_not_stalled() -> None:
    progress = Progress(stalled_after_s=5, now_ns=0)
    assert not stalled(progress, 1, 10, 10)
    assert not stalled(progress, 3600, 10, 10)
    assert not stalled(progress, 3604, 11, 10)
    assert stalled(progress, 3606, 11, 10)


def test_one_verdict_is_progress() -> None:
    progress = Progress(stalled_after_s=5, now_ns=0)
    assert stalled(progress, 6, 10, 0)
    assert not stalled(progress, 7, 30, 1)
    assert not stalled(progress, 11.9, 30, 1)
    assert stalled(progress, 12.1, 30, 1)


changes = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from(["camera", "triton", "disk"]), st.sampled_from(["", "top"])
    ),
    max_size=40,
)


@given(changes)
def test_what_was_told_is_what_stands_and_nothing_is_told_twice(
    changes: list[tuple[bool, str, str]],
) -> None:
    standing: list[tuple[str, str]] = []

    def hear(fault: Fault, raised: bool) -> None:  # noqa: FBT001
        key = (fault.kind, fault.subject)
        assert (key in standing) != raised, "it was told before"
        standing.append(key) if raised else standing.remove(key)

    board = FaultBoard(hear)
    for number, (raised, kind, subject) in enumerate(changes):
        if raised:
            board.raise_fault(kind, f"cause {number}", subject)
        else:
            board.clear(kind, subject)
        assert [(f.kind, f.subject) for f in board.standing] == standing, "the oldest first"
        causes = [f.cause for f in board.standing if (f.kind, f.subject) == (kind, subject)]
        assert causes == [f"cause {number}"] * raised, "the newest cause"


@given(
    looks=st.lists(
        st.tuples(st.floats(0, 3), st.integers(0, 5), st.sampled_from([0, 0, 0, 1, 9])),
        min_size=1,
        max_size=60,
    )
)
def test_a_stall_is_called_after_just_so_long_without_a_result_that_is_owed(
    looks: list[tuple[float, int, int]],
) -> None:
    progress = Progress(stalled_after_s=5, now_ns=0)
    at_s = moved_s = 0.0
    captured = settled = 0
    for waited_s, came, ready in looks:
        at_s, captured = at_s + waited_s, captured + came
        done = min(ready, captured - settled)
        settled += done
        if done or captured == settled:
            moved_s = at_s
        found = stalled(progress, at_s, captured, settled)
        assert not (found and at_s - moved_s < 5 - 1e-6), "nothing is owed for so long"
        assert found or at_s - moved_s <= 5 + 1e-6


def test_a_part_that_is_expected_is_awaited_until_it_works_or_fails() -> None:
    heard: list[int] = []
    board = FaultBoard(lambda _fault, _raised: None, on_heard=lambda: heard.append(1))
    board.expect("camera", "top")
    board.expect("camera", "side")
    board.expect("triton")
    assert board.awaited == [("camera", "top"), ("camera", "side"), ("triton", "")]
    board.clear("camera", "top")
    board.raise_fault("triton", "away")
    assert board.awaited == [("camera", "side")]
    board.clear("triton")
    board.clear("camera", "top")
    assert board.awaited == [("camera", "side")]
    assert len(heard) == 2, "once for each"
