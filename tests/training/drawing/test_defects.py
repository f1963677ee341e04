from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.circuits import SIZE_PX, circuit
from training.drawing.defects import BOX_MARGIN_PX, CLASSES, draw_defects, effect
from training.drawing.strokes import COPPER, HANDS, MOUSEBITE, OPEN, PIN_HOLE, SHORT, SPUR, Terrain

EVERYWHERE = (0, 0, SIZE_PX, SIZE_PX)
ALL_KINDS = range(len(CLASSES))


def pieces(mask: NDArray[np.bool_], least_px: int = 30) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return int((stats[1:, cv2.CC_STAT_AREA] >= least_px).sum())


def holes(board: NDArray[np.uint8]) -> int:
    """Pieces of laminate that copper encloses."""
    return pieces(np.pad(board, 1, constant_values=255) > 0) - 1


@pytest.mark.parametrize(
    ("kind", "hand"),
    [
        pytest.param(kind, hand, id=f"{CLASSES[kind]}-{hand}")
        for kind in ALL_KINDS
        for hand in HANDS[kind]
    ],
)
def test_a_drawn_defect_does_to_the_copper_what_its_name_says(
    kind: int, hand: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(HANDS, kind, {hand: 1.0})
    drawn = 0
    for seed in range(25):
        before = circuit(seed=seed)
        after = before.copy()
        found = draw_defects(after, [kind], EVERYWHERE, np.random.default_rng(seed))
        drawn += len(found)
        if not found:
            assert np.array_equal(before, after)
            continue
        removed, added = bool(np.any(after > before)), bool(np.any(after < before))
        assert (removed, added) == (kind in {OPEN, MOUSEBITE, PIN_HOLE}, not removed)
        change = pieces(after == 0) - pieces(before == 0)
        if kind in {OPEN, SHORT}:  # a cut may leave more than two parts, a short join more
            assert change >= 1 if kind == OPEN else change <= -1
        else:
            island = kind == PIN_HOLE and hand == "loop" and change == 1
            assert island or change == (1 if kind == COPPER else 0)
        if kind in {PIN_HOLE, MOUSEBITE}:
            assert holes(after) - holes(before) == (1 if kind == PIN_HOLE else 0)
    assert drawn >= 12, "too few fitted to say anything"


def test_the_box_lies_ten_pixels_around_the_damage():
    for seed in range(40):
        before = circuit(seed=seed)
        after = before.copy()
        for one in draw_defects(after, [seed % 6], EVERYWHERE, np.random.default_rng(seed)):
            rows, columns = np.nonzero(before != after)
            around = (
                max(columns.min() - BOX_MARGIN_PX, 0),
                max(rows.min() - BOX_MARGIN_PX, 0),
                min(columns.max() + 1 + BOX_MARGIN_PX, SIZE_PX),
                min(rows.max() + 1 + BOX_MARGIN_PX, SIZE_PX),
            )
            assert one.box == around
            assert BOX_MARGIN_PX == 10


def test_defects_keep_off_each_other_and_off_what_is_taken():
    taken = [(0, 0, SIZE_PX, SIZE_PX // 3), (0, 0, SIZE_PX // 4, SIZE_PX)]
    for seed in range(10):
        board = circuit(seed=seed)
        before = board.copy()
        rng = np.random.default_rng(seed)
        drawn = draw_defects(board, [*ALL_KINDS], EVERYWHERE, rng, taken=taken)
        boxes = [*taken, *(one.box for one in drawn)]
        for at, one in enumerate(drawn):
            for other in boxes[: len(taken) + at]:
                apart_x = one.box[0] > other[2] or other[0] > one.box[2]
                apart_y = one.box[1] > other[3] or other[1] > one.box[3]
                assert apart_x or apart_y
        for left, top, right, bottom in taken:
            assert np.array_equal(board[top:bottom, left:right], before[top:bottom, left:right])


def test_defects_are_drawn_near_where_they_are_wanted():
    near = (100, 20, 180, 90)
    for seed in range(10):
        board = circuit(seed=seed)
        for one in draw_defects(board, [*ALL_KINDS], near, np.random.default_rng(seed)):
            middle = (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2
            # A crossing stroke is centred near, its visible part may lie a little beside.
            assert near[0] - 30 <= middle[0] <= near[2] + 30
            assert near[1] - 30 <= middle[1] <= near[3] + 30


def test_the_same_seed_draws_the_same():
    def draw(seed: int) -> tuple[NDArray[np.uint8], list[object]]:
        board = circuit()
        drawn = draw_defects(board, [*ALL_KINDS], EVERYWHERE, np.random.default_rng(seed))
        return board, list(drawn)

    first, second, other = draw(3), draw(3), draw(4)
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert first[1] != other[1]


@pytest.mark.parametrize("level", [0, 255])
def test_where_nothing_fits_nothing_is_drawn(level: int):
    board = np.full((SIZE_PX, SIZE_PX), level, np.uint8)
    impossible = [OPEN, SHORT, MOUSEBITE, SPUR]
    drawn = draw_defects(board, impossible, EVERYWHERE, np.random.default_rng(1))
    assert drawn == []
    assert np.all(board == level)


def test_each_hand_leaves_its_own_marks(monkeypatch: pytest.MonkeyPatch):
    """Of what a cut removes, hatching leaves specks, and a bar none."""

    def specks(hand: str) -> int:
        monkeypatch.setitem(HANDS, OPEN, {hand: 1.0})
        left = 0
        for seed in range(25):
            board = circuit(seed=seed)
            before = pieces(board == 0, least_px=1)
            drawn = draw_defects(board, [OPEN], EVERYWHERE, np.random.default_rng(seed))
            left += pieces(board == 0, least_px=1) - before - len(drawn)
        return left

    assert specks("hatching") > 2 * specks("bar") + 5


def test_necks_are_where_a_thin_track_meets_a_pad():
    board = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
    cv2.circle(board, (60, 60), 20, 0, -1)
    cv2.line(board, (60, 60), (200, 60), 0, 6)
    necks = Terrain.around(board, EVERYWHERE).necks
    assert len(necks)
    assert np.abs(necks[:, 1] - 60).max() <= 12
    assert necks[:, 0].min() >= 70
    assert necks[:, 0].max() <= 95


def test_gaps_are_where_two_pieces_of_copper_lie_close():
    board = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
    board[20:60, 20:80] = 0
    board[68:100, 20:80] = 0  # eight pixels below
    board[130:160, 20:80] = 0  # thirty below that
    gaps = Terrain.around(board, EVERYWHERE).gaps
    assert {y for x, y in gaps.tolist() if 30 < x < 70} == {59, 68}


def test_a_gap_of_two_pixels_can_be_bridged_and_a_hairline_cuts_a_track():
    board = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
    board[60:120] = 0
    board[90:92] = 255
    bridged = sum(
        len(draw_defects(board.copy(), [SHORT], EVERYWHERE, np.random.default_rng(seed)))
        for seed in range(20)
    )
    assert bridged >= 15

    track = np.full((90, 90), 255, np.uint8)
    track[40:48] = 0
    cut = track.copy()
    cut[:, 45:47] = 255
    assert effect(track, cut, cut != track) == OPEN


def test_an_island_amid_a_stroke_is_no_part_of_the_circuit():
    """Hatching at an edge leaves copper between its lines: a bite, until it cuts something off."""
    area = np.zeros((90, 90), np.uint8)
    area[:20] = 255
    bitten = area.copy()
    ink = np.zeros(area.shape, bool)
    for line in (np.s_[20:50, 30:33], np.s_[20:50, 42:45], np.s_[47:50, 30:45]):
        ink[line] = True
    bitten[ink] = 255
    assert pieces(bitten == 0) == 2
    assert effect(area, bitten, ink) == MOUSEBITE
