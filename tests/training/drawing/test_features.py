from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.circuits import SIZE_PX, circuit
from training.drawing.draughting import Gray
from training.drawing.features import COPPER, FEATURES, LAMINATE, Feature

KINDS = sorted(set(FEATURES), key=lambda feature: feature.__name__)


def drawn(feature: Feature, board: Gray, tries: int = 60) -> list[tuple[Gray, int]]:
    """What the feature would draw, each time it finds a place: ink and colour."""
    found = []
    for seed in range(tries):
        ink, clear = np.zeros_like(board), np.ones_like(board)
        colour = feature(board, clear, ink, np.random.default_rng(seed))
        if colour is not None:
            found.append((ink, colour))
    return found


@pytest.mark.parametrize("feature", KINDS, ids=lambda feature: feature.__name__)
def test_every_feature_finds_places_and_draws_there(feature: Feature):
    plane = np.full((SIZE_PX, SIZE_PX), LAMINATE, np.uint8)
    cv2.rectangle(plane, (0, 0), (SIZE_PX // 2, SIZE_PX), COPPER, -1)
    found = drawn(feature, plane)
    assert found, "it found no place on a board with room for anything"
    for ink, colour in found:
        assert set(np.unique(ink)) == {0, 1}
        assert np.any(plane[ink > 0] != colour), "it changes nothing"


@pytest.mark.parametrize("feature", KINDS, ids=lambda feature: feature.__name__)
def test_no_feature_draws_where_it_may_not(feature: Feature):
    for seed in range(20):
        board = circuit(seed=seed)
        ink, clear = np.zeros_like(board), np.zeros_like(board)
        assert feature(board, clear, ink, np.random.default_rng(seed)) is None or not ink.any()


@pytest.mark.parametrize("feature", KINDS, ids=lambda feature: feature.__name__)
def test_copper_stands_free_except_for_the_neck_of_a_pad(feature: Feature):
    """A feature joins no two pieces: what it touches is one piece of copper at most."""
    for seed in range(12):
        board = circuit(seed=seed)
        _, before = cv2.connectedComponents((board == COPPER).astype(np.uint8))
        for ink, colour in drawn(feature, board, tries=8):
            if colour == COPPER:
                touched = set(np.unique(before[cv2.dilate(ink, np.ones((3, 3), np.uint8)) > 0]))
                assert len(touched - {0}) <= (1 if "neck" in feature.__name__ else 0)
