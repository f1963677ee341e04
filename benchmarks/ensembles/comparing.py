"""Whether a variant finds what the present ensemble finds: pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reply = dict[str, NDArray[Any]]
SAME_PLACE_IOU = 0.5
JUDGED_FROM = 0.5
"""Detections of at least this score must have a twin; between the floor and it they come and go."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Over all pictures, detections with a score of `JUDGED_FROM` or more on one side at least."""

    identical: bool
    """Bit for bit, every row of every output."""
    expected: int
    missing: int
    """Present in the reference only, with no twin of any score here."""
    extra: int
    """The other way round."""
    largest_score_difference: float
    smallest_iou: float

    def __str__(self) -> str:
        """A table's cell."""
        if self.identical:
            return f"identical ({self.expected})"
        return (
            f"{self.missing} of {self.expected} missing, {self.extra} extra, scores within "
            f"{self.largest_score_difference:.2f}, IoU from {self.smallest_iou:.2f}"
        )


def compare(expected: Sequence[Reply], found: Sequence[Reply]) -> Comparison:
    """The replies to the same pictures, one picture each."""
    identical = all(
        np.array_equal(e[name], f[name]) for e, f in zip(expected, found, strict=True) for name in e
    )
    missing, extra, differences, overlaps = 0, 0, [0.0], [1.0]
    for one, other in zip(expected, found, strict=True):
        pairs, lost = _twins(one, other)
        _, added = _twins(other, one)
        missing, extra = missing + lost, extra + added
        differences += [difference for difference, _ in pairs]
        overlaps += [overlap for _, overlap in pairs]
    total = sum(int((reply["scores"] >= JUDGED_FROM).sum()) for reply in expected)
    return Comparison(identical, total, missing, extra, max(differences), min(overlaps))


def _twins(one: Reply, other: Reply) -> tuple[list[tuple[float, float]], int]:
    """(score difference, IoU) of each judged detection and its twin; how many have none."""
    pairs, alone = [], 0
    count = int(other["count"][0, 0])
    for row in np.flatnonzero(one["scores"][0] >= JUDGED_FROM):
        overlaps = _iou(one["boxes"][0, row], other["boxes"][0, :count])
        overlaps[other["classes"][0, :count] != one["classes"][0, row]] = 0
        best = int(overlaps.argmax()) if count else -1
        if best < 0 or overlaps[best] < SAME_PLACE_IOU:
            alone += 1
            continue
        difference = abs(float(one["scores"][0, row]) - float(other["scores"][0, best]))
        pairs.append((difference, float(overlaps[best])))
    return pairs, alone


def _iou(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    left_top = np.maximum(box[:2], others[:, :2])
    right_bottom = np.minimum(box[2:], others[:, 2:])
    shared = np.clip(right_bottom - left_top, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float64)
