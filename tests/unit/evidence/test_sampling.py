from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import CameraId, KeptFor, Result
from inspector.evidence.naming import Subject, kept_picture, picture_path
from inspector.evidence.sampling import why_kept

SEEN_NS = 1_795_377_302_123_456_789  # 2026-11-22 19:55:02 UTC


def subject(
    unit_id: str = "PCB-1",
    result: Result = Result.FAILED,
    seen_unix_ns: int = SEEN_NS,
    kept_for: KeptFor = KeptFor.VERDICT,
) -> Subject:
    return Subject(
        kind="unit",
        camera=CameraId("left"),
        unit_id=unit_id,
        event_id="01KAP4N8Q0ZZZZZZZZZZZZZZZZ",
        result=result,
        seen_unix_ns=seen_unix_ns,
        kept_for=kept_for,
    )


@pytest.mark.parametrize("result", [Result.FAILED, Result.NOT_INSPECTED, Result.ERROR])
def test_everything_that_is_not_passed_why_kept(result: Result) -> None:
    why = why_kept(result, camera=CameraId("a"), number=1, passed_share=0, is_near=True)
    assert why is KeptFor.VERDICT


@given(st.integers(1, 10**12))
def test_all_or_none_of_the_passed_are_kept_if_so_asked(number: int) -> None:
    assert why_kept(Result.PASSED, camera=CameraId("a"), number=number, passed_share=1)
    assert not why_kept(Result.PASSED, camera=CameraId("a"), number=number, passed_share=0)


@pytest.mark.parametrize("every", [1, 2, 50])
def test_the_share_holds_and_favours_no_nest_of_a_fixture(every: int) -> None:
    numbers = range(1, 20_000 * every, every)
    kept = sum(
        why_kept(Result.PASSED, camera=CameraId("a"), number=number, passed_share=0.02) is not None
        for number in numbers
    )
    assert 0.015 < kept / len(numbers) < 0.025


def test_the_same_unit_is_kept_again_and_cameras_differ() -> None:
    def kept(camera: str) -> list[KeptFor | None]:
        return [
            why_kept(Result.PASSED, camera=CameraId(camera), number=number, passed_share=0.5)
            for number in range(64)
        ]

    assert kept("a") == kept("a")
    assert kept("a") != kept("b")


@given(st.integers(1, 10**12))
def test_chance_does_not_ask_whether_a_unit_is_near(number: int) -> None:
    def why(*, is_near: bool) -> KeptFor | None:
        return why_kept(
            Result.PASSED, camera=CameraId("a"), number=number, passed_share=0.3, is_near=is_near
        )

    assert why(is_near=True) is (why(is_near=False) or KeptFor.NEAR_THRESHOLD)


def test_a_near_picture_says_so_in_its_name_and_is_known_by_it() -> None:
    near = subject(result=Result.PASSED, kept_for=KeptFor.NEAR_THRESHOLD)
    day, name = picture_path(near).split("/")
    assert "_PASSED-NEAR_" in name
    kept = kept_picture(day, name, 4096, 7)
    assert kept is not None
    assert (kept.passed, kept.near) == (True, True)
    day, name = picture_path(subject(result=Result.PASSED)).split("/")
    drawn = kept_picture(day, name, 4096, 7)
    assert drawn is not None
    assert (drawn.passed, drawn.near) == (True, False)
