from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.simulation.circuit import lay_out
from tests.training.circuits import SIZE_PX, circuit
from training.drawing.designs import Circuits, distorted

_SPECK_PX = 40
"""Smaller pieces are corners that the turned board's edge cuts off."""


def pieces(board: NDArray[np.uint8], colour: int) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats((board == colour).astype(np.uint8))
    return int((stats[1:, cv2.CC_STAT_AREA] >= _SPECK_PX).sum())


def test_a_distorted_board_is_another_board_of_the_same_kind():
    shares = set()
    for seed in range(20):
        template = circuit(seed=seed)
        before = template.copy()
        other = distorted(template, np.random.default_rng(seed))
        assert np.array_equal(template, before)
        assert other.shape == template.shape
        assert set(np.unique(other)) <= {0, 255}
        assert not np.array_equal(other, template)
        shares.add(round(float((other == 0).mean()), 3))
    assert len(shares) > 10


@pytest.mark.parametrize("width_px", [7, 9, 12])
def test_a_distorted_track_is_neither_cut_nor_joined_to_its_neighbour(width_px: int):
    """Two tracks, side by side, through the whole board: two pieces of copper, always."""
    template = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
    for y in (SIZE_PX // 2 - 14, SIZE_PX // 2 + 14):
        template[y - width_px // 2 : y + (width_px + 1) // 2] = 0
    for seed in range(60):
        other = distorted(template, np.random.default_rng(seed))
        assert pieces(other, 0) <= 2, seed
        assert (other == 0).any(), seed


def test_circuits_are_those_of_the_simulated_line_but_of_no_demo():
    circuits, rng = Circuits(), np.random.default_rng(3)
    drawn = [circuits.draw(rng, 320) for _ in range(6)]
    assert all(set(np.unique(one)) == {0, 255} for one in drawn)
    assert len({one.tobytes() for one in drawn}) > 3
    shown = {(255 - lay_out(seed, 0, 320, 320).copper).tobytes() for seed in range(5)}
    assert shown.isdisjoint(one.tobytes() for one in drawn)


def test_the_same_seed_draws_the_same_circuits():
    one, other = (Circuits().draw(np.random.default_rng(7), 256) for _ in range(2))
    assert np.array_equal(one, other)
