from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.circuits import write_circuits
from tests.training.made import write_picture
from training.data.boards import Board, read_picture
from training.drawing.defects import CLASSES
from training.drawing.recipe import Recipe
from training.drawing.samples import Sample, Sampler, _judge_visible
from training.drawing.scenes import Scenes
from training.drawing.strokes import MOUSEBITE
from training.model.model_input import PADDING_GRAY
from training.model.truth import IGNORED

SIZE_PX = 160
AS_IT_IS = Recipe(
    size_px=SIZE_PX,
    flat=1.0,
    reference=0.0,
    anywhere=0.0,
    drawn=0.0,
    redesigned=0.0,
    invented=0.0,
    margin=0.0,
    off_board=0.0,
    belt=0.0,
)


def squares(folder: Path, *, colours: tuple[int, ...] = (0, 255), size_px: int = 400) -> Board:
    """Squares in the first colour on the second; gray of a camera where those are two grays."""
    corners = [(40, 60), (200, 90), (300, 310), (90, 250)]
    picture = np.full((size_px, size_px), colours[1], np.uint8)
    for x, y in corners:
        picture[y : y + 30, x : x + 30] = colours[0]
    boxes = np.array([(x, y, x + 30, y + 30) for x, y in corners], np.float32)
    kinds = np.arange(len(corners))
    return Board("b", write_picture(folder / "b.png", picture), None, boxes, kinds)


def take(count: int, board: Board, recipe: Recipe, seed: int = 1) -> list[Sample]:
    return list(islice(Sampler((board,), recipe, seed=[seed]), count))


def dark(sample: Sample) -> NDArray[np.bool_]:
    return np.asarray(sample.picture[..., 0] < 128)


@pytest.mark.parametrize("off_board", [0.0, 1.0])
def test_every_box_is_around_its_square_and_every_square_has_a_box(
    tmp_path: Path, off_board: float
):
    board = squares(tmp_path)
    recipe = replace(AS_IT_IS, off_board=off_board)
    seen = 0
    for sample in take(80, board, recipe):
        left = dark(sample)
        for box, kind in zip(sample.boxes, sample.classes, strict=True):
            x1, y1, x2, y2 = box.round().astype(int)
            if kind != IGNORED:
                # A square that is turned by 3.5 degrees fills 88 % of its upright box.
                assert left[y1:y2, x1:x2].mean() > 0.85
                seen += 1
            left[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = False
        # What is left is of squares of which less than 15 % can be seen.
        _, _, stats, _ = cv2.connectedComponentsWithStats(left.astype(np.uint8))
        assert stats[1:, cv2.CC_STAT_AREA].max(initial=0) < 0.2 * 30 * 30 * 1.3
    assert seen > 60


def test_a_photographed_square_is_dark_inside_its_box(tmp_path: Path):
    board = squares(tmp_path)
    seen = 0
    for sample in take(60, board, replace(AS_IT_IS, flat=0.0)):
        gray = sample.picture.astype(np.float64).mean(axis=2)
        for box, kind in zip(sample.boxes, sample.classes, strict=True):
            x1, y1, x2, y2 = box.round().astype(int)
            if kind == IGNORED or x1 < 9 or y1 < 9 or x2 > SIZE_PX - 9 or y2 > SIZE_PX - 9:
                continue
            inside = gray[y1 + 6 : y2 - 6, x1 + 6 : x2 - 6].mean()
            rim = [gray[y1 - 8 : y1 - 3, x1:x2].mean(), gray[y2 + 3 : y2 + 8, x1:x2].mean()]
            assert inside < np.mean(rim) - 8
            seen += 1
    assert seen > 30


def test_what_is_mostly_cut_off_is_neither_right_nor_wrong():
    boxes = np.array(
        [[10, 10, 50, 50], [-10, 0, 30, 40], [-30, 0, 10, 40], [-36, 0, 4, 40], [400, 0, 440, 40]],
        np.float32,
    )
    kinds = _judge_visible(boxes, np.arange(5), SIZE_PX)
    assert kinds[:3].tolist() == [0, 1, IGNORED]
    assert all(kind not in {*range(6), IGNORED} for kind in kinds[3:])


def test_the_same_seed_gives_the_same_samples(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=3, test=1)

    def stream(seed: list[int]) -> list[Sample]:
        return list(islice(Sampler(data_set.train, Recipe(size_px=SIZE_PX), seed=seed), 8))

    first, second, other = stream([1, 0]), stream([1, 0]), stream([1, 1])
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.picture, two.picture)
        assert np.array_equal(one.boxes, two.boxes)
        assert np.array_equal(one.classes, two.classes)
    assert not all(
        np.array_equal(one.picture, two.picture) for one, two in zip(first, other, strict=True)
    )


def test_samples_are_well_formed_whatever_the_recipe_draws(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=3, test=1)
    recipe = Recipe(size_px=SIZE_PX, drawn=0.8, off_board=0.5, belt=0.1)
    drawn = 0
    for sample in islice(Sampler(data_set.train, recipe, seed=[2]), 150):
        assert sample.picture.shape == (SIZE_PX, SIZE_PX, 3)
        assert sample.picture.dtype == np.uint8
        assert sample.boxes.dtype == np.float32
        assert sample.boxes.shape == (len(sample.classes), 4)
        assert np.all((sample.boxes >= 0) & (sample.boxes <= SIZE_PX))
        assert np.all(sample.boxes[:, :2] < sample.boxes[:, 2:])
        assert set(sample.classes.tolist()) <= {IGNORED, *range(6)}
        drawn += len(sample.classes)
    assert drawn > 150


def test_every_board_is_shown_once_per_round(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=5, test=1)
    sampler = Sampler(data_set.train, AS_IT_IS, seed=[1])
    shown: list[str] = []

    def note(board: Board) -> Sample:
        shown.append(board.name)
        return Sampler.sample(sampler, board)

    sampler.sample = note  # type: ignore[method-assign]
    list(islice(sampler, 10))
    assert sorted(shown[:5]) == sorted(shown[5:]) == sorted(board.name for board in data_set.train)


def test_nothing_is_drawn_for_classes_that_cannot_be_drawn():
    assert Recipe().suited_to(CLASSES).drawn == Recipe().drawn
    assert Recipe().suited_to(("dent", "scratch")).drawn == 0
    assert Recipe().suited_to(tuple(reversed(CLASSES))).drawn == 0


def test_a_good_board_shows_no_defect(tmp_path: Path):
    board = squares(tmp_path)
    good = Board("good", board.picture, None, board.boxes[:0], board.classes[:0])
    assert all(not len(sample.classes) for sample in take(10, good, AS_IT_IS))


def test_the_reference_is_shown_without_defects(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=1, test=1)
    recipe = replace(AS_IT_IS, reference=1.0)
    assert all(not len(sample.classes) for sample in take(10, data_set.train[0], recipe))


def test_an_empty_belt_shows_no_defect(tmp_path: Path):
    recipe = replace(AS_IT_IS, belt=1.0, flat=0.0)
    for sample in take(5, squares(tmp_path), recipe):
        assert not len(sample.classes)


@pytest.mark.parametrize("levels", [(70, 180), (70, 180, 3)])
def test_a_camera_picture_keeps_its_colours(tmp_path: Path, levels: tuple[int, ...]):
    board = squares(tmp_path, colours=levels)
    if len(levels) == 3:
        gray = read_picture(board.picture)
        write_picture(board.picture, np.stack([gray, gray // 2, gray // 3], axis=2))
    for sample in take(12, board, AS_IT_IS):
        # Red, green, blue.
        shown = set(map(tuple, sample.picture.reshape(-1, 3).tolist()))
        wanted = (180, 180, 180) if len(levels) == 2 else (60, 90, 180)
        assert wanted in shown
        assert (255, 255, 255) not in shown
        assert (0, 0, 0) not in shown


def test_gray_of_a_camera_gets_no_board_skin(tmp_path: Path):
    board = squares(tmp_path, colours=(70, 180))
    for sample in take(10, board, replace(AS_IT_IS, flat=0.0)):
        middle = sample.picture[40:-40, 40:-40].astype(np.float64)
        colour = middle.mean(axis=(0, 1))
        assert np.ptp(colour) < 12, "only labels and noise have colours"


@pytest.mark.parametrize("scan", [True, False])
@pytest.mark.parametrize("flat", [0.0, 1.0])
def test_a_picture_smaller_than_the_crop_stands_whole_in_it(
    tmp_path: Path,
    scan: bool,  # noqa: FBT001
    flat: float,
):
    picture = np.full((50, 70), 255 if scan else 190, np.uint8)
    picture[20:32, 30:44] = 0 if scan else 60
    box = np.array([[30, 20, 44, 32]], np.float32)
    path = write_picture(tmp_path / "small.png", picture)
    board = Board("small", path, None, box, np.array([3]))
    recipe = replace(AS_IT_IS, flat=flat, drawn=0.5)
    for sample in take(15, board, recipe):
        assert 3 in sample.classes.tolist()
        if flat and not scan:
            assert sample.picture[0, 0].tolist() == [PADDING_GRAY] * 3


def test_a_golden_sample_shows_board_reference_and_difference(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=1, test=1)
    board = data_set.train[0]
    exact = differing = 0
    for sample in take(40, board, replace(AS_IT_IS, golden=True)):
        found, wanted, difference = np.moveaxis(sample.picture.astype(int), 2, 0)
        assert np.all(np.abs(difference - (128 + (found - wanted) / 2)) <= 1)
        outside = np.ones(found.shape, bool)
        for x1, y1, x2, y2 in sample.boxes.round().astype(int):
            outside[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = False
        exact += bool(np.all(difference[outside] == 128))
        differing += bool(np.any(np.abs(difference - 128) > 60))
    assert 5 < exact < 35, "half of the references are misregistered"
    assert differing > 30


def test_marks_that_are_on_the_golden_reference_too_are_no_defects(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=1, test=1)
    board = data_set.train[0]
    recipe = replace(AS_IT_IS, golden=True, alike=1.0)
    real = read_picture(board.picture) != read_picture(board.reference or board.picture)
    scenes = Scenes(recipe, np.random.default_rng(1), cache_bytes=0)
    for _ in range(10):
        scene = scenes.scene(board)
        assert np.array_equal(scene.found, scene.reference)
        assert len(scene.boxes) == len(scene.kinds) == 0
        assert np.array_equal(scene.found, read_picture(board.picture)), "its own marks are shown"
    assert real.any()
    boxes = further = 0
    for sample in take(60, board, replace(recipe, drawn=1.0)):
        found, wanted, _ = np.moveaxis(sample.picture.astype(int), 2, 0)
        for x1, y1, x2, y2 in sample.boxes.round().astype(int):
            assert np.any(found[y1:y2, x1:x2] != wanted[y1:y2, x1:x2])
            boxes += 1
    scenes = Scenes(replace(recipe, drawn=1.0), np.random.default_rng(1), cache_bytes=0)
    for _ in range(20):
        scene = scenes.scene(board)
        further += not np.array_equal(scene.found, read_picture(board.picture))
    assert boxes > 20, "others are drawn on the board alone"
    assert 5 < further < 20, "most references have further marks"


def test_board_and_golden_reference_may_end_at_different_places(tmp_path: Path):
    """All copper, no damage: what differs is a strip of one of the two, clear of the defects."""
    picture = np.zeros((640, 640), np.uint8)
    path = write_picture(tmp_path / "b.png", picture)
    defects = np.array([[0, 300, 20, 320]], np.float32)
    board = Board("b", path, path, defects, np.array([MOUSEBITE]))
    recipe = replace(AS_IT_IS, golden=True, margin=1.0)
    scenes = Scenes(recipe, np.random.default_rng(1), cache_bytes=0)
    shorter = {"board": 0, "reference": 0, "neither": 0}
    for _ in range(120):
        scene = scenes.scene(board)
        rows, columns = np.nonzero(scene.found != scene.reference)
        if not len(rows):
            shorter["neither"] += 1
            continue
        assert min(np.ptp(rows), np.ptp(columns)) < 12
        ended = "board" if scene.found[rows[0], columns[0]] else "reference"
        shorter[ended] += 1
        x1, y1, x2, y2 = scene.boxes[0].astype(int)
        assert ended == "reference" or np.all(scene.found[y1:y2, x1:x2] == 0)
    assert shorter["board"] > 5
    assert shorter["reference"] > 5
    assert shorter["neither"] > 60


def test_a_golden_reference_may_lie_far_off(tmp_path: Path):
    board = replace(squares(tmp_path), reference=tmp_path / "b.png")
    farthest = 0
    for sample in take(60, board, replace(AS_IT_IS, golden=True)):
        found, wanted = (sample.picture[..., channel] < 128 for channel in (0, 1))
        x, y = np.where(found.any(0))[0], np.where(wanted.any(0))[0]
        if len(x) and len(y) and x[0] and y[0]:
            farthest = max(farthest, abs(int(x[0]) - int(y[0])))
    assert 5 <= farthest <= 13


def test_pictures_are_kept_within_the_bytes_allowed(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=4, test=1)
    one = 256 * 256
    for allowed in (0, 2 * one, 100 * one):
        sampler = Sampler(data_set.train, AS_IT_IS, seed=[1], cache_bytes=allowed)
        list(islice(sampler, 12))
        assert sampler._scenes._kept_bytes == sum(
            kept.nbytes for kept in sampler._scenes._kept.values()
        )
        # The newest is always kept.
        assert sampler._scenes._kept_bytes <= max(allowed, one)


def test_a_margin_cuts_no_defect_off(tmp_path: Path):
    board = squares(tmp_path)
    seen = 0
    for sample in take(60, board, replace(AS_IT_IS, margin=1.0, size_px=320, off_board=1.0)):
        whole = sample.classes >= 0
        seen += int(whole.sum())
        for left, top, right, bottom in np.round(sample.boxes[whole]).astype(int):
            assert dark(sample)[top + 2 : bottom - 2, left + 2 : right - 2].mean() > 0.9
    assert seen > 60


def test_a_margin_moves_where_the_copper_ends(tmp_path: Path):
    """Copper over the whole board: with margins its edge lies somewhere else each time."""
    picture = np.zeros((640, 640), np.uint8)
    path = write_picture(tmp_path / "b.png", picture)
    board = Board("b", path, None, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    recipe = replace(AS_IT_IS, margin=1.0, size_px=320)
    ends = {int(np.argmin(dark(sample)[160])) for sample in take(40, board, recipe)}
    assert len(ends) > 5


def test_a_cut_goes_where_it_leaves_slivers():
    """One bar of copper along the edge: a cut in it leaves a sliver, one before it a stripe."""
    scenes = Scenes(AS_IT_IS, np.random.default_rng(1), cache_bytes=0)
    board = np.full((400, 400), 255, np.uint8)
    board[40:50] = 0
    beside = [40 - 14 <= scenes._depth(board) < 50 for _ in range(200)]
    assert np.mean(beside) > 0.45, "a blind cut meets them in three of ten"
