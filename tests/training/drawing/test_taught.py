from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.circuits import circuit, write_circuits
from training.drawing.distractors import Label
from training.drawing.look import Look
from training.drawing.posing import Pose
from training.drawing.recipe import BESIDE_REFERENCES
from training.drawing.samples import Sampler
from training.drawing.taught import etched, photograph_beside_taught, speckled

SIZE_PX = 256
STILL = Pose(np.eye(2, 3), SIZE_PX)
NOTHING = np.zeros((0, 4), np.float32)
COPPER = np.array([[150, 150, 240, 240]], np.float32)
"""Of the circuit: all of it; no label is printed there."""
Gray = NDArray[np.float64]


def plain(rng: np.random.Generator) -> Look:
    """A station whose light and lens do nothing of their own."""
    return replace(
        Look.random(rng),
        laminate=np.full(3, 170.0),
        copper=np.full(3, 60.0),
        grain=0.0,
        light_depth=0.0,
        flicker=0.0,
        gain=0.8,
        gamma=1.0,
        blur_px=0.0,
        smear_px=0,
        noise=8.0,
        colour_noise=0.0,
        jpeg_quality=0,
        h264_rate_factor=0,
    )


def pair(
    seed: int,
    board: NDArray[np.uint8],
    design: NDArray[np.uint8],
    taken: NDArray[np.float32] = COPPER,
) -> tuple[Gray, Gray]:
    rng = np.random.default_rng(seed)
    shown = photograph_beside_taught(plain(rng), board, design, STILL, taken, rng)
    found, wanted = (cv2.cvtColor(one, cv2.COLOR_BGR2GRAY).astype(np.float64) for one in shown)
    return found, wanted


def test_etching_moves_edges_by_a_fraction_of_a_pixel_and_changes_nothing_else():
    scan = circuit()
    kernel = np.ones((5, 5), np.uint8)
    flat = cv2.dilate(scan, kernel) == cv2.erode(scan, kernel)
    contour_px = np.count_nonzero(cv2.morphologyEx(scan, cv2.MORPH_GRADIENT, kernel[:2, :2]))
    moved = []
    for seed in range(30):
        board = etched(scan, np.random.default_rng(seed))
        assert np.array_equal(board[flat], scan[flat])
        moved.append((float(scan.sum()) - float(board.sum())) / 255 / contour_px)
    assert max(np.abs(moved)) < 0.5
    assert np.std(moved) > 0.05, "some are thinner, some are thicker"
    assert min(moved) < 0 < max(moved)


def test_specks_are_of_either_kind_and_smaller_than_any_defect():
    gray = np.full((SIZE_PX, SIZE_PX), 128, np.uint8)
    light = dark = 0
    for seed in range(40):
        dots = speckled(gray, np.random.default_rng(seed))
        for kind in (dots > 128, dots < 128):
            _, _, stats, _ = cv2.connectedComponentsWithStats(kind.astype(np.uint8))
            assert max(stats[1:, cv2.CC_STAT_WIDTH], default=0) <= 9, "two may touch"
        light, dark = light + bool((dots > 128).any()), dark + bool((dots < 128).any())
    assert light > 20
    assert dark > 20


def test_the_reference_is_less_noisy_and_as_sharp_or_softer_and_lit_otherwise():
    scan, ratios = circuit(), []
    middle = (slice(160, 230), slice(160, 230))
    for seed in range(30):
        found, wanted = pair(seed, scan, scan)
        assert wanted[middle].std() < 0.75 * found[middle].std()
        ratios.append(wanted[middle].mean() / found[middle].mean())
    assert 0.6 < min(ratios) < 0.85
    assert 1.15 < max(ratios) < 1.4


def test_the_reference_lies_a_pixel_off_and_now_and_then_two():
    scan = circuit()
    window = cv2.createHanningWindow((SIZE_PX, SIZE_PX), cv2.CV_64F)
    offs = []
    for seed in range(60):
        found, wanted = pair(seed, scan, scan)
        (x, y), _ = cv2.phaseCorrelate(found - found.mean(), wanted - wanted.mean(), window)
        offs.append(max(abs(x), abs(y)))
    assert max(offs) < 3.2
    assert np.mean(np.array(offs) < 1.3) > 0.65
    assert max(offs) > 1.3


def test_damage_is_in_the_board_alone():
    scan = circuit()
    damaged = scan.copy()
    damaged[180:200, 180:200] = 255
    found, wanted = pair(1, damaged, scan)
    inside = (slice(184, 196), slice(184, 196))
    beside = (slice(210, 222), slice(184, 196))
    assert found[inside].mean() > found[beside].mean() + 40
    assert abs(wanted[inside].mean() - wanted[beside].mean()) < 8


@pytest.mark.parametrize("codes", [1, 8])
def test_a_label_of_several_codes_is_their_mean(codes: int):
    label = Label(20, 30, 60, 10, 2, is_matrix=True, paper=250.0, ink=10.0)
    shown = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)
    label.print(shown, np.random.default_rng(2), codes=codes)
    printed = shown[30:90, 20:80, 0]
    assert np.all(printed[0] == 250), "a quiet zone is around"
    greys = len(np.unique(printed))
    assert (greys == 2) if codes == 1 else (greys > 4)
    shown[30:90, 20:80] = 128
    assert np.all(shown == 128)


def test_a_board_and_its_reference_have_the_label_in_one_place_with_other_codes():
    blank = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
    labelled = 0
    for seed in range(30):
        found, wanted = pair(seed, blank, blank, NOTHING)
        dark = cv2.GaussianBlur(found, (0, 0), 3) < 110
        if not dark.any():
            continue
        labelled += 1
        ys, xs = np.nonzero(dark)
        place = (slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1))
        assert 0 < wanted[place].std() < 0.8 * found[place].std()
    assert labelled > 8


def test_golden_samples_show_taught_references_too(tmp_path: Path):
    data_set = write_circuits(tmp_path, train=1, test=1)

    def tone_differs(taught: float) -> int:
        recipe = replace(BESIDE_REFERENCES, size_px=160, flat=0.0, taught=taught, off_board=0.0)
        samples = islice(Sampler(data_set.train, recipe, seed=[1]), 60)
        greys = [s.picture[..., :2].reshape(-1, 2).astype(float).mean(axis=0) for s in samples]
        return sum(abs(found / wanted - 1) > 0.17 for found, wanted in greys)

    assert tone_differs(1.0) > 2 * max(tone_differs(0.0), 4)
