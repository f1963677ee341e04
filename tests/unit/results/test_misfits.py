"""Whether the line makes another product than the station inspects."""

from __future__ import annotations

from collections.abc import Iterable

from inspector.core.recipes import Job
from inspector.core.records import (
    CameraId,
    FrameRef,
    MissReason,
    Placed,
    Result,
    TriggerKind,
    UnitRef,
)
from inspector.core.verdicts import FrameResult, Verdict
from inspector.results.misfits import IN_A_ROW, Misfits
from tests.kit import jobs

MISFIT, LOST, FITS = MissReason.REFERENCE_MISMATCH, MissReason.CAMERA_LOST, None
FAR = Placed(likeness=0.1, shift_px=3, matrix=((1, 0, 0), (0, 1, 0)))
NEAR = Placed(likeness=0.97, shift_px=3, matrix=((1, 0, 0), (0, 1, 0)))
JOB = jobs.job(product="4711", revision="2")


def verdict(reason: MissReason | None, job: Job = JOB) -> Verdict:
    unit = UnitRef(
        camera_id=CameraId("a"),
        index=0,
        kind=TriggerKind.PRESENCE,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
        job=job,
    )
    ref = FrameRef(
        camera_id=CameraId("a"),
        sequence=0,
        captured_mono_ns=0,
        captured_unix_ns=0,
        unit=unit,
        placed={MISFIT: FAR, FITS: NEAR}.get(reason),
    )
    frame = FrameResult(ref=ref, findings=None if reason else (), miss=reason)
    return Verdict(
        unit=unit,
        unit_number=1,
        result=Result.NOT_INSPECTED if reason else Result.PASSED,
        reason=reason.value if reason else None,
        detail=f"because of {reason}" if reason else "",
        defects=(),
        frames=(frame,),
        frames_expected=1,
    )


def causes(reasons: Iterable[MissReason | None]) -> list[bool]:
    misfits = Misfits()
    return [bool(misfits.cause(verdict(reason))) for reason in reasons]


def test_three_units_in_a_row_are_another_product() -> None:
    assert causes([MISFIT] * 4) == [False, False, True, True]
    assert causes([MISFIT, MISFIT, FITS, MISFIT, MISFIT]) == [False] * 5


def test_one_unit_that_fits_ends_it() -> None:
    assert causes([MISFIT, MISFIT, MISFIT, FITS, MISFIT]) == [False, False, True, False, False]


def test_a_unit_that_nobody_saw_says_nothing() -> None:
    assert causes([MISFIT, LOST, MISFIT, LOST, MISFIT]) == [False] * 4 + [True]
    assert causes([MISFIT, MISFIT, MISFIT, LOST]) == [False, False, True, True]


def test_the_cause_says_how_many_and_why() -> None:
    misfits = Misfits()
    told = [misfits.cause(verdict(MISFIT)) for _ in range(IN_A_ROW)][-1]
    assert told == (
        "3 units in a row do not fit product 4711; the last one: because of reference_mismatch"
    )


def test_another_product_begins_anew() -> None:
    misfits = Misfits()
    for _ in range(IN_A_ROW):
        assert misfits is not None
        told = misfits.cause(verdict(MISFIT))
    assert told
    other = jobs.job(product="4712", revision="1")
    assert not misfits.cause(verdict(LOST, other))
    assert not misfits.cause(verdict(MISFIT, other))
