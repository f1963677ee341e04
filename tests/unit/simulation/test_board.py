import pytest

from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode


@pytest.mark.parametrize(
    ("code", "darker"),
    [(DefectCode.OPEN, False), (DefectCode.MOUSEBITE, False), (DefectCode.PIN_HOLE, False),
     (DefectCode.SHORT, True), (DefectCode.SPUR, True), (DefectCode.COPPER, True)],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_copper_is_dark_in_every_skin(code, darker, seed):
    board, twin = (
        draw_board(1, seed=seed, width_px=620, height_px=620, defects=codes)
        for codes in ((code,), ())
    )
    change = board.picture.astype(int).sum() - twin.picture.astype(int).sum()
    assert change < 0 if darker else change > 0
