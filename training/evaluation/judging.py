"""Judges a detector's ONNX file by a data set's test part; the numbers are data, see `report`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from training.data.boards import DataSet
from training.evaluation.protocol import (
    COMMON_IOU,
    DEEP_PCB_IOU,
    FalseAlarms,
    Judgement,
    Truth,
    WorkingPoint,
    average_precisions,
    best_working_point,
    false_alarms,
    judge,
    mean_average_precision,
    quiet_threshold,
    recall_per_class,
    working_point,
)
from training.evaluation.views import Condition, conditions_of
from training.model.detections import Detections
from training.model.onnx_detector import OnnxDetector

QUIET_SHARE = 0.05
"""A line bears a false alarm on one of twenty good boards."""
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Precisions:
    """Average precision at one IoU; shares 0..1, one per class, None where none is shown."""

    iou: float
    mean: float
    per_class: list[float | None]
    interpolated_mean: float
    interpolated_per_class: list[float | None]


@dataclass(frozen=True)
class Choice:
    """What a threshold chosen by a rule leads to."""

    rule: str
    point: WorkingPoint
    alarms: float | None
    """The share of good boards with an alarm there; None where no good boards were shown."""


@dataclass(frozen=True)
class OnDefects:
    """A condition whose pictures have defects. Working points are at DeepPCB's IoU."""

    key: str
    title: str
    boards: int
    defects: int
    deep_pcb: Precisions
    common: Precisions
    best: WorkingPoint
    choices: list[Choice]
    at: list[WorkingPoint]
    recall_per_class: list[list[float | None]]
    """For each of `at`."""


@dataclass(frozen=True)
class OnGoodBoards:
    """A condition whose pictures have none."""

    key: str
    title: str
    boards: int
    at: list[FalseAlarms]


@dataclass(frozen=True)
class Evaluation:
    """Everything an evaluation found, ready to be written."""

    model: str
    model_bytes: int
    model_sha256: str
    golden: bool
    data_set: str
    licence: str
    held_out: bool
    classes: tuple[str, ...]
    runtime: str
    threads: int
    seed: int
    limit: int | None
    inference_ms: float
    """Median of one run of the model, one tile."""
    on_defects: list[OnDefects]
    on_good_boards: list[OnGoodBoards]


@dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate, and how."""

    thresholds: tuple[float, ...] = THRESHOLDS
    limit: int | None = None
    threads: int = 1
    seed: int = 1


@dataclass(frozen=True)
class Progress:
    """Where an evaluation stands: board `done` of `total` in condition `title` was judged."""

    title: str
    done: int
    total: int


def evaluate(
    detector: OnnxDetector,
    data_set: DataSet,
    options: EvaluationOptions,
    report: Callable[[Progress], None] = lambda _: None,
) -> Evaluation:
    """Show every test board in every condition, and judge. Minutes, for some hundred boards.

    The same file, boards and options give the same numbers, but for the time. `report` is called
    after each board. Raises WrongInputError for a model that does not fit the data set.
    """
    detector.require_classes(data_set.classes)
    conditions = conditions_of(
        data_set,
        limit=options.limit,
        with_reference=detector.needs_reference,
        seed=options.seed,
    )
    shown = {
        condition.key: (condition, *_look(detector, condition, report)) for condition in conditions
    }
    good = {key: found for key, (condition, _, found) in shown.items() if condition.are_good}
    content = detector.path.read_bytes()
    return Evaluation(
        model=detector.path.name,
        model_bytes=len(content),
        model_sha256=hashlib.sha256(content).hexdigest(),
        golden=detector.needs_reference,
        data_set=data_set.name,
        licence=data_set.licence,
        held_out=data_set.held_out,
        classes=data_set.classes,
        runtime=detector.runtime,
        threads=options.threads,
        seed=options.seed,
        limit=options.limit,
        inference_ms=1000 * median(detector.inference_s),
        on_defects=[
            _on_defects(condition, _Shown(truths, found, good), len(data_set.classes), options)
            for condition, truths, found in shown.values()
            if not condition.are_good
        ],
        on_good_boards=[
            OnGoodBoards(
                condition.key,
                condition.title,
                len(found),
                [false_alarms(found, threshold) for threshold in options.thresholds],
            )
            for condition, _, found in shown.values()
            if condition.are_good
        ],
    )


def _look(
    detector: OnnxDetector, condition: Condition, report: Callable[[Progress], None]
) -> tuple[list[Truth], list[Detections]]:
    truths, found = [], []
    for done, board in enumerate(condition.boards, 1):
        view = condition.show(board)
        truths.append(view.truth)
        found.append(detector.detect(view.picture, view.reference))
        report(Progress(condition.title, done, len(condition.boards)))
    return truths, found


@dataclass(frozen=True)
class _Shown:
    truths: Sequence[Truth]
    found: Sequence[Detections]
    on_good: dict[str, list[Detections]]
    """What was found on good boards, by the key of their condition."""


def _on_defects(
    condition: Condition, shown: _Shown, class_count: int, options: EvaluationOptions
) -> OnDefects:
    truths, found, thresholds = shown.truths, shown.found, options.thresholds
    strict = judge(truths, found, class_count=class_count, iou=COMMON_IOU)
    official = judge(truths, found, class_count=class_count, iou=DEEP_PCB_IOU)
    return OnDefects(
        key=condition.key,
        title=condition.title,
        boards=len(found),
        defects=int(official.truths.sum()),
        deep_pcb=_precisions(official, DEEP_PCB_IOU),
        common=_precisions(strict, COMMON_IOU),
        best=best_working_point(official),
        choices=_choices(official, shown.on_good.get(condition.good_key)),
        at=[working_point(official, threshold) for threshold in thresholds],
        recall_per_class=[recall_per_class(official, threshold) for threshold in thresholds],
    )


def _choices(official: Judgement, good: Sequence[Detections] | None) -> list[Choice]:
    points = {"best F": best_working_point(official)}
    if good is not None:
        rule = f"alarm on at most {100 * QUIET_SHARE:g} % of good boards"
        points[rule] = working_point(official, quiet_threshold(good, QUIET_SHARE))
    return [
        Choice(
            rule,
            point,
            None if good is None else false_alarms(good, point.threshold).boards_share,
        )
        for rule, point in points.items()
    ]


def _precisions(judgement: Judgement, iou: float) -> Precisions:
    return Precisions(
        iou=iou,
        mean=mean_average_precision(judgement),
        per_class=average_precisions(judgement),
        interpolated_mean=mean_average_precision(judgement, interpolated=True),
        interpolated_per_class=average_precisions(judgement, interpolated=True),
    )
