"""From what was seen of a unit to its one verdict, in the order units came: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inspector.records import Detection, FrameRef, MissReason, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """How the inspection of one frame ended; exactly one of detections and miss is set."""

    ref: FrameRef
    detections: tuple[Detection, ...] | None
    miss: MissReason | None
    detail: str = ""
    model_version: str = ""
    queue_ns: int = 0
    """From capture until the request left."""
    inference_ns: int = 0
    """From there until the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What the station claims about a unit; corners in frame pixels."""

    code: str
    confidence: float
    detection: Detection


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Exactly one per unit."""

    unit_number: int
    """From 1, counted per camera over the life of the journal."""
    result: Result
    reason: str | None
    detail: str
    defects: tuple[Defect, ...]
    frame: FrameResult


_REASONS = {
    MissReason.LANE_FULL: "frame_dropped",
    MissReason.NO_BUFFER: "frame_dropped",
    MissReason.UNREADABLE: "frame_unreadable",
}


class VerdictOrder:
    """Holds verdict-ready frames of one camera until every earlier one is there too.

    A dropped frame is known before the frame in flight ahead of it is answered; the line still
    hears of both in the order they passed. Holds as many as the pipeline holds frames. Every
    sequence number must come exactly once: a second time raises.
    """

    def __init__(self) -> None:
        self._next = 0
        self._early: dict[int, FrameResult] = {}

    @property
    def waiting(self) -> int:
        """Results that came before their turn."""
        return len(self._early)

    def add(self, frame: FrameResult) -> list[FrameResult]:
        """The results whose turn has come, in order."""
        sequence = frame.ref.sequence
        if sequence < self._next or sequence in self._early:
            raise RuntimeError(f"frame {sequence} of {frame.ref.camera_id} was settled twice")
        self._early[sequence] = frame
        due = []
        while self._next in self._early:
            due.append(self._early.pop(self._next))
            self._next += 1
        return due

    def flush(self) -> list[FrameResult]:
        """What waits for a result that will not come, in order."""
        left = [self._early[sequence] for sequence in sorted(self._early)]
        self._early.clear()
        return left


def judge(
    frame: FrameResult,
    *,
    unit_number: int,
    codes: Sequence[str],
    thresholds: Sequence[float],
) -> Verdict:
    """The verdict on a unit that is one frame: PASSED only if somebody looked."""
    if frame.detections is None:
        miss = frame.miss or MissReason.INTERNAL_ERROR
        return Verdict(
            unit_number=unit_number,
            result=Result.ERROR if miss is MissReason.INTERNAL_ERROR else Result.NOT_INSPECTED,
            reason=_REASONS.get(miss, miss.value),
            detail=frame.detail,
            defects=(),
            frame=frame,
        )
    defects = tuple(
        Defect(code=codes[d.class_index], confidence=d.confidence, detection=d)
        for d in frame.detections
        if d.confidence >= thresholds[d.class_index]
    )
    return Verdict(
        unit_number=unit_number,
        result=Result.FAILED if defects else Result.PASSED,
        reason=None,
        detail="",
        defects=defects,
        frame=frame,
    )
