from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.drawing.posing import Pose, misregistered, place, pose

BOARD_PX, SIZE_PX = 200, 320
MARKER = (60, 90, 83, 101)  # left, top, right, bottom


def marked() -> NDArray[np.uint8]:
    board = np.full((BOARD_PX, BOARD_PX), 255, np.uint8)
    left, top, right, bottom = MARKER
    board[top:bottom, left:right] = 0
    return board


def extent(picture: NDArray[np.uint8]) -> list[float]:
    """Edges of what is dark, to a fraction of a pixel: how much of each edge's pixels it fills."""
    dark = 1 - picture.astype(np.float64) / 255
    across, down = dark.max(axis=0), dark.max(axis=1)
    columns, rows = np.flatnonzero(across > 0.02), np.flatnonzero(down > 0.02)
    return [
        columns[0] + 1 - across[columns[0]],
        rows[0] + 1 - down[rows[0]],
        columns[-1] + across[columns[-1]],
        rows[-1] + down[rows[-1]],
    ]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_boxes_lie_exactly_where_turned_and_mirrored_pixels_do(
    quarter_turns: int,
    mirrored: bool,  # noqa: FBT001
):
    where = pose(
        (80.0, 95.0),
        size_px=SIZE_PX,
        at=(160.0, 160.0),
        quarter_turns=quarter_turns,
        mirrored=mirrored,
    )
    shown = place(marked(), where, outside=255)
    assert set(np.unique(shown)) == {0, 255}, "whole pixels move to whole pixels"
    box = where.boxes(np.array([MARKER], np.float32))[0]
    assert extent(shown) == pytest.approx(box.tolist(), abs=1e-3)


def test_boxes_lie_where_scaled_shifted_and_slightly_turned_pixels_do():
    rng = np.random.default_rng(1)
    for _ in range(60):
        where = pose(
            (rng.uniform(50, 110), rng.uniform(60, 120)),
            size_px=SIZE_PX,
            at=(160 + rng.uniform(-40, 40), 160 + rng.uniform(-40, 40)),
            scale=rng.uniform(0.88, 1.13),
            turn_deg=rng.uniform(-0.4, 0.4),
            quarter_turns=int(rng.integers(4)),
            mirrored=bool(rng.random() < 0.5),
        )
        shown = place(marked(), where, outside=255)
        box = where.boxes(np.array([MARKER], np.float32))[0]
        assert extent(shown) == pytest.approx(box.tolist(), abs=0.6)


def test_the_box_of_a_turned_marker_is_the_upright_one_around_it():
    where = pose((70.0, 95.0), size_px=SIZE_PX, at=(160.0, 160.0), turn_deg=30)
    shown = place(marked(), where, outside=255)
    box = where.boxes(np.array([MARKER], np.float32))[0]
    rows, columns = np.nonzero(shown < 128)
    # A corner's last pixel is dark by less than half.
    assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == pytest.approx(
        box.tolist(), abs=1.5
    )


def test_no_boxes_stay_no_boxes():
    where = pose((0.0, 0.0), size_px=SIZE_PX, at=(0.0, 0.0))
    assert where.boxes(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_a_misregistered_pose_is_off_by_a_few_pixels_at_most():
    rng = np.random.default_rng(2)
    where = pose((320.0, 320.0), size_px=640, at=(320.0, 320.0))
    corners = np.array([[0, 0, 1], [640, 0, 1], [0, 640, 1], [320, 320, 1]], np.float64)
    off = [
        np.abs((misregistered(where, rng).matrix - where.matrix) @ corners.T).max(axis=0)
        for _ in range(200)
    ]
    assert 1 < np.max(off, axis=0)[3] <= 2.5
    assert np.max(off) <= 2.5 + 0.005 * 320 + np.radians(0.35) * 320 + 0.1


def test_a_board_that_fills_the_picture_is_told_from_one_that_does_not():
    whole = Pose(np.eye(2, 3), 100)
    assert whole.is_covered_by(100, 100)
    assert not whole.is_covered_by(99, 100)
    turned = pose((50.0, 50.0), size_px=100, at=(50.0, 50.0), turn_deg=2)
    assert not turned.is_covered_by(100, 100)
    assert pose((60.0, 60.0), size_px=100, at=(50.0, 50.0), turn_deg=2).is_covered_by(120, 120)


def test_beyond_the_board_is_what_was_asked_for():
    where = pose((0.0, 0.0), size_px=64, at=(32.0, 32.0))
    shown = place(np.zeros((200, 200), np.uint8), where, outside=114)
    assert np.all(shown[:32] == 114)
    assert np.all(shown[33:, 33:] == 0)
    coloured = place(np.zeros((200, 200, 3), np.uint8), where, outside=114)
    assert coloured[0, 0].tolist() == [114, 114, 114]
