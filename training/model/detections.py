"""From the detector's candidates to detections, with the arithmetic the service ships.

The same steps as model_repository/postprocessing: score = objectness x class, the best class of
each candidate, non-maximum suppression within a class. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.data.boards import FloatArray, IntArray
from training.errors import TrainingError

FLOOR = 0.001
"""Lowest score kept: low enough for whole precision-recall curves."""
SUPPRESSION_IOU = 0.45
MAX_DETECTIONS = 300
_LIKELIEST = 1500
"""A detector that has learnt little has 20,000 candidates: most often these hold the best 300."""
OBJECTNESS = 4
"""Column of a candidate: centre x, centre y, width, height, objectness, then the classes."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one picture, best first.

    `boxes` [k, 4] float32 left, top, right, bottom in pixels; `scores` [k] float32 0..1;
    `classes` [k] int64.
    """

    boxes: FloatArray = field(repr=False)
    scores: FloatArray
    classes: IntArray

    def __len__(self) -> int:
        """How many."""
        return len(self.scores)


def decode(
    candidates: FloatArray,
    *,
    floor: float = FLOOR,
    suppression_iou: float = SUPPRESSION_IOU,
    limit: int = MAX_DETECTIONS,
) -> Detections:
    """Detections of one picture from its candidates, [k, 5 + classes] float32.

    Raises TrainingError where a number is not finite: every comparison with NaN is false, so
    that unchecked it would read as a good board.
    """
    if not np.isfinite(candidates).all():
        raise TrainingError("the detector's output is not finite (NaN or infinity)")
    # A class score is at most 1, so this loses nothing, and leaves few of 25200 candidates.
    candidates = candidates[candidates[:, OBJECTNESS] >= floor]
    scores = candidates[:, OBJECTNESS : OBJECTNESS + 1] * candidates[:, OBJECTNESS + 1 :]
    classes = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), classes]
    likely = best >= floor
    return suppress(
        Detections(_corners(candidates[likely, :4]), best[likely], classes[likely]),
        suppression_iou=suppression_iou,
        limit=limit,
    )


def suppress(
    found: Detections,
    *,
    suppression_iou: float = SUPPRESSION_IOU,
    limit: int = MAX_DETECTIONS,
) -> Detections:
    """The best of `found`, best first, without those that overlap a better one of their class."""
    # Stable, so that equal scores keep the detector's order on every machine.
    order = np.argsort(-found.scores, kind="stable")
    keep = _suppress(found, order[:_LIKELIEST], suppression_iou, limit)
    if len(keep) < limit and len(order) > _LIKELIEST:
        keep = _suppress(found, order, suppression_iou, limit)
    chosen = np.array(keep, np.int64)
    return Detections(found.boxes[chosen], found.scores[chosen], found.classes[chosen])


def _suppress(found: Detections, rest: IntArray, suppression_iou: float, limit: int) -> list[int]:
    keep: list[int] = []
    while len(rest) and len(keep) < limit:
        first, rest = rest[0], rest[1:]
        keep.append(int(first))
        overlaps = pairwise_iou(found.boxes[first : first + 1], found.boxes[rest])[0]
        same_class = found.classes[rest] == found.classes[first]
        rest = rest[~(same_class & (overlaps > suppression_iou))]
    return keep


def pairwise_iou(a: FloatArray, b: FloatArray) -> NDArray[np.float64]:
    """Intersection over union of every box of `a` with every box of `b`; 0 for empty boxes."""
    these, those = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    left_top = np.maximum(these[..., :2], those[..., :2])
    right_bottom = np.minimum(these[..., 2:], those[..., 2:])
    shared = _area(left_top, right_bottom)
    union = _area(these[..., :2], these[..., 2:]) + _area(those[..., :2], those[..., 2:]) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _area(left_top: NDArray[np.float64], right_bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(right_bottom - left_top, 0, None).prod(axis=-1))


def _corners(centred: FloatArray) -> FloatArray:
    half = centred[:, 2:] / 2
    return np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)
