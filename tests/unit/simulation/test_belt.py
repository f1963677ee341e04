import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.core.records import Image
from inspector.simulation.belt import SimulatedView
from inspector.simulation.board import draw_board
from inspector.simulation.circuit import lay_out
from inspector.simulation.data_matrix import encode
from inspector.simulation.defects import codes_of_board
from inspector.simulation.options import Direction, SimulationOptions, View
from tests.kit.drawn_boards import ALL, outside

SIZE = (800, 600)


def render(view: SimulatedView, frame_index: int) -> Image:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    view.render_into(frame_index, image)
    return image


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


def test_a_serial_is_readable_on_the_picture():
    board = draw_board(17, seed=8, width_px=620, height_px=620)
    x, y, width, _ = lay_out(8, 0, 620, 620).label_px
    module_px = width // 18
    quiet = 2 * module_px
    centres = np.arange(14) * module_px + module_px // 2 + quiet
    label = board.picture[y : y + width, x : x + width, 1]
    assert np.array_equal(label[np.ix_(centres, centres)] < 128, encode(board.serial))


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
