from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.records import CameraId, Detection, FrameRef, MissReason, Result
from inspector.results.units import FrameResult, Verdict, VerdictOrder, judge

CODES = ("open", "short")


def ref(sequence: int) -> FrameRef:
    return FrameRef(
        camera_id=CameraId("a"), sequence=sequence, captured_mono_ns=0, captured_unix_ns=0
    )


def seen(class_index: int, confidence: float) -> Detection:
    return Detection(
        class_index=class_index,
        confidence=confidence,
        left_px=1,
        top_px=2,
        right_px=3,
        bottom_px=4,
    )


def inspected(*detections: Detection, sequence: int = 0) -> FrameResult:
    return FrameResult(ref=ref(sequence), detections=detections, miss=None)


def missed(reason: MissReason | None, sequence: int = 0) -> FrameResult:
    return FrameResult(ref=ref(sequence), detections=None, miss=reason, detail="because")


def verdict(frame: FrameResult, thresholds: Sequence[float] = (0.5, 0.5)) -> Verdict:
    return judge(frame, unit_number=7, codes=CODES, thresholds=thresholds)


def test_a_unit_that_was_looked_at_and_shows_nothing_passed() -> None:
    result = verdict(inspected())
    assert (result.result, result.reason, result.defects) == (Result.PASSED, None, ())
    assert result.unit_number == 7


def test_a_unit_with_a_defect_failed() -> None:
    result = verdict(inspected(seen(1, 0.8)))
    assert result.result is Result.FAILED
    assert [(d.code, d.confidence) for d in result.defects] == [("short", 0.8)]


def test_each_class_has_a_threshold_of_its_own() -> None:
    frame = inspected(seen(0, 0.6), seen(1, 0.6))
    assert [d.code for d in verdict(frame, (0.6, 0.7)).defects] == ["open"]
    assert verdict(frame, (0.7, 0.7)).result is Result.PASSED


@pytest.mark.parametrize("reason", [*MissReason, None])
def test_a_unit_nobody_looked_at_never_passed(reason: MissReason | None) -> None:
    result = verdict(missed(reason))
    assert result.result in (Result.NOT_INSPECTED, Result.ERROR)
    assert result.reason
    assert result.detail == "because"
    assert result.defects == ()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (MissReason.LANE_FULL, "frame_dropped"),
        (MissReason.NO_BUFFER, "frame_dropped"),
        (MissReason.UNREADABLE, "frame_unreadable"),
        (MissReason.STALE, "stale"),
        (MissReason.MODEL_UNAVAILABLE, "model_unavailable"),
        (MissReason.INTERNAL_ERROR, "internal_error"),
    ],
)
def test_reasons_are_told_in_the_words_of_the_contract(reason: MissReason, told: str) -> None:
    assert verdict(missed(reason)).reason == told


@given(st.permutations(range(12)))
def test_results_leave_in_the_order_units_came(arrivals: list[int]) -> None:
    order, left = VerdictOrder(), []
    for count, sequence in enumerate(arrivals, 1):
        left += [f.ref.sequence for f in order.add(inspected(sequence=sequence))]
        assert len(left) + order.waiting == count
    assert left == list(range(12))


def test_a_frame_settled_twice_is_a_bug_and_loud() -> None:
    order = VerdictOrder()
    order.add(inspected(sequence=0))
    order.add(inspected(sequence=2))
    for again in (0, 2):
        with pytest.raises(RuntimeError, match="settled twice"):
            order.add(inspected(sequence=again))


def test_what_waits_for_a_lost_frame_can_be_had_in_order() -> None:
    order = VerdictOrder()
    for sequence in (3, 1, 2):
        assert order.add(inspected(sequence=sequence)) == []
    assert [f.ref.sequence for f in order.flush()] == [1, 2, 3]
    assert order.waiting == 0
