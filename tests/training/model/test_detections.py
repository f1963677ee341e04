from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import TrainingError
from training.model.detections import Detections, decode, pairwise_iou, suppress


def candidates(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 7)  # centre, size, objectness, two classes


def test_a_score_is_objectness_times_class():
    found = decode(candidates((100, 50, 20, 10, 0.5, 0.2, 0.8)))
    assert found.boxes.tolist() == [[90, 45, 110, 55]]
    assert found.scores.tolist() == pytest.approx([0.4])
    assert found.classes.tolist() == [1]


def test_of_two_boxes_on_one_spot_the_better_stays_unless_the_class_differs():
    found = decode(
        candidates(
            (100, 50, 20, 20, 0.6, 1, 0), (101, 50, 20, 20, 0.9, 1, 0), (100, 50, 20, 20, 0.5, 0, 1)
        )
    )
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.classes.tolist() == [0, 1]


def test_what_is_below_the_floor_is_not_kept():
    assert len(decode(candidates((10, 10, 5, 5, 0.0009, 1, 0)))) == 0
    assert len(decode(candidates((10, 10, 5, 5, 0.5, 0.001, 0)))) == 0
    assert len(decode(candidates((10, 10, 5, 5, 0.002, 1, 0)))) == 1


def test_no_candidate_is_no_detection():
    found = decode(candidates())
    assert found.boxes.shape == (0, 4)
    assert len(found) == 0


def test_at_most_so_many_and_the_best():
    rows = [(40 * i, 50, 20, 20, 0.1 + 0.01 * i, 1, 0) for i in range(20)]
    found = decode(candidates(*rows), limit=5)
    assert found.scores.tolist() == pytest.approx([0.29, 0.28, 0.27, 0.26, 0.25])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_output_that_is_not_finite_never_reads_as_a_good_board(value):
    with pytest.raises(TrainingError, match="not finite"):
        decode(candidates((10, 10, 5, 5, value, 1, 0)))


def test_an_empty_box_overlaps_nothing():
    nothing = np.array([[5, 5, 5, 5]], np.float32)
    assert pairwise_iou(nothing, nothing).tolist() == [[0]]


rows = st.lists(
    st.tuples(
        st.integers(0, 50), st.integers(0, 50), st.integers(1, 30), st.integers(1, 30),
        st.integers(0, 1), st.integers(1, 100),
    ),
    max_size=12,
)  # fmt: skip


@given(rows)
def test_survivors_of_suppression_do_not_overlap_within_a_class(given_rows):
    table = np.array(given_rows, np.float32).reshape(-1, 6)
    left_top, size = table[:, :2], table[:, 2:4]
    everything = Detections(
        np.concatenate([left_top, left_top + size], axis=1),
        table[:, 5] / np.float32(100),
        table[:, 4].astype(np.int64),
    )
    kept = suppress(everything)
    overlaps = pairwise_iou(kept.boxes, kept.boxes)
    np.fill_diagonal(overlaps, 0)
    same = kept.classes[:, None] == kept.classes[None, :]
    assert (overlaps[same] <= 0.45).all()
    assert (np.diff(kept.scores) <= 0).all()
    assert not given_rows or kept.scores[0] == everything.scores.max()


def test_a_crowd_of_candidates_changes_nothing_of_what_is_kept():
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 600, (4000, 2)).astype(np.float32)
    crowd = Detections(
        np.concatenate([corner, corner + 20], axis=1),
        rng.random(4000, np.float32),
        rng.integers(0, 3, 4000),
    )
    best = np.argsort(-crowd.scores)[:1500]
    few = suppress(Detections(crowd.boxes[best], crowd.scores[best], crowd.classes[best]))
    many = suppress(crowd)
    assert len(many) == 300
    assert many.scores.tolist() == few.scores.tolist()
    # Where the likeliest lie on each other, the less likely ones have their turn.
    crowd.boxes[best] = crowd.boxes[best[0]]
    kept = suppress(crowd)
    assert len(kept) == 300
    assert kept.scores[10] < crowd.scores[best[-1]]
