"""From what was seen of a unit to its one verdict: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inspector.records import Detection, FrameRef, MissReason, Result, UnitRef
from inspector.results.fusing import FusingRules, fuse


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """How the inspection of one frame ended; exactly one of detections and miss is set."""

    ref: FrameRef
    detections: tuple[Detection, ...] | None
    """In the pixels of the unit's picture."""
    miss: MissReason | None
    detail: str = ""
    model_version: str = ""
    queue_ns: int = 0
    """From capture until the request left."""
    inference_ns: int = 0
    """From there until the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedUnit:
    """A unit of which nothing more is awaited, and what is known of it."""

    unit: UnitRef
    frames_expected: int
    """What a complete inspection takes; at least 1."""
    frames: tuple[FrameResult, ...]
    """Those settled in time, inspected or missed, in the order of capture."""
    miss: MissReason | None = None
    """Why there are fewer frames than expected; None where each came."""
    detail: str = ""
    deadline_missed: bool = False
    """Decided because its time was up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What the station claims about a unit; corners in the pixels of the unit's picture."""

    code: str
    confidence: float
    detection: Detection
    frames_seen: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Exactly one per unit."""

    unit: UnitRef
    unit_number: int
    """From 1, counted per camera over the life of the journal."""
    result: Result
    reason: str | None
    detail: str
    defects: tuple[Defect, ...]
    """Most confident first."""
    frames: tuple[FrameResult, ...]
    """In the order of capture; a unit may be without any."""
    frames_expected: int
    deadline_missed: bool = False

    @property
    def inspected(self) -> tuple[FrameResult, ...]:
        """The frames that somebody looked at."""
        return tuple(frame for frame in self.frames if frame.detections is not None)

    @property
    def model_version(self) -> str:
        """Which model looked last; empty when none did."""
        inspected = self.inspected
        return inspected[-1].model_version if inspected else ""

    @property
    def queue_ns(self) -> int:
        """The longest that one of its frames waited; 0 when none was inspected."""
        return max((frame.queue_ns for frame in self.inspected), default=0)

    @property
    def inference_ns(self) -> int:
        """The longest that one of its frames was at the model; 0 when none was."""
        return max((frame.inference_ns for frame in self.inspected), default=0)


_REASONS = {
    MissReason.LANE_FULL: "frame_dropped",
    MissReason.NO_BUFFER: "frame_dropped",
    MissReason.UNREADABLE: "frame_unreadable",
}

MOST_TELLING = (
    MissReason.INTERNAL_ERROR,
    MissReason.CAMERA_FROZEN,
    MissReason.CAMERA_DARK,
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
"""Of several reasons the first one here is told: a fault before its consequences.

First ours, then what is broken (camera, model), then one bad picture, then load that was shed:
a model that is away fills the lanes, makes frames stale and deadlines pass. Stopping comes last,
because it cuts short what another reason had spoilt already.
"""
_RANK = {reason: rank for rank, reason in enumerate(MOST_TELLING)}


def most_telling(misses: Iterable[tuple[MissReason, str]]) -> tuple[MissReason, str]:
    """Of reasons with their details the one to be told; the first among equals.

    Without any it is an error of ours: something is missing and nobody said why.
    """
    nobody = (MissReason.INTERNAL_ERROR, "a frame is missing and nobody said why")
    return min(misses, key=lambda miss: _RANK[miss[0]], default=nobody)


def judge(
    decided: DecidedUnit, *, unit_number: int, codes: Sequence[str], rules: FusingRules
) -> Verdict:
    """The verdict on a unit.

    FAILED when the frames that were inspected agree on a defect, even where others are missing or
    the time was up: what was seen is true, a rejected part stays rejected, and "failed, here is
    the defect" serves whoever stands at the ejector better than "not inspected". PASSED only if
    every expected frame was inspected. Else NOT_INSPECTED, or ERROR where the fault is ours.
    """
    inspected = [f.detections for f in decided.frames if f.detections is not None]
    fused = fuse(inspected, rules, frames_expected=decided.frames_expected)
    result, reason, detail = Result.PASSED, None, ""
    if fused:
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
        defects=tuple(
            Defect(
                code=codes[f.detection.class_index],
                confidence=f.detection.confidence,
                detection=f.detection,
                frames_seen=f.frames_seen,
            )
            for f in fused
        ),
        frames=decided.frames,
        frames_expected=decided.frames_expected,
        deadline_missed=decided.deadline_missed,
    )


def _partly(inspected: int, expected: int) -> str:
    return "" if inspected >= expected else f"{inspected} of {expected} frames were inspected"


def _misses(decided: DecidedUnit) -> list[tuple[MissReason, str]]:
    frames = [
        (f.miss or MissReason.INTERNAL_ERROR, f.detail)
        for f in decided.frames
        if f.detections is None
    ]
    own = [(decided.miss, decided.detail)] if decided.miss is not None else []
    return [*frames, *own]
