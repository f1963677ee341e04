"""How good a detector is, by DeepPCB's own protocol and by the usual ones beside it. Pure.

DeepPCB judges with the script of ICDAR 2015 text localisation, changed in two places: a detection
needs the defect's class, and an overlap (IoU) of more than 0.33. Its average precision is not
interpolated: the precision at each hit, summed, over the number of defects. Detections below the
score a detector reports at all take no part, and its F-score is taken at one threshold.

One difference: the script lets each defect in turn take the first detection in the file that
fits; here each detection, best first, takes the fitting defect it overlaps most. That makes the
result independent of the order of labels, and of what is found below a threshold. For the first
detector of this repository the two agreed to the last digit, on all 500 test pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.data.boards import FloatArray, IntArray
from training.model.detections import Detections, pairwise_iou

DEEP_PCB_IOU = 0.33
COMMON_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Truth:
    """The defects of one picture: `boxes` [n, 4] left, top, right, bottom; `classes` [n]."""

    boxes: FloatArray
    classes: IntArray


@dataclass(frozen=True, eq=False)
class Judgement:
    """Every detection over all pictures, best first, and whether it was right.

    `scores` [k] float32, `classes` [k] int64, `hits` [k] bool; `truths` [c] int64: how many
    defects of each class there were.
    """

    scores: FloatArray = field(repr=False)
    classes: IntArray = field(repr=False)
    hits: NDArray[np.bool_] = field(repr=False)
    truths: IntArray


@dataclass(frozen=True)
class WorkingPoint:
    """What a detector does at one threshold, over all classes; shares 0..1."""

    threshold: float
    precision: float
    recall: float
    f_score: float


@dataclass(frozen=True)
class FalseAlarms:
    """What a detector does at one threshold to boards without any defect."""

    threshold: float
    boards_share: float
    """Boards with at least one detection: those a line would reject."""
    boxes_per_board: float


def judge(
    truths: Sequence[Truth], found: Sequence[Detections], *, class_count: int, iou: float
) -> Judgement:
    """Match detections to defects, picture by picture; `truths` and `found` in the same order."""
    pairs = list(zip(truths, found, strict=True))
    hits = [_hits(truth, seen, iou) for truth, seen in pairs]
    scores = np.concatenate([np.empty(0, np.float32), *(seen.scores for seen in found)])
    classes = np.concatenate([np.empty(0, np.int64), *(seen.classes for seen in found)])
    right = np.concatenate([np.empty(0, np.bool_), *hits])
    present = np.concatenate([np.empty(0, np.int64), *(truth.classes for truth in truths)])
    order = np.argsort(-scores, kind="stable")
    return Judgement(
        scores=scores[order],
        classes=classes[order],
        hits=right[order],
        truths=np.bincount(present, minlength=class_count),
    )


def _hits(truth: Truth, found: Detections, iou: float) -> NDArray[np.bool_]:
    hits = np.zeros(len(found), np.bool_)
    if not len(truth.classes):
        return hits
    overlaps = pairwise_iou(found.boxes, truth.boxes)
    overlaps[found.classes[:, None] != truth.classes[None, :]] = 0
    for detection in np.argsort(-found.scores, kind="stable"):
        best = int(overlaps[detection].argmax())
        if overlaps[detection, best] > iou:
            hits[detection] = True
            overlaps[:, best] = 0  # a defect is found once
    return hits


def average_precision(hits: NDArray[np.bool_], truths: int) -> float:
    """ICDAR's: the precision at each hit, summed, over the number of defects.

    `hits` are those of one class, best first. 0 where there are no defects.
    """
    if truths == 0:
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum()) / truths


def interpolated_average_precision(hits: NDArray[np.bool_], truths: int) -> float:
    """VOC's over all points: precision at a hit is the best at this recall or any higher."""
    if truths == 0:
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum()) / truths


def average_precisions(judgement: Judgement, *, interpolated: bool = False) -> list[float | None]:
    """One per class; None for a class that no picture shows."""
    compute = interpolated_average_precision if interpolated else average_precision
    return [
        compute(judgement.hits[judgement.classes == index], int(count)) if count else None
        for index, count in enumerate(judgement.truths)
    ]


def mean_average_precision(judgement: Judgement, *, interpolated: bool = False) -> float:
    """The mean over the classes that the pictures show; 0 where they show none."""
    present = [p for p in average_precisions(judgement, interpolated=interpolated) if p is not None]
    return sum(present) / len(present) if present else 0.0


def working_point(judgement: Judgement, threshold: float) -> WorkingPoint:
    """Precision, recall and F of all detections that score at least `threshold`."""
    kept = judgement.scores >= threshold
    return _point(threshold, int(judgement.hits[kept].sum()), int(kept.sum()), judgement)


def recall_per_class(judgement: Judgement, threshold: float) -> list[float | None]:
    """The share of each class's defects found at `threshold`; None for a class not shown."""
    found = judgement.classes[judgement.hits & (judgement.scores >= threshold)]
    hits = np.bincount(found, minlength=len(judgement.truths))
    return [
        int(hit) / int(count) if count else None
        for hit, count in zip(hits, judgement.truths, strict=True)
    ]


def best_working_point(judgement: Judgement) -> WorkingPoint:
    """The threshold with the best F-score; of equal ones the highest."""
    total = int(judgement.truths.sum())
    if not len(judgement.scores) or total == 0:
        return _point(1.0, 0, 0, judgement)
    # A threshold cannot divide equal scores: only their last one ends a candidate.
    ends = np.flatnonzero(np.append(np.diff(judgement.scores) != 0, True))
    hits = np.cumsum(judgement.hits)[ends]
    best = int(np.argmax(2 * hits / (ends + 1 + total)))  # F = 2 hits / (detections + defects)
    end = int(ends[best])
    return _point(float(judgement.scores[end]), int(hits[best]), end + 1, judgement)


def false_alarms(found: Sequence[Detections], threshold: float) -> FalseAlarms:
    """Of pictures that show no defect; 0 where there are no pictures."""
    boxes = np.array([int((seen.scores >= threshold).sum()) for seen in found])
    if not len(boxes):
        return FalseAlarms(threshold, 0.0, 0.0)
    return FalseAlarms(threshold, float((boxes > 0).mean()), float(boxes.mean()))


def quiet_threshold(found: Sequence[Detections], boards_share: float) -> float:
    """The smallest threshold at which at most this share of pictures has a detection.

    `found` is of pictures that show no defect. 0 where even their faintest may stay.
    """
    highest = np.array([seen.scores.max(initial=0.0) for seen in found], np.float32)
    allowed = int(boards_share * len(highest) + 1e-9)  # 0.05 x 20 is a little less than 1
    if allowed >= len(highest):
        return 0.0
    loudest_silenced = np.sort(highest)[::-1][allowed]
    if loudest_silenced == 0:
        return 0.0
    return float(np.nextafter(loudest_silenced, np.float32(2), dtype=np.float32))


def _point(threshold: float, hits: int, detections: int, judgement: Judgement) -> WorkingPoint:
    total = int(judgement.truths.sum())
    return WorkingPoint(
        threshold=threshold,
        precision=hits / detections if detections else 0.0,
        recall=hits / total if total else 0.0,
        f_score=2 * hits / (detections + total) if detections + total else 0.0,
    )
