from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training.evaluation.protocol import (
    DEEP_PCB_IOU,
    Truth,
    average_precision,
    average_precisions,
    best_working_point,
    false_alarms,
    interpolated_average_precision,
    judge,
    mean_average_precision,
    quiet_threshold,
    recall_per_class,
    working_point,
)
from training.model.detections import Detections

hit_lists = arrays.arrays(np.bool_, st.integers(0, 40))


def truth(*boxes: tuple[float, float, float, float, int]) -> Truth:
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    return Truth(rows[:, :4], rows[:, 4].astype(np.int64))


def found(*boxes: tuple[float, float, float, float, int, float]) -> Detections:
    rows = np.array(boxes, np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 5], rows[:, 4].astype(np.int64))


def judged(truths: list[Truth], seen: list[Detections], classes: int = 2, iou: float = 0.33):
    return judge(truths, seen, class_count=classes, iou=iou)


def test_average_precision_as_computed_by_hand():
    # Right, wrong, right, right of four: (1/1 + 2/3 + 3/4) / 4.
    hits = np.array([True, False, True, True])
    assert average_precision(hits, 4) == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)
    # Interpolated, the second hit counts with the better precision that comes later.
    assert interpolated_average_precision(hits, 4) == pytest.approx((1 + 3 / 4 + 3 / 4) / 4)


def test_no_detection_and_no_defect_are_worth_nothing():
    none = np.zeros(0, np.bool_)
    assert average_precision(none, 3) == 0
    assert average_precision(none, 0) == 0
    assert interpolated_average_precision(none, 3) == 0


def test_a_detection_needs_the_class_and_the_overlap():
    board = truth((0, 0, 30, 30, 0))
    right = found((0, 0, 30, 30, 0, 0.9))
    other_class = found((0, 0, 30, 30, 1, 0.9))
    elsewhere = found((100, 0, 130, 30, 0, 0.9))
    assert judged([board], [right]).hits.tolist() == [True]
    assert judged([board], [other_class]).hits.tolist() == [False]
    assert judged([board], [elsewhere]).hits.tolist() == [False]


def test_an_overlap_of_exactly_the_limit_is_not_enough():
    # 30 of 90 pixels are shared by two boxes of 60: one third.
    board = truth((0, 0, 60, 1, 0))
    seen = found((30, 0, 90, 1, 0, 0.9))
    third = 30 / 90
    assert judged([board], [seen], iou=third).hits.tolist() == [False]
    assert judged([board], [seen], iou=DEEP_PCB_IOU).hits.tolist() == [True]


def test_a_defect_is_found_once():
    board = truth((0, 0, 30, 30, 0))
    twice = found((1, 0, 31, 30, 0, 0.8), (0, 0, 30, 30, 0, 0.9))
    judgement = judged([board], [twice])
    assert judgement.scores.tolist() == pytest.approx([0.9, 0.8])
    assert judgement.hits.tolist() == [True, False]


def test_two_defects_side_by_side_are_both_found_by_overlapping_boxes():
    board = truth((0, 0, 30, 30, 0), (20, 0, 50, 30, 0))
    seen = found((18, 0, 48, 30, 0, 0.9), (4, 0, 34, 30, 0, 0.8))
    assert judged([board], [seen]).hits.tolist() == [True, True]


def test_a_defect_of_one_board_is_not_found_on_another():
    boards = [truth((0, 0, 30, 30, 0)), truth()]
    seen = [found(), found((0, 0, 30, 30, 0, 0.9))]
    assert judged(boards, seen).hits.tolist() == [False]


def test_the_mean_is_over_the_classes_that_are_shown():
    board = truth((0, 0, 30, 30, 0), (100, 0, 130, 30, 1))
    seen = found((0, 0, 30, 30, 0, 0.9))
    assert average_precisions(judged([board], [seen], classes=3)) == [1.0, 0.0, None]
    assert mean_average_precision(judged([board], [seen], classes=3)) == pytest.approx(0.5)


def test_a_working_point_as_computed_by_hand():
    board = truth((0, 0, 30, 30, 0), (100, 0, 130, 30, 1))
    seen = found((0, 0, 30, 30, 0, 0.9), (200, 0, 230, 30, 0, 0.6), (100, 0, 130, 30, 1, 0.3))
    judgement = judged([board], [seen])
    at_half = working_point(judgement, 0.5)
    assert (at_half.precision, at_half.recall, at_half.f_score) == (0.5, 0.5, 0.5)
    assert recall_per_class(judgement, 0.5) == [1.0, 0.0]
    best = best_working_point(judgement)
    # All three: two of three right, two of two found. 2 * 2 / (3 + 2).
    assert best.f_score == pytest.approx(0.8)
    assert best.threshold == pytest.approx(0.3)


def test_a_threshold_cannot_part_equal_scores():
    board = truth((0, 0, 30, 30, 0))
    seen = found((0, 0, 30, 30, 0, 0.5), (200, 0, 230, 30, 0, 0.5))
    assert best_working_point(judged([board], [seen])).f_score == pytest.approx(2 / 3)


def test_good_boards_count_and_not_only_boxes():
    silent, once = found(), found((0, 0, 30, 30, 0, 0.6))
    thrice = found(*[(0, 0, 30, 30, 0, score) for score in (0.9, 0.7, 0.4)])
    alarms = false_alarms([silent, once, thrice, silent], 0.5)
    assert alarms.boards_share == 0.5
    assert alarms.boxes_per_board == 0.75
    assert false_alarms([silent, once, thrice, silent], 0.8).boards_share == 0.25
    assert false_alarms([], 0.5).boards_share == 0


def alarms(*scores: float) -> Detections:
    return found(*((0, 0, 30, 30, 0, score) for score in scores))


def test_a_quiet_threshold_is_the_smallest_that_silences_enough_good_boards():
    loud = [alarms(0.9, 0.2), alarms(0.6), alarms(0.3), *[alarms()] * 17]
    threshold = quiet_threshold(loud, 0.05)
    assert threshold == pytest.approx(0.6, abs=1e-6)
    assert false_alarms(loud, threshold).boards_share == 0.05
    assert false_alarms(loud, 0.6).boards_share == 0.1
    assert quiet_threshold(loud, 0.0) == pytest.approx(0.9, abs=1e-6)
    assert quiet_threshold(loud, 1.0) == quiet_threshold([], 0.05) == 0
    assert quiet_threshold([alarms()] * 20, 0.05) == 0


@given(hit_lists, st.integers(0, 10))
def test_average_precision_is_a_share_and_interpolation_never_lowers_it(hits, missed):
    truths = int(hits.sum()) + missed
    plain = average_precision(hits, truths)
    assert 0 <= plain <= interpolated_average_precision(hits, truths) + 1e-12
    assert interpolated_average_precision(hits, truths) <= 1 + 1e-12


@given(hit_lists, st.integers(1, 10))
def test_a_false_alarm_below_everything_costs_no_average_precision(hits, missed):
    truths = int(hits.sum()) + missed
    longer = np.append(hits, np.False_)
    assert average_precision(longer, truths) == pytest.approx(average_precision(hits, truths))


boxes = st.lists(
    st.tuples(
        st.integers(0, 60), st.integers(0, 60), st.integers(5, 40), st.integers(5, 40),
        st.integers(0, 1), st.integers(1, 20),
    ),
    max_size=8,
)  # fmt: skip


def placed(rows: list[tuple[int, ...]]) -> Detections:
    return found(*[(x, y, x + w, y + h, c, score / 20) for x, y, w, h, c, score in rows])


@given(boxes, boxes)
def test_what_is_found_below_a_threshold_changes_nothing_above_it(defects, seen):
    board = placed(defects)
    truths = [Truth(board.boxes, board.classes)]
    everything = placed(seen)
    high = everything.scores >= 0.5
    some = Detections(everything.boxes[high], everything.scores[high], everything.classes[high])
    assert working_point(judged(truths, [everything]), 0.5) == working_point(
        judged(truths, [some]), 0.5
    )


@given(boxes)
def test_a_detector_that_says_the_truth_is_perfect(defects):
    board = placed(defects)
    judgement = judged([Truth(board.boxes, board.classes)], [board])
    assert judgement.hits.all()
    assert best_working_point(judgement).f_score == (1.0 if defects else 0.0)
    assert mean_average_precision(judgement) == pytest.approx(1.0 if defects else 0.0)


@given(boxes, boxes)
def test_the_best_working_point_is_no_worse_than_any_other(defects, seen):
    board = placed(defects)
    judgement = judged([Truth(board.boxes, board.classes)], [placed(seen)])
    best = best_working_point(judgement)
    scores = [float(score) for score in judgement.scores]
    assert best.f_score >= max((working_point(judgement, s).f_score for s in scores), default=0)
    if scores:
        assert working_point(judgement, best.threshold).f_score == pytest.approx(best.f_score)
