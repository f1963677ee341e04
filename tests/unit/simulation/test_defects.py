import cv2
import numpy as np
import pytest

from inspector.simulation.board import draw_board
from inspector.simulation.circuit import lay_out
from inspector.simulation.defects import DefectCode, damage
from inspector.simulation.design import design
from tests.kit.drawn_boards import ALL, QUIRKS, outside


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_damage_lies_inside_the_boxes_of_the_truth(seed):
    for number in range(1, 6):
        board = draw_board(number, seed=seed, width_px=620, height_px=620, defects=ALL)
        twin = draw_board(number, seed=seed, width_px=620, height_px=620)
        differs = (board.picture != twin.picture).any(axis=2)
        assert not (differs & outside(board.truth, differs.shape)).any()
        for defect in board.truth:
            x, y, width, height = defect.bbox_px
            assert differs[y : y + height, x : x + width].sum() >= 6
        assert twin.truth == ()
        assert board.serial == twin.serial == f"SIM-{number:06d}"


def test_a_board_of_usual_size_gets_every_defect_asked_for():
    for number in range(20):
        board = draw_board(number, seed=5, width_px=620, height_px=620, defects=ALL)
        assert [defect.code for defect in board.truth] == list(ALL)


def test_boxes_of_a_board_do_not_touch():
    for number in range(20):
        boxes = [d.bbox_px for d in draw_board(
            number, seed=6, width_px=620, height_px=620, defects=ALL
        ).truth]  # fmt: skip
        for index, (ax, ay, aw, ah) in enumerate(boxes):
            for bx, by, bw, bh in boxes[:index]:
                assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


@pytest.mark.parametrize(
    ("code", "more_pieces"),
    [(DefectCode.OPEN, 1), (DefectCode.SHORT, -1), (DefectCode.COPPER, 1), (DefectCode.SPUR, 0),
     (DefectCode.MOUSEBITE, 0), (DefectCode.PIN_HOLE, 0)],
)  # fmt: skip
def test_a_defect_does_to_the_circuit_what_its_name_says(code, more_pieces):
    circuits = [lay_out(seed, 0, 620, 620) for seed in (0, 6, 12, 19)]
    for number in range(240):
        circuit = circuits[number % 4]
        copper, truth = damage(circuit, (code,), np.random.default_rng(number // 4))
        before, _ = cv2.connectedComponents(circuit.copper)
        after, _ = cv2.connectedComponents(copper)
        assert len(truth) == 1
        assert after - before == more_pieces, f"board {number}"


def test_a_defect_is_never_where_the_design_only_looks_like_one():
    marks = design(8, 0, 620, 620, QUIRKS).marks
    for number in range(12):
        board = draw_board(number, seed=8, width_px=620, height_px=620, defects=ALL, quirks=QUIRKS)
        assert board.truth
        for defect in board.truth:
            x, y, width, height = defect.bbox_px
            inside = [(mx, my) for mx, my in marks if x <= mx < x + width and y <= my < y + height]
            assert not inside
