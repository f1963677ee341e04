"""Compares two lists of findings of one picture: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inspector.core.places import Box
from inspector.core.records import Finding

LEAST_IOU, MOST_SCORE = 0.99, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The difference between the findings of two ways to run one network."""

    pairs: int
    alone: int
    """Findings that only one of them has."""
    least_iou: float
    largest_score: float

    @property
    def is_none(self) -> bool:
        """Whether both found the same."""
        return not self.alone and self.least_iou >= LEAST_IOU and self.largest_score <= MOST_SCORE

    def __add__(self, other: Difference) -> Difference:
        return Difference(
            pairs=self.pairs + other.pairs,
            alone=self.alone + other.alone,
            least_iou=min(self.least_iou, other.least_iou),
            largest_score=max(self.largest_score, other.largest_score),
        )


NO_DIFFERENCE = Difference(pairs=0, alone=0, least_iou=1.0, largest_score=0.0)


def difference(ours: Sequence[Finding], theirs: Sequence[Finding], floor: float) -> Difference:
    """Compare pair by pair, best first; a finding near the floor may be in one list alone."""
    free = list(theirs)
    worst, pairs, alone = NO_DIFFERENCE, 0, 0
    for one in sorted(ours, key=lambda found: -found.confidence):
        same = [other for other in free if other.code_index == one.code_index]
        best = max(same, key=lambda other: _likeness(one, other), default=None)
        if best is None or overlap(one.box, best.box) < 0.5:  # noqa: PLR2004 - not the same thing
            alone += one.confidence > floor + MOST_SCORE
            continue
        free.remove(best)
        pairs += 1
        worst += Difference(
            pairs=0,
            alone=0,
            least_iou=overlap(one.box, best.box),
            largest_score=abs(one.confidence - best.confidence),
        )
    alone += sum(other.confidence > floor + MOST_SCORE for other in free)
    return worst + Difference(pairs=pairs, alone=alone, least_iou=1.0, largest_score=0.0)


def _likeness(one: Finding, other: Finding) -> tuple[float, float]:
    return overlap(one.box, other.box), -abs(one.confidence - other.confidence)


def overlap(one: Box | None, other: Box | None) -> float:
    """Intersection over union; 1 for two findings about the unit as a whole."""
    if one is None or other is None:
        return float(one is other)
    width = min(one.right_px, other.right_px) - max(one.left_px, other.left_px)
    height = min(one.bottom_px, other.bottom_px) - max(one.top_px, other.top_px)
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box.right_px - box.left_px) * (box.bottom_px - box.top_px) for box in (one, other)]
    return shared / max(sum(areas) - shared, 1e-9)
