import numpy as np

from inspector.simulation.board import draw_board
from inspector.simulation.circuit import lay_out
from inspector.simulation.design import design
from tests.kit.drawn_boards import QUIRKS


def test_what_only_looks_like_a_defect_is_on_every_board_of_a_product_and_is_none():
    plain, quirky = lay_out(8, 0, 620, 620), design(8, 0, 620, 620, QUIRKS)
    assert len(quirky.marks) == QUIRKS
    assert not np.array_equal(plain.copper, quirky.copper)
    assert np.array_equal(quirky.copper, design(8, 0, 620, 620, QUIRKS).copper)
    assert draw_board(1, seed=8, width_px=620, height_px=620, quirks=QUIRKS).truth == ()
    other = design(8, 1, 620, 620, QUIRKS)
    assert quirky.marks != other.marks
