from __future__ import annotations

from inspector.ops.health import NS_PER_S, Fault, FaultBoard, Progress


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
