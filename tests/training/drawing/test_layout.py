from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.circuits import SIZE_PX, circuit
from training.drawing.layout import redesign

EVERYWHERE = (0, 0, SIZE_PX, SIZE_PX)


def redesigned(
    seed: int, *, taken: tuple[tuple[int, int, int, int], ...] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    before = circuit(seed=seed)
    after = before.copy()
    drawn = redesign([after], EVERYWHERE, np.random.default_rng(seed), taken=taken, features=6)
    return before, after, drawn


def pieces(board: NDArray[np.uint8]) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats((board == 0).astype(np.uint8))
    return int((stats[1:, cv2.CC_STAT_AREA] >= 12).sum())


def test_what_is_wanted_joins_and_cuts_nothing():
    total = 0
    for seed in range(20):
        before, after, drawn = redesigned(seed)
        total += drawn
        assert pieces(after) >= pieces(before), "two pieces of copper were joined"
        assert pieces(after) <= pieces(before) + drawn, "a piece of copper was cut in two"
    assert total > 10


def test_what_is_wanted_keeps_clear_of_defects():
    box = (SIZE_PX // 4, SIZE_PX // 4, 3 * SIZE_PX // 4, 3 * SIZE_PX // 4)
    left, top, right, bottom = box
    for seed in range(10):
        before, after, _ = redesigned(seed, taken=(box,))
        assert np.array_equal(before[top:bottom, left:right], after[top:bottom, left:right])


def test_the_board_and_its_reference_get_the_same_design():
    drawn = 0
    for seed in range(10):
        board, reference = circuit(seed=seed), circuit(seed=seed)
        drawn += redesign([board, reference], EVERYWHERE, np.random.default_rng(seed), features=6)
        assert np.array_equal(board, reference)
    assert drawn > 0


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_draws_the_same_design(seed: int):
    assert np.array_equal(redesigned(seed)[1], redesigned(seed)[1])
