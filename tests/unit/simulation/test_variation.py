import cv2
import numpy as np
import pytest

from inspector.simulation.board import draw_board
from inspector.simulation.variation import Variation
from tests.kit.drawn_boards import ALL, outside


@pytest.mark.parametrize("variation", [1.0, 2.0])
def test_damage_lies_inside_its_box_on_boards_that_differ_too(variation):
    for number in range(1, 5):
        board, twin = (
            draw_board(
                number, seed=3, width_px=620, height_px=620, defects=codes, variation=variation
            )
            for codes in (ALL, ())
        )
        differs = (board.picture != twin.picture).any(axis=2)
        assert not (differs & outside(board.truth, differs.shape)).any()
        assert board.serial == twin.serial


def test_boards_of_a_design_differ_by_etching_tint_specks_and_label_only():
    def copper_of(number: int, variation: float) -> np.ndarray:
        board = draw_board(number, seed=8, width_px=620, height_px=620, variation=variation)
        grey = board.picture.astype(float).mean(axis=2)
        return np.asarray(grey < np.quantile(grey, (0.02, 0.7)).mean())

    one, other = copper_of(1, 1.0), copper_of(2, 1.0)
    label = np.s_[:140, :140]
    one[label], other[label] = False, False
    differing = (one != other).astype(np.uint8)
    assert differing.any()
    # Edges breathe by less than a pixel, and a speck is two pixels: nothing wide differs.
    assert cv2.erode(differing, np.ones((4, 4), np.uint8)).sum() == 0
    alike_one, alike_other = copper_of(1, 0.0), copper_of(2, 0.0)
    alike_one[label], alike_other[label] = False, False
    assert (alike_one != alike_other).sum() < differing.sum() / 4


def test_the_light_drifts_and_comes_back():
    def light(number: int) -> float:
        return Variation(seed=8, number=number, amount=1.0).light

    assert light(0) == light(160) == 1.0
    assert light(80) == pytest.approx(0.85)
    assert max(abs(light(n) - light(n + 1)) for n in range(200)) < 0.003
    assert Variation(seed=8, number=80, amount=0.0).light == 1.0
