from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inspector.core.records import CameraId, KeptFor, Result
from inspector.evidence.naming import Subject, is_unfinished, kept_picture, picture_path, unfinished

SEEN_NS = 1_795_377_302_123_456_789  # 2026-11-22 19:55:02 UTC


results = st.sampled_from(Result)


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


def test_a_picture_lies_in_the_folder_of_its_day_in_utc() -> None:
    assert picture_path(subject()) == (
        "2026-11-22/195502.123456Z_left_PCB-1_FAILED_01KAP4N8Q0ZZZZZZZZZZZZZZZZ.jpg"
    )


@given(st.text(), results, st.integers(-(10**20), 10**21))
@example("../../etc/passwd", Result.PASSED, SEEN_NS)
@example("\0", Result.FAILED, 0)
@example("x" * 10_000, Result.NOT_INSPECTED, -1)
@example("_PASSED_01KAP4N8Q0.jpg", Result.FAILED, SEEN_NS)
def test_no_unit_id_and_no_clock_makes_a_name_that_is_not_ours(
    unit_id: str, result: Result, seen_unix_ns: int
) -> None:
    path = picture_path(subject(unit_id, result, seen_unix_ns))
    day, name = PurePosixPath(path).parts
    assert path.isascii()
    assert path.isprintable()
    assert len(unfinished(name)) <= 255
    kept = kept_picture(day, name, 7, 8)
    assert kept is not None
    assert (kept.path, kept.size_bytes, kept.passed) == (path, 7, result is Result.PASSED)
    assert is_unfinished(unfinished(name))
    assert not is_unfinished(name)


@given(
    st.tuples(st.integers(0, 250_000_000_000), st.integers(0, 999_999)),
    st.tuples(st.integers(0, 250_000_000_000), st.integers(0, 999_999)),
)
def test_paths_are_in_order_of_time(first: tuple[int, int], second: tuple[int, int]) -> None:
    def path(moment: tuple[int, int]) -> str:
        return picture_path(subject(seen_unix_ns=moment[0] * 10**9 + moment[1] * 1000))

    assert (path(first) < path(second)) == (first < second)


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2026-11-22", "holiday.jpg"),
        ("2026-11-22", "201502.123456Z_left_PCB-1_FAILED_01KAP.jpg.part"),
        ("2026-11-22", "201502.123456Z_left_PCB-1_MAYBE_01KAP.jpg"),
        ("notes", "201502.123456Z_left_PCB-1_FAILED_01KAP.jpg"),
        ("..", "201502.123456Z_left_PCB-1_FAILED_01KAP.jpg"),
    ],
)
def test_files_that_are_not_ours_are_no_pictures(day: str, name: str) -> None:
    assert kept_picture(day, name, 1, 2) is None
