from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.circuits import circuit
from training.drawing import sensor
from training.drawing.camera import Skins, render, render_pair
from training.drawing.distractors import Label, screw_hole
from training.drawing.look import HELD_OUT_SKINS, SKIN_DISTANCE, Look
from training.drawing.posing import pose

MARKER_PX = 24
NOTHING = np.zeros((0, 4), np.float32)


def marked(*, at: tuple[int, int] = (300, 340)) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A blank board with one black square, and its box."""
    board = np.full((640, 640), 255, np.uint8)
    x, y = at
    board[y : y + MARKER_PX, x : x + MARKER_PX] = 0
    return board, np.array([[x, y, x + MARKER_PX, y + MARKER_PX]], np.float32)


def middle_of_dark(picture: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Centre of gravity of the darkness within and near the box."""
    left, top = np.floor(box[:2] - 16).astype(int)
    right, bottom = np.ceil(box[2:] + 16).astype(int)
    part = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[top:bottom, left:right].astype(np.float64)
    rim = np.concatenate([part[:6].ravel(), part[-6:].ravel()])
    depth = np.clip(np.median(rim) - part - 3 * rim.std(), 0, None)
    ys, xs = np.mgrid[top:bottom, left:right] + 0.5
    return np.array([(xs * depth).sum() / depth.sum(), (ys * depth).sum() / depth.sum()])


@pytest.mark.parametrize("skins", ["held-out", "training"])
def test_a_rendered_defect_is_where_its_box_is(skins: Skins):
    board, boxes = marked()
    for seed in range(12):
        shown, moved = render(board, boxes, np.random.default_rng(seed), skins=skins)
        assert shown.shape == (640, 640, 3)
        assert shown.dtype == np.uint8
        middle = (moved[0, :2] + moved[0, 2:]) / 2
        assert middle_of_dark(shown, moved[0]) == pytest.approx(middle.tolist(), abs=1.0)


def test_rendering_cuts_no_defect():
    rng = np.random.default_rng(5)
    board = circuit(640)
    for seed in range(150):
        corner = rng.uniform(0, 600, (6, 2))
        corner[:3] = rng.choice([0, 2, 600], (3, 2))  # at the board's edge
        boxes = np.concatenate([corner, corner + 38], axis=1).astype(np.float32)
        _, moved = _posed(board, boxes, seed)
        size = moved[:, 2:] - moved[:, :2]
        gone = (size <= 0).any(axis=1)
        # A box may lose the two pixels by which it may reach out.
        assert np.all(gone | (size > 0.9 * 38 - 2.01).all(axis=1))


def _posed(
    board: NDArray[np.uint8], boxes: NDArray[np.float32], seed: int
) -> tuple[None, NDArray[np.float32]]:
    """The boxes `render` gives, without the work of painting."""
    from training.drawing.camera import _whole_defects  # noqa: PLC0415

    where = _whole_defects(board, boxes, np.random.default_rng(seed))
    return None, np.clip(where.boxes(boxes), 0, 640)


def test_the_same_seed_renders_the_same():
    board, boxes = marked()
    first, second, other = (render(board, boxes, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_training_never_sees_a_held_out_skin_or_lamp():
    rng = np.random.default_rng(3)
    known = np.array([(*one, *other) for one, other in HELD_OUT_SKINS], np.float64)
    for _ in range(4000):
        look = Look.random(rng)
        skin = np.concatenate([look.laminate, look.copper])
        assert np.sqrt(np.mean((known - skin) ** 2, axis=1)).min() >= SKIN_DISTANCE
        assert look.light == "slope"
    assert {Look.held_out(rng).light for _ in range(20)} == {"spot"}


def test_copper_stays_darker_than_laminate():
    rng = np.random.default_rng(4)
    gray = np.array([0.114, 0.587, 0.299])
    for _ in range(500):
        look = Look.random(rng)
        assert gray @ look.copper + 30 < gray @ look.laminate


def test_a_reference_lies_nearly_where_the_board_does_and_is_lit_differently():
    board, boxes = marked()
    for seed in range(6):
        shown, beside, moved = render_pair(board, board, boxes, np.random.default_rng(seed))
        middle = (moved[0, :2] + moved[0, 2:]) / 2
        assert middle_of_dark(shown, moved[0]) == pytest.approx(middle.tolist(), abs=1.0)
        assert middle_of_dark(beside, moved[0]) == pytest.approx(middle.tolist(), abs=5.0)
        assert not np.array_equal(shown, beside)


def test_the_reference_does_not_show_the_defect():
    board, boxes = marked()
    blank = np.full_like(board, 255)
    shown, beside, moved = render_pair(board, blank, boxes, np.random.default_rng(7))
    left, top, right, bottom = moved[0].round().astype(int)
    inside = slice(top + 4, bottom - 4), slice(left + 4, right - 4)
    around = slice(top - 20, bottom + 20), slice(left - 20, right + 20)
    assert shown[inside].mean() < shown[around].mean() - 10
    assert abs(beside[inside].mean() - beside[around].mean()) < 8


def test_a_picture_with_colours_keeps_them():
    colours = np.zeros((320, 320, 3), np.uint8)
    colours[:] = (30, 160, 220)
    look = replace(Look.random(np.random.default_rng(1)), gain=1.0, gamma=1.0, light_depth=0.0)
    look = replace(look, noise=0.0, colour_noise=0.0, grain=0.0, distractors=0.0)
    where = pose((160.0, 160.0), size_px=320, at=(160.0, 160.0))
    seen = look.photograph(colours, where, NOTHING, np.random.default_rng(1))
    assert seen.reshape(-1, 3).mean(axis=0) == pytest.approx([30, 160, 220], abs=6)


def test_a_board_that_is_far_away_leaves_an_empty_belt():
    look = replace(Look.random(np.random.default_rng(2)), gain=1.0, gamma=1.0, light_depth=0.0)
    look = replace(look, distractors=0.0, noise=0.0, colour_noise=0.0)
    where = pose((-9e3, -9e3), size_px=320, at=(0.0, 0.0))
    seen = look.photograph(circuit(), where, NOTHING, np.random.default_rng(1))
    assert seen.reshape(-1, 3).mean(axis=0) == pytest.approx(np.clip(look.belt, 0, 255), abs=8)


def test_labels_and_holes_keep_off_defects():
    rng = np.random.default_rng(6)
    taken = np.array([[20, 20, 120, 130], [180, 200, 260, 300]], np.float32)
    painted = 0
    for _ in range(60):
        shown = np.full((320, 320, 3), 128, np.uint8)
        label = Label.random(320, taken, rng)
        if label is not None:
            label.print(shown, rng)
        screw_hole(shown, taken, np.array([40.0, 40.0, 40.0]), rng)
        for left, top, right, bottom in taken.astype(int):
            assert np.all(shown[top:bottom, left:right] == 128)
        painted += bool(np.any(shown != 128))
    assert painted > 30


@pytest.mark.parametrize("size_px", [320, 640])
def test_compression_changes_a_picture_a_little_and_not_its_size(size_px: int):
    shown = np.stack([circuit(size_px) // 2 + 40] * 3, axis=2).astype(np.uint8)
    for coded in (sensor.through_jpeg(shown, 50), sensor.through_h264(shown, 28)):
        assert coded.shape == shown.shape
        assert not np.array_equal(coded, shown)
        assert cv2.PSNR(coded, shown) > 25


def test_a_smear_moves_nothing_and_darkens_nothing():
    places = np.arange(9) - 4
    for length_px, angle_deg in [(2, 0.0), (5, 90.0), (7, 3.0), (8, 45.0)]:
        kernel = sensor.smear(length_px, angle_deg)
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert (kernel.sum(axis=0) * places).sum() == pytest.approx(0, abs=0.1)
        assert (kernel.sum(axis=1) * places).sum() == pytest.approx(0, abs=0.1)


def test_flicker_bands_the_rows():
    look = replace(Look.random(np.random.default_rng(2)), light_depth=0.0, gain=1.0, flicker=0.08)
    light = look._light(640, np.random.default_rng(1))
    assert np.ptp(light, axis=1).max() < 1e-5
    assert 0.1 < np.ptp(light[:, 0]) <= 0.17
