"""The drawn boards, where they are, and the truth about them."""

import textwrap

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.core.records import Image
from inspector.simulation.belt import SimulatedView
from inspector.simulation.board import draw_board
from inspector.simulation.circuit import lay_out
from inspector.simulation.data_matrix import encode
from inspector.simulation.defects import DefectCode, TrueDefect, codes_of_board, damage
from inspector.simulation.design import design
from inspector.simulation.options import Direction, SimulationOptions, View
from inspector.simulation.variation import Variation

ALL = tuple(DefectCode)
SIZE = (800, 600)


def outside(truth: tuple[TrueDefect, ...], shape: tuple[int, ...]) -> np.ndarray:
    """True where nothing may differ from the defect-free twin."""
    mask = np.ones(shape[:2], bool)
    for defect in truth:
        x, y, width, height = defect.bbox_px
        mask[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = False
    return mask


def render(view: SimulatedView, frame_index: int) -> Image:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    view.render_into(frame_index, image)
    return image


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


def test_boards_of_a_product_share_their_circuit_and_products_do_not():
    first, second = lay_out(1, 0, 400, 400), lay_out(1, 0, 400, 400)
    other = lay_out(1, 1, 400, 400)
    assert np.array_equal(first.copper, second.copper)
    assert not np.array_equal(first.copper, other.copper)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    width_px=st.integers(110, 700),
    height_px=st.integers(110, 700),
)
def test_a_board_of_any_size_can_be_drawn(seed, width_px, height_px):
    board = draw_board(1, seed=seed, width_px=width_px, height_px=height_px, defects=ALL)
    assert board.picture.shape == (height_px, width_px, 3)
    assert board.picture.dtype == np.uint8
    for defect in board.truth:
        x, y, width, height = defect.bbox_px
        assert x >= 0
        assert y >= 0
        assert x + width <= width_px
        assert y + height <= height_px


def test_defects_come_at_the_rate_asked_for():
    bad = [codes_of_board(number, seed=1, defect_rate=0.3) for number in range(2000)]
    assert 0.26 < sum(1 for codes in bad if codes) / len(bad) < 0.34
    assert {len(codes) for codes in bad} == {0, 1, 2, 3, 4}
    assert {code for codes in bad for code in codes} == set(ALL)
    assert codes_of_board(3, seed=1, defect_rate=0.0) == ()


@pytest.mark.parametrize("direction", list(Direction))
def test_frames_of_a_belt_differ_from_a_good_line_only_where_the_truth_says(direction):
    bad = SimulationOptions(defect_rate=1.0, direction=direction, gap=80, speed=31)
    view = SimulatedView(bad, SIZE)
    twin = SimulatedView(SimulationOptions(defect_rate=0.0, direction=direction, gap=80, speed=31),
                         SIZE)  # fmt: skip
    damaged_frames = 0
    for frame_index in range(0, 80, 3):
        differs = (render(view, frame_index) != render(twin, frame_index)).any(axis=2)
        defects = tuple(d for board in view.truth(frame_index) for d in board.defects)
        assert not (differs & outside(defects, differs.shape)).any()
        damaged_frames += bool(differs.any())
    assert damaged_frames > 15


def test_strobed_frames_differ_from_a_good_line_only_where_the_truth_says():
    view = SimulatedView(SimulationOptions(view=View.STROBE, defect_rate=1.0), SIZE)
    twin = SimulatedView(SimulationOptions(view=View.STROBE, defect_rate=0.0), SIZE)
    for frame_index in range(8):
        (board,) = view.truth(frame_index)
        differs = (render(view, frame_index) != render(twin, frame_index)).any(axis=2)
        assert differs.any()
        assert not (differs & outside(board.defects, differs.shape)).any()
        assert board.fully_in_view
        assert board.number == frame_index + 1


def test_the_outline_is_where_the_board_is():
    view = SimulatedView(SimulationOptions(view=View.STROBE, seed=4), SIZE)
    for frame_index in range(4):
        (board,) = view.truth(frame_index)
        x, y, width, height = board.outline_px
        bright = render(view, frame_index).max(axis=2) > 120
        columns, rows = np.nonzero(bright.any(axis=0))[0], np.nonzero(bright.any(axis=1))[0]
        assert abs(columns.min() - x) <= 3
        assert abs(columns.max() + 1 - x - width) <= 3
        assert abs(rows.min() - y) <= 3
        assert abs(rows.max() + 1 - y - height) <= 3


@pytest.mark.parametrize(("direction", "step_px"), [(Direction.LEFT, -12), (Direction.RIGHT, 12)])
def test_boards_move_at_the_speed_of_the_belt(direction, step_px):
    options = SimulationOptions(direction=direction)
    view = SimulatedView(options, SIZE)
    where = [
        {board.number: board.outline_px[0] for board in view.truth(frame_index)}
        for frame_index in (90, 91)
    ]
    both = where[0].keys() & where[1].keys()
    assert both
    assert {where[1][number] - where[0][number] for number in both} == {step_px}


@pytest.mark.parametrize("direction", list(Direction))
def test_every_board_of_a_line_passes_completely_and_then_it_is_over(direction):
    options = SimulationOptions(boards=3, speed=20, gap=60, direction=direction)
    view = SimulatedView(options, SIZE)
    total = view.frames_total
    assert total is not None
    seen = [board.number for index in range(total) for board in view.truth(index)
            if board.fully_in_view]  # fmt: skip
    assert set(seen) == {1, 2, 3}
    assert view.truth(0) == ()
    assert view.truth(total - 1) == ()


def test_composing_ahead_changes_no_pixel():
    options = SimulationOptions(defect_rate=1.0)
    eager, lazy = SimulatedView(options, SIZE), SimulatedView(options, SIZE)
    for frame_index in range(0, 200, 10):
        while eager.compose_ahead(frame_index):
            pass
        assert np.array_equal(render(eager, frame_index), render(lazy, frame_index))


def test_products_alternate():
    options = SimulationOptions(view=View.STROBE, products=2, defect_rate=0)
    view = SimulatedView(options, SIZE)
    boards = [view.board(number).picture for number in (1, 2, 3)]
    dark = [board.max(axis=2) < 110 for board in boards]
    assert (dark[0] != dark[1]).mean() > 0.02
    assert (dark[0] != dark[2]).mean() < (dark[0] != dark[1]).mean() / 4


def test_a_data_matrix_is_what_a_reader_expects():
    # This picture was read as SIM-000017 by zxing-cpp 3.
    expected = textwrap.dedent("""\
        #.#.#.#.#.#.#.
        #.###.#.##...#
        #..##.##...#..
        #.#....#.###.#
        #.#..#......#.
        #.....####..##
        #..#.###..#.#.
        ##.#........##
        ####.#...##.#.
        #.#...######.#
        #...........#.
        #..##.#.#.#..#
        ##...##..#....
        ##############
    """).splitlines()
    assert ["".join(".#"[bool(dark)] for dark in row) for row in encode("SIM-000017")] == expected


def test_a_text_too_long_for_its_data_matrix_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        encode("SIM-1234567890")


def test_a_serial_is_readable_on_the_picture():
    board = draw_board(17, seed=8, width_px=620, height_px=620)
    x, y, width, _ = lay_out(8, 0, 620, 620).label_px
    module_px = width // 18
    quiet = 2 * module_px
    centres = np.arange(14) * module_px + module_px // 2 + quiet
    label = board.picture[y : y + width, x : x + width, 1]
    assert np.array_equal(label[np.ix_(centres, centres)] < 128, encode(board.serial))


# --- several products, whose boards differ a little ---


def boards_passing(view: SimulatedView, frames: int) -> list[int]:
    """The boards that were fully in view at some time, in the order they came."""
    seen: dict[int, None] = {}
    for index in range(frames):
        seen |= {board.number: None for board in view.truth(index) if board.fully_in_view}
    return list(seen)


def test_a_line_makes_so_many_of_one_product_and_then_of_the_next():
    view = SimulatedView(SimulationOptions(products=2, change_every=3), SIZE)
    assert [view.product(number) for number in range(1, 11)] == [1, 1, 1, 0, 0, 0, 1, 1, 1, 0]


def test_places_stay_empty_while_the_line_is_changed_over():
    options = SimulationOptions(
        products=2, change_every=2, pause=3, boards=4, speed=40, defect_rate=0
    )
    view = SimulatedView(options, SIZE)
    total = view.frames_total
    assert total is not None
    assert boards_passing(view, total) == [1, 2, 3, 4]
    empty = [index for index in range(total) if not view.truth(index)]
    pitch_frames = (min(620, int(600 * 0.94)) + options.gap) / options.speed
    longest = max(len(run) for run in np.split(empty, np.flatnonzero(np.diff(empty) != 1) + 1))
    assert longest > pitch_frames


def test_boards_after_a_change_are_good_for_a_reference_to_be_taught():
    options = SimulationOptions(products=2, change_every=4, good_first=2, defect_rate=1)
    view = SimulatedView(options, SIZE)
    assert [bool(view.board(number).truth) for number in range(1, 9)] == [
        False, False, True, True, False, False, True, True,
    ]  # fmt: skip


QUIRKS = 6


def test_what_only_looks_like_a_defect_is_on_every_board_of_a_product_and_is_none():
    plain, quirky = lay_out(8, 0, 620, 620), design(8, 0, 620, 620, QUIRKS)
    assert len(quirky.marks) == QUIRKS
    assert not np.array_equal(plain.copper, quirky.copper)
    assert np.array_equal(quirky.copper, design(8, 0, 620, 620, QUIRKS).copper)
    assert draw_board(1, seed=8, width_px=620, height_px=620, quirks=QUIRKS).truth == ()
    other = design(8, 1, 620, 620, QUIRKS)
    assert quirky.marks != other.marks


def test_a_defect_is_never_where_the_design_only_looks_like_one():
    marks = design(8, 0, 620, 620, QUIRKS).marks
    for number in range(12):
        board = draw_board(number, seed=8, width_px=620, height_px=620, defects=ALL, quirks=QUIRKS)
        assert board.truth
        for defect in board.truth:
            x, y, width, height = defect.bbox_px
            inside = [(mx, my) for mx, my in marks if x <= mx < x + width and y <= my < y + height]
            assert not inside


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
