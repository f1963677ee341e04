from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inspector.capture.liveness import (
    MAX_CAUSES,
    NS_PER_S,
    Outage,
    Sighting,
    is_stuck,
    judge_camera,
)


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


@st.composite
def any_sighting(draw: st.DrawFn) -> tuple[Sighting, int]:
    """What a thread may say of its camera, and when it is judged."""
    since_s = draw(st.integers(1, 10_000_000))
    last_s, returned_s, now_s = (since_s + draw(st.integers(0, 20)) for _ in range(3))
    now_s = max(last_s, returned_s, now_s)
    seen = Sighting(
        last_frame_ns=draw(st.sampled_from([None, last_s * NS_PER_S])),
        lost=draw(st.sampled_from([None, None, "unplugged"])),
        since_ns=since_s * NS_PER_S,
        returned_ns=returned_s * NS_PER_S,
    )
    return seen, now_s * NS_PER_S


@given(any_sighting(), st.floats(0.01, 20))
def test_no_camera_is_called_up_whose_frames_do_not_come(
    seen_at: tuple[Sighting, int], silent_after_s: float
) -> None:
    seen, now_ns = seen_at
    found = judge_camera(seen, silent_after_s=silent_after_s, now_ns=now_ns)
    if found.up:
        assert seen.lost is None
        assert seen.last_frame_ns is not None
        assert now_ns - seen.last_frame_ns <= silent_after_s * NS_PER_S * (1 + 1e-9)
        assert not found.cause
    elif not found.cause:
        assert seen.last_frame_ns is None, "only a first frame may still come without a word"
        assert now_ns - seen.since_ns <= silent_after_s * NS_PER_S * (1 + 1e-9)
    elif seen.lost is None:
        since_ns = seen.since_ns if seen.last_frame_ns is None else seen.last_frame_ns
        assert now_ns - since_ns >= silent_after_s * NS_PER_S * (1 - 1e-9), "blamed too early"


@given(any_sighting(), st.floats(0.01, 20), st.integers(0, 1000 * NS_PER_S))
def test_waiting_alone_never_makes_a_camera_better(
    seen_at: tuple[Sighting, int], limit_s: float, waited_ns: int
) -> None:
    seen, now_ns = seen_at
    now = judge_camera(seen, silent_after_s=limit_s, now_ns=now_ns)
    later = judge_camera(seen, silent_after_s=limit_s, now_ns=now_ns + waited_ns)
    assert now.up >= later.up
    assert bool(now.cause) <= bool(later.cause)
    stuck = is_stuck(seen, stuck_after_s=limit_s, now_ns=now_ns)
    assert stuck <= is_stuck(seen, stuck_after_s=limit_s, now_ns=now_ns + waited_ns)
    if waited_ns > limit_s * NS_PER_S * (1 + 1e-9):
        assert later.cause, "silence for so long is always told"
        assert is_stuck(seen, stuck_after_s=limit_s, now_ns=now_ns + waited_ns)


def test_another_cause_of_the_same_outage_is_news_once() -> None:
    outage = Outage()
    told = [
        outage.is_news(up=up, cause=cause)
        for up, cause in (
            (False, "no frame for 2 s"),
            (False, "no frame for 2.5 s"),
            (False, "refused (401)"),
            (False, "refused (453)"),
            (False, "refused (401)"),
            (True, ""),
            (True, ""),
            (False, "refused (401)"),
        )
    ]
    assert told == [True, False, True, True, False, True, False, True]


def test_causes_that_never_end_are_told_up_to_a_number() -> None:
    outage = Outage()
    assert sum(outage.is_news(up=False, cause=f"number {n}") for n in range(100)) == MAX_CAUSES
