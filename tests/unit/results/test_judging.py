from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.locks import Lock, LockKind
from inspector.core.places import Box
from inspector.core.recipes import (
    ANOMALY,
    DIFFERENCES,
    Differences,
    ExpectedPart,
    JobState,
    ModelName,
)
from inspector.core.records import (
    CameraId,
    Difference,
    Finding,
    FrameRef,
    MissReason,
    Placed,
    Result,
    TriggerKind,
    UnitRef,
)
from inspector.core.verdicts import DecidedUnit, FrameResult, Verdict
from inspector.results.judging import MOST_TELLING, judge, most_telling, under_lock
from tests.kit import jobs
from tests.kit.findings import boxed

CODES = ("open", "short")
STATION = ModelName(name="pcb_inspection")
UNIT = UnitRef(
    camera_id=CameraId("a"),
    index=0,
    kind=TriggerKind.PRESENCE,
    triggered_mono_ns=0,
    triggered_unix_ns=0,
)


def ref(sequence: int) -> FrameRef:
    return FrameRef(
        camera_id=CameraId("a"),
        sequence=sequence,
        captured_mono_ns=0,
        captured_unix_ns=0,
        unit=UNIT,
    )


def seen(code_index: int, confidence: float) -> Finding:
    return boxed(
        code_index=code_index,
        confidence=confidence,
        left_px=1,
        top_px=2,
        right_px=3,
        bottom_px=4,
    )


def inspected(*detections: Finding, sequence: int = 0, **timing: Any) -> FrameResult:
    return FrameResult(ref=ref(sequence), findings=detections, miss=None, **timing)


def missed(reason: MissReason | None, sequence: int = 0) -> FrameResult:
    return FrameResult(ref=ref(sequence), findings=None, miss=reason, detail="because")


def verdict(
    *frames: FrameResult, thresholds: Sequence[float] = (0.5, 0.5), **decided: Any
) -> Verdict:
    decided.setdefault("frames_expected", max(1, len(frames)))
    return judge(
        DecidedUnit(unit=UNIT, frames=frames, **decided),
        unit_number=7,
        recipe=jobs.recipe(codes=CODES, thresholds=tuple(thresholds)),
    )


def test_a_unit_that_was_looked_at_and_shows_nothing_passed() -> None:
    result = verdict(inspected())
    assert (result.result, result.reason, result.defects) == (Result.PASSED, None, ())
    assert result.unit_number == 7


def test_a_unit_with_a_defect_failed() -> None:
    result = verdict(inspected(seen(1, 0.8)))
    assert result.result is Result.FAILED
    assert [(d.code, d.confidence, d.frames_seen) for d in result.defects] == [("short", 0.8, 1)]


def test_each_class_has_a_threshold_of_its_own() -> None:
    frame = inspected(seen(0, 0.6), seen(1, 0.6))
    assert [d.code for d in verdict(frame, thresholds=(0.6, 0.7)).defects] == ["open"]
    assert verdict(frame, thresholds=(0.7, 0.7)).result is Result.PASSED


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


def test_passed_needs_every_expected_frame() -> None:
    looked = [inspected(sequence=0), inspected(sequence=1)]
    assert verdict(*looked, frames_expected=2).result is Result.PASSED
    one_missed = verdict(*looked, missed(MissReason.STALE, 2))
    assert (one_missed.result, one_missed.reason) == (Result.NOT_INSPECTED, "stale")
    never_came = verdict(*looked, frames_expected=3, miss=MissReason.CAMERA_LOST, detail="cable")
    assert (never_came.result, never_came.reason) == (Result.NOT_INSPECTED, "camera_lost")
    assert never_came.detail == "cable"


def test_a_unit_that_was_cut_short_never_passed_whatever_the_count_says() -> None:
    result = verdict(inspected(), frames_expected=1, miss=MissReason.CAMERA_FROZEN)
    assert (result.result, result.reason) == (Result.NOT_INSPECTED, "camera_frozen")


def test_a_frame_that_is_missing_without_a_reason_is_our_error() -> None:
    result = verdict(inspected(), frames_expected=2)
    assert (result.result, result.reason) == (Result.ERROR, "internal_error")
    assert result.detail


def test_a_defect_that_was_seen_stands_where_other_frames_are_missing() -> None:
    bad = inspected(seen(0, 0.9), sequence=0)
    result = verdict(bad, missed(MissReason.LANE_FULL, 1), missed(MissReason.LANE_FULL, 2))
    assert (result.result, result.reason) == (Result.FAILED, None)
    assert result.detail == "1 of 3 frames were inspected"
    in_time = verdict(bad, frames_expected=3, miss=MissReason.DEADLINE_MISSED, deadline_missed=True)
    assert (in_time.result, in_time.deadline_missed) == (Result.FAILED, True)


def test_frames_that_disagree_make_no_defect() -> None:
    frames = [inspected(seen(0, 0.9), sequence=0), inspected(sequence=1), inspected(sequence=2)]
    assert verdict(*frames).result is Result.PASSED


def test_of_several_reasons_the_cause_is_told() -> None:
    assert set(MOST_TELLING) == set(MissReason)
    pairs = [(reason, reason.value) for reason in reversed(MOST_TELLING)]
    for last in range(1, len(pairs) + 1):
        assert most_telling(pairs[:last]) == pairs[last - 1]
    result = verdict(
        missed(MissReason.LANE_FULL, 0),
        missed(MissReason.MODEL_UNAVAILABLE, 1),
        frames_expected=3,
        miss=MissReason.DEADLINE_MISSED,
    )
    assert result.reason == "model_unavailable"


def test_a_verdict_tells_the_longest_way_of_its_frames() -> None:
    result = verdict(
        inspected(sequence=0, queue_ns=5, inference_ns=20, versions={"pcb_inspection": "1"}),
        inspected(sequence=1, queue_ns=9, inference_ns=10, versions={"pcb_inspection": "2"}),
        missed(MissReason.STALE, 2),
    )
    assert (result.queue_ns, result.inference_ns, result.version_of(STATION)) == (9, 20, "2")
    assert len(result.inspected) == 2
    nothing = verdict(missed(MissReason.STALE))
    assert (nothing.queue_ns, nothing.inference_ns, nothing.version_of(STATION)) == (0, 0, "")


results = st.lists(
    st.one_of(
        st.builds(missed, st.sampled_from(MissReason)),
        st.builds(inspected),
        st.builds(inspected, st.builds(seen, st.integers(0, 1), st.floats(0.3, 1))),
    ),
    max_size=5,
)


@given(results, st.integers(1, 5), st.none() | st.sampled_from(MissReason))
def test_only_what_was_fully_looked_at_passes(
    frames: list[FrameResult], expected: int, miss: MissReason | None
) -> None:
    result = verdict(*frames, frames_expected=expected, miss=miss)
    if result.result is Result.PASSED:
        assert len(result.inspected) >= expected
        assert miss is None
    assert (result.result is Result.FAILED) == bool(result.defects)
    assert (result.reason is None) == (result.result in (Result.PASSED, Result.FAILED))


def test_a_defect_carries_what_the_product_says_of_its_code() -> None:
    said = jobs.recipe(
        codes=CODES, severities={CODES[0]: "critical"}, dispositions={CODES[0]: "scrap"}
    )
    (frame,) = verdict(inspected(seen(0, 0.9))).frames
    decided = DecidedUnit(unit=UNIT, frames=(frame,), frames_expected=1)
    judged = judge(decided, unit_number=7, recipe=said)
    told = {d.code: (d.severity, d.disposition) for d in judged.defects}
    assert told == {CODES[0]: ("critical", "scrap")}


@pytest.mark.parametrize("state", [s for s in JobState if s is not JobState.INSPECTING])
def test_a_unit_of_a_job_that_does_not_inspect_says_so_whatever_else_befell_it(
    state: JobState,
) -> None:
    under = replace(UNIT, job=replace(jobs.job(state), detail="why"))
    for frames, miss in (
        ((missed(MissReason.CAMERA_LOST),), None),
        ((inspected(seen(0, 0.9)),), None),
        ((), MissReason.NO_FRAME),
    ):
        decided = DecidedUnit(unit=under, frames=frames, frames_expected=1, miss=miss)
        judged = judge(decided, unit_number=7, recipe=jobs.recipe(codes=CODES))
        assert (judged.result, judged.reason, judged.detail, judged.defects) == (
            Result.NOT_INSPECTED,
            state.value,
            "why",
            (),
        )


def test_a_unit_of_which_one_frame_does_not_fit_was_not_inspected() -> None:
    frames = [inspected(seen(0, 0.9), sequence=n) for n in range(2)]
    told = verdict(*frames, missed(MissReason.REFERENCE_MISMATCH, 2))
    assert told.result is Result.NOT_INSPECTED
    assert (told.reason, told.detail, told.defects) == ("reference_mismatch", "because", ())


def test_under_a_lock_nothing_is_passed_and_what_failed_stays_failed() -> None:
    lock = Lock(kind=LockKind.PROCESS, reason="ten in a row", since="2026-03-01T06:00:00+00:00")
    good = verdict(inspected())
    bad = verdict(inspected(seen(0, 0.9)))
    assert (good.result, bad.result) == (Result.PASSED, Result.FAILED)
    held = under_lock(good, lock)
    assert (held.result, held.reason, held.detail) == (
        Result.NOT_INSPECTED,
        "locked",
        "ten in a row",
    )
    assert under_lock(bad, lock) == bad
    assert under_lock(good, None) == good


def differing_frame(sequence: int, weight: float = 60.0) -> FrameResult:
    """Nothing is claimed, and it is not as its reference."""
    place = Box(left_px=97, top_px=77, right_px=103, bottom_px=83)
    placed = Placed(
        likeness=0.98,
        shift_px=0.0,
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        differences=(Difference(place=place, weight=weight),),
    )
    return FrameResult(ref=replace(ref(sequence), placed=placed), findings=(), miss=None)


def of_differing(*frames: FrameResult, differences: Differences) -> Verdict:
    codes = (*CODES, ANOMALY) if differences == "defects" else CODES
    return judge(
        DecidedUnit(unit=UNIT, frames=frames, frames_expected=len(frames)),
        unit_number=7,
        recipe=jobs.recipe(codes=codes, differences=differences),
    )


def test_a_unit_that_is_visibly_not_as_its_reference_never_passed() -> None:
    frames = [differing_frame(sequence) for sequence in range(3)]
    told = of_differing(*frames, differences="defects")
    assert told.result is Result.FAILED
    (defect,) = told.defects
    assert (defect.code, defect.frames_seen, defect.model) == (ANOMALY, 3, DIFFERENCES)
    assert of_differing(*frames, differences="shown").result is Result.PASSED
    assert of_differing(*frames, differences="ignored").result is Result.PASSED
    small = [differing_frame(sequence, 3.0) for sequence in range(3)]
    assert of_differing(*small, differences="defects").result is Result.PASSED
    once = [differing_frame(0), *(inspected(sequence=n) for n in (1, 2))]
    assert of_differing(*once, differences="defects").result is Result.PASSED


PARTS = ("open", "screw", "missing", "extra", "displaced")
SCREW = ExpectedPart(name="screw", count=1, places_px=((2.0, 3.0),), tolerance_px=5)


def judged_parts(*frames: FrameResult, expected: int = 3, part: ExpectedPart = SCREW) -> Verdict:
    recipe = replace(
        jobs.recipe(codes=PARTS),
        expected=(part,),
        severities={"missing": "critical"},
    )
    decided = DecidedUnit(unit=UNIT, frames=frames, frames_expected=expected)
    return judge(decided, unit_number=7, recipe=recipe)


def test_a_part_that_enough_frames_show_is_no_defect_and_hidden_in_one_it_still_counts() -> None:
    there = seen(1, 0.9)
    assert judged_parts(*[inspected(there)] * 3).result is Result.PASSED
    hidden_once = judged_parts(inspected(there), inspected(), inspected(there))
    assert (hidden_once.result, hidden_once.nearest) == (Result.PASSED, None)


def test_a_unit_that_shows_nothing_lacks_its_parts() -> None:
    told = judged_parts(inspected(), inspected(), inspected())
    [defect] = told.defects
    assert told.result is Result.FAILED
    assert (defect.code, defect.part, defect.severity) == ("missing", "screw", "critical")


def test_a_part_below_its_threshold_is_not_there() -> None:
    faint = judged_parts(*[inspected(seen(1, 0.4))] * 3)
    assert [defect.code for defect in faint.defects] == ["missing"]


def test_a_displaced_part_says_by_how_much_and_damage_is_told_beside_it() -> None:
    away = replace(SCREW, places_px=((42.0, 3.0),))
    told = judged_parts(*[inspected(seen(1, 0.9), seen(0, 0.8))] * 3, part=away)
    assert [(d.code, d.part, d.displaced_px) for d in told.defects] == [
        ("open", None, None),
        ("displaced", "screw", pytest.approx(40)),
    ]


def test_nothing_is_said_of_parts_where_too_few_frames_were_inspected() -> None:
    told = judged_parts(inspected(), missed(MissReason.STALE, 1), missed(MissReason.STALE, 2))
    assert (told.result, told.defects) == (Result.NOT_INSPECTED, ())
    enough = judged_parts(inspected(), inspected(), missed(MissReason.STALE, 2))
    assert [defect.code for defect in enough.defects] == ["missing"]
