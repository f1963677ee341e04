"""Decides the one verdict on a unit from what was seen of it: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from inspector.core.locks import LOCKED, Lock
from inspector.core.recipes import ANOMALY, JobState, Recipe
from inspector.core.records import Finding, MissReason, Result
from inspector.core.verdicts import DecidedUnit, Defect, FrameResult, Verdict
from inspector.results.fusing import Fused, fuse
from inspector.results.near import nearest_miss
from inspector.results.on_unit import of_differences
from inspector.results.parts import WrongPart, wrong_parts
from inspector.results.zones import PlaceRules

_REASONS = {
    MissReason.LANE_FULL: "frame_dropped",
    MissReason.NO_BUFFER: "frame_dropped",
    MissReason.UNREADABLE: "frame_unreadable",
}

MOST_TELLING = (
    MissReason.INTERNAL_ERROR,
    MissReason.NO_PRODUCT,
    MissReason.CHANGING_OVER,
    MissReason.TEACHING,
    MissReason.REFERENCE_MISMATCH,
    MissReason.CAMERA_FROZEN,
    MissReason.CAMERA_DARK,
    MissReason.CAMERA_BRIGHT,
    MissReason.CAMERA_BLANK,
    MissReason.CAMERA_BLURRED,
    MissReason.CAMERA_MOVED,
    MissReason.CAMERA_LOST,
    MissReason.MODEL_UNAVAILABLE,
    MissReason.MALFORMED_REPLY,
    MissReason.INFERENCE_FAILED,
    MissReason.UNREADABLE,
    MissReason.NO_BUFFER,
    MissReason.LANE_FULL,
    MissReason.STALE,
    MissReason.NO_FRAME,
    MissReason.DEADLINE_MISSED,
    MissReason.SHUTTING_DOWN,
)
"""Of several reasons, the one that comes first here is reported: a fault before its consequences.

First our own errors, then jobs that do not inspect, then other products, then broken parts (camera,
model), then single bad pictures, then shed load: an unavailable model fills the lanes, makes frames
stale and deadlines pass. Stopping comes last, because it only cuts short what had another reason
already.
"""
_RANK = {reason: rank for rank, reason in enumerate(MOST_TELLING)}


def most_telling(misses: Iterable[tuple[MissReason, str]]) -> tuple[MissReason, str]:
    """The reason to report, with its detail; the first among equals.

    Without any it is our own error: something is missing and no reason is known.
    """
    nobody = (MissReason.INTERNAL_ERROR, "a frame is missing and nobody said why")
    return min(misses, key=lambda miss: _RANK[miss[0]], default=nobody)


def judge(decided: DecidedUnit, *, unit_number: int, recipe: Recipe) -> Verdict:
    """The verdict on a unit.

    A unit under a job that does not inspect is NOT_INSPECTED for that reason, whatever else
    happened to its frames. So is a unit with any frame that does not fit the product's reference:
    another product, or one in a wrong position, was not compared with what it should look like. For
    all others:

    FAILED when the frames that were inspected agree on a defect, even where others are missing or
    the time was up: what was seen is true, a rejected part stays rejected, and "failed, here is
    the defect" serves whoever stands at the ejector better than "not inspected". PASSED only if
    every expected frame was inspected. Else NOT_INSPECTED, or ERROR where the fault is ours.
    """
    job = decided.unit.job
    is_wanted = job is None or job.state is JobState.INSPECTING
    fits = all(f.miss is not MissReason.REFERENCE_MISMATCH for f in decided.frames)
    inspected = [_seen(f, recipe) for f in decided.frames if f.findings is not None]
    places = PlaceRules(recipe.rules, codes=recipe.codes, zones=recipe.zones)
    judged = inspected if is_wanted and fits else []
    expected = decided.frames_expected
    damage, parts = _apart(judged, recipe)
    fused = fuse(damage, recipe.rules, frames_expected=expected, places=places)
    there = fuse(parts, recipe.rules, frames_expected=expected, places=places)
    wrong = list(_wrong_parts(there, recipe, inspected=len(judged), expected=expected))
    result, reason, detail = Result.PASSED, None, ""
    if job is not None and not is_wanted:
        result, reason, detail = Result.NOT_INSPECTED, job.state.value, job.detail
    elif fused or wrong:
        result = Result.FAILED
        detail = _partly(len(inspected), decided.frames_expected)
    elif len(inspected) < decided.frames_expected or decided.miss is not None:
        miss, detail = most_telling(_misses(decided))
        result = Result.ERROR if miss is MissReason.INTERNAL_ERROR else Result.NOT_INSPECTED
        reason = _REASONS.get(miss, miss.value)
    return Verdict(
        unit=decided.unit,
        unit_number=unit_number,
        result=result,
        reason=reason,
        detail=detail,
        defects=(
            *(_defect(f, recipe) for f in fused),
            *(_defect_of_part(one, recipe) for one in wrong),
        ),
        frames=decided.frames,
        frames_expected=decided.frames_expected,
        deadline_missed=decided.deadline_missed,
        nearest=nearest_miss(decided.frames, recipe) if result is Result.PASSED else None,
    )


def under_lock(verdict: Verdict, lock: Lock | None) -> Verdict:
    """The verdict; if it is PASSED and a lock stands, NOT_INSPECTED instead.

    FAILED stays FAILED: what was seen is true.
    """
    if lock is None or verdict.result is not Result.PASSED:
        return verdict
    return replace(verdict, result=Result.NOT_INSPECTED, reason=LOCKED, detail=lock.reason)


def _seen(frame: FrameResult, recipe: Recipe) -> tuple[Finding, ...]:
    """What the models claim about a frame, and where it differs from the reference."""
    findings = frame.findings or ()
    if recipe.differences != "defects":
        return findings
    return (*findings, *of_differences(frame.ref, recipe.codes.index(ANOMALY)))


def _apart(
    frames: Sequence[Sequence[Finding]], recipe: Recipe
) -> tuple[list[list[Finding]], list[list[Finding]]]:
    """What the frames show of damage, and of parts that a unit should have."""
    kinds = {recipe.codes.index(part.name) for part in recipe.expected}
    damage = [[seen for seen in frame if seen.code_index not in kinds] for frame in frames]
    return damage, [[seen for seen in frame if seen.code_index in kinds] for frame in frames]


def _wrong_parts(
    there: Sequence[Fused], recipe: Recipe, *, inspected: int, expected: int
) -> Iterator[WrongPart]:
    """What is wrong with the parts that the unit should have.

    If half of the frames or fewer were inspected, nothing is claimed: a part may have been hidden
    in just these.
    """
    if 2 * inspected <= expected:
        return
    for part in recipe.expected:
        index = recipe.codes.index(part.name)
        of_it = [one for one in there if one.finding.code_index == index]
        yield from wrong_parts(of_it, part, frames=inspected)


def _defect_of_part(wrong: WrongPart, recipe: Recipe) -> Defect:
    return Defect(
        code=wrong.code,
        confidence=wrong.confidence,
        place=wrong.place,
        frames_seen=wrong.frames_seen,
        model=wrong.model or recipe.inspected_by.name,
        severity=recipe.severities.get(wrong.code),
        disposition=recipe.dispositions.get(wrong.code),
        part=wrong.part,
        displaced_px=wrong.displaced_px,
    )


def _defect(fused: Fused, recipe: Recipe) -> Defect:
    code = recipe.codes[fused.finding.code_index]
    return Defect(
        code=code,
        confidence=fused.finding.confidence,
        place=fused.finding.place,
        frames_seen=fused.frames_seen,
        model=fused.finding.model,
        severity=recipe.severities.get(code),
        disposition=recipe.dispositions.get(code),
    )


def _partly(inspected: int, expected: int) -> str:
    return "" if inspected >= expected else f"{inspected} of {expected} frames were inspected"


def _misses(decided: DecidedUnit) -> list[tuple[MissReason, str]]:
    frames = [
        (f.miss or MissReason.INTERNAL_ERROR, f.detail)
        for f in decided.frames
        if f.findings is None
    ]
    own = [(decided.miss, decided.detail)] if decided.miss is not None else []
    return [*frames, *own]
