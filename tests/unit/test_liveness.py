from __future__ import annotations

from typing import Any

from inspector.capture.liveness import NS_PER_S, Sighting, is_stuck, judge_camera


def sighting(**known: Any) -> Sighting:
    nothing = {"last_frame_ns": None, "lost": None, "since_ns": 0, "returned_ns": 0}
    return Sighting(**{**nothing, **known})


def judged(at_s: float, **known: Any) -> tuple[bool, str]:
    verdict = judge_camera(sighting(**known), silent_after_s=2.0, now_ns=round(at_s * NS_PER_S))
    return verdict.up, verdict.cause


def test_a_camera_is_up_while_frames_arrive() -> None:
    assert judged(5.0, last_frame_ns=4 * NS_PER_S) == (True, "")


def test_before_its_first_frame_it_is_neither_up_nor_blamed() -> None:
    assert judged(1.0) == (False, "")


def test_a_camera_that_never_delivers_is_noticed() -> None:
    assert judged(2.1) == (False, "no frame for 2 s")


def test_a_silent_camera_is_noticed_whatever_its_library_does() -> None:
    assert judged(6.1, last_frame_ns=4 * NS_PER_S) == (False, "no frame for 2 s")


def test_a_camera_known_to_be_gone_is_down_at_once_and_says_why() -> None:
    assert judged(4.0, last_frame_ns=4 * NS_PER_S, lost="unplugged") == (False, "unplugged")


def test_a_library_inside_one_call_for_too_long_is_stuck() -> None:
    inside = sighting(returned_ns=10 * NS_PER_S)
    assert not is_stuck(inside, stuck_after_s=15, now_ns=25 * NS_PER_S)
    assert is_stuck(inside, stuck_after_s=15, now_ns=25 * NS_PER_S + 1)
