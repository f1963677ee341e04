from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.triggers.presence.background import Belt
from inspector.triggers.presence.cells import Cells, Mask
from inspector.triggers.presence.spans import Gaps

ROWS, COLUMNS = 45, 320


class LearningBelt(Belt):
    """Learns from each picture it looks at, what stands out left out."""

    def observe(self, cells: Cells) -> Mask | None:
        mask = super().observe(cells)
        if mask is not None:
            self.learn(mask, None)
        return mask


class Scene:
    """Cells of a belt with a lens's dark corners, noise, and boards of one colour."""

    def __init__(self, belt: tuple[float, float, float] = (52, 48, 46)) -> None:
        self.rng = np.random.default_rng(4)
        x = np.linspace(-1, 1, COLUMNS)[None, :]
        y = np.linspace(-1, 1, ROWS)[:, None]
        self.empty = np.array(belt)[:, None, None] - 7 * (x * x + y * y)

    def cells(
        self, *boards: tuple[int, int], colour: tuple[float, ...] = (90, 170, 100), light: float = 1
    ) -> Cells:
        picture = self.empty.copy()
        for first, end in boards:
            picture[:, 3:42, max(0, first) : end] = np.array(colour)[:, None, None]
        picture = picture * light + self.rng.normal(0, 0.8, picture.shape)
        return np.clip(picture, 0, 255).astype(np.float32)


def covered(mask: Mask | None) -> tuple[int, int]:
    """First and last column with something on them."""
    assert mask is not None
    columns = np.flatnonzero(np.count_nonzero(mask, axis=0) > 3)
    return (int(columns[0]), int(columns[-1])) if columns.size else (-1, -1)


@pytest.mark.parametrize("belt", [(24, 24, 24), (112, 66, 34), (190, 196, 194), (240, 240, 240)])
def test_an_empty_belt_of_any_colour_is_empty(belt: tuple[float, float, float]) -> None:
    scene, learned = Scene(belt), LearningBelt(ROWS, COLUMNS)
    assert all(covered(learned.observe(scene.cells())) == (-1, -1) for _ in range(20))


def test_a_board_in_view_at_the_start_is_told_from_the_belt_it_lies_on() -> None:
    scene, learned = Scene(), LearningBelt(ROWS, COLUMNS)
    assert covered(learned.observe(scene.cells((100, 290)))) == (100, 289)
    for at in range(100, 330, 3):
        mask = learned.observe(scene.cells((at, at + 190)))
        assert covered(mask) == ((at, min(COLUMNS, at + 190) - 1) if at < COLUMNS else (-1, -1))


def test_a_board_hardly_another_colour_than_the_belt_is_seen() -> None:
    scene, learned = Scene(), LearningBelt(ROWS, COLUMNS)
    for _ in range(30):
        learned.observe(scene.cells())
    assert covered(learned.observe(scene.cells((50, 200), colour=(62, 58, 58)))) == (50, 199)


def test_light_may_change_slowly_by_far_and_quickly_by_a_little() -> None:
    scene, learned = Scene(), LearningBelt(ROWS, COLUMNS)
    for frame in range(900):
        light = 1.8 - 1.2 * frame / 900 + 0.05 * (frame % 2)
        assert covered(learned.observe(scene.cells((90, 200), light=light))) == (90, 199), frame


def test_a_dark_picture_says_nothing_until_the_light_is_back() -> None:
    scene, learned = Scene(), LearningBelt(ROWS, COLUMNS)
    for _ in range(10):
        learned.observe(scene.cells((20, 200)))
    for light in (0.02, 0.1, 0.3):
        assert all(learned.observe(scene.cells((40, 220), light=light)) is None for _ in range(20))
    assert covered(learned.observe(scene.cells((60, 240)))) == (60, 239)


def test_nothing_is_learned_of_a_black_picture() -> None:
    scene, learned = Scene(), LearningBelt(ROWS, COLUMNS)
    assert all(learned.observe(scene.cells(light=0.02)) is None for _ in range(50))
    assert covered(learned.observe(scene.cells((60, 240)))) == (60, 239)


def test_a_belt_in_another_light_for_good_is_learned_anew() -> None:
    scene, learned = Scene((140, 130, 120)), LearningBelt(ROWS, COLUMNS)
    learned.observe(scene.cells())
    seen = [learned.observe(scene.cells(light=0.4)) is not None for _ in range(400)]
    assert not any(seen[:250])
    assert seen[-1]


def test_boards_are_apart_where_a_gap_runs_across_even_slanted() -> None:
    mask = np.zeros((ROWS, COLUMNS), np.bool_)
    mask[2:43, 20:300] = True
    for row in range(ROWS):
        middle = 150 + (row - ROWS // 2) // 8
        mask[row, middle : middle + 4] = False
    first, second = Gaps(ROWS, COLUMNS, 4.0).runs(mask, mask)
    assert first.first == 20
    assert abs(first.end - 150) <= 4
    assert abs(second.first - 154) <= 4
    assert second.end == 300


def test_a_hole_in_a_board_and_dirt_on_the_belt_part_nothing_and_are_nothing() -> None:
    mask = np.zeros((ROWS, COLUMNS), np.bool_)
    mask[2:43, 20:200] = True
    mask[8:35, 100:120] = False
    mask[20:22, 250:258] = True
    (run,) = Gaps(ROWS, COLUMNS, 4.0).runs(mask, mask)
    assert (run.first, run.end) == (20, 200)


@settings(max_examples=20)
@given(
    belt=st.tuples(*3 * [st.integers(30, 200)]),
    first=st.integers(10, COLUMNS - 90),
    length=st.integers(40, 80),
    by=st.sampled_from([50, -25]),
    light=st.floats(0.8, 1.2),
)
def test_a_board_anywhere_on_a_belt_of_any_colour_is_seen_where_it_lies(
    belt: tuple[int, int, int],
    first: int,
    length: int,
    by: int,
    light: float,
) -> None:
    scene, learned = Scene(belt), LearningBelt(ROWS, COLUMNS)
    for _ in range(10):
        assert covered(learned.observe(scene.cells())) == (-1, -1)
    colour = tuple(level + by for level in belt)
    board = (first, first + length)
    for _ in range(3):
        mask = learned.observe(scene.cells(board, colour=colour, light=light))
        assert covered(mask) == (first, first + length - 1)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(["black", "white", "noise", "belt"]), st.integers(0, 2**32 - 1)),
        min_size=1,
        max_size=20,
    )
)
def test_no_picture_whatever_stops_the_learning(pictures: list[tuple[str, int]]) -> None:
    scene, learned = Scene(), LearningBelt(ROWS, COLUMNS)
    for kind, seed in pictures:
        cells = scene.cells()
        if kind == "noise":
            noise = np.random.default_rng(seed).uniform(0, 255, cells.shape)
            cells = noise.astype(np.float32)
        elif kind != "belt":
            cells = np.full_like(cells, 0 if kind == "black" else 255)
        mask = learned.observe(cells)
        assert mask is None or mask.shape == (ROWS, COLUMNS)
        assert kind != "black" or mask is None, "a black picture says nothing"
        assert np.isfinite(learned.cells).all()
        assert np.isfinite(learned.step)
        assert learned.unshaded(cells).shape == (ROWS, COLUMNS)
