from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.products.memory import NOWHERE, remember

FEATURES, CELLS = 24, 20
INSIDE = np.ones((CELLS, CELLS), np.bool_)


def design(seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 1, (FEATURES, CELLS, CELLS))


def unit(number: int, *, frames: int = 3, noise: float = 0.1, of: Any = None) -> NDArray[Any]:
    """A unit whose frames are more like each other than units are."""
    rng = np.random.default_rng([7, number])
    own = (design() if of is None else of) + rng.normal(0, noise, (FEATURES, CELLS, CELLS))
    shown = own + rng.normal(0, noise / 4, (frames, FEATURES, CELLS, CELLS))
    return np.asarray(shown, np.float16)


def damaged(
    good: NDArray[Any], row: int, column: int, by: float = 1.0, *, kind: int = 0
) -> NDArray[Any]:
    """With something of this kind there."""
    rng = np.random.default_rng([3, kind])
    bad = good.copy()
    change = by * rng.normal(0, 1, (FEATURES, 2, 2))
    bad[:, :, row : row + 2, column : column + 2] += change.astype(np.float16)
    return bad


GOOD = [unit(number) for number in range(6)]


def test_good_units_are_within_the_limit_and_damage_is_beyond_it_where_it_is() -> None:
    memory = remember(GOOD, INSIDE)
    for number in range(20, 40):
        assert memory.unlikeness(unit(number)).max() < 1
    unlike = memory.unlikeness(damaged(unit(20), 5, 9))
    assert unlike.shape == (3, CELLS, CELLS)
    beyond = {(int(row), int(column)) for _, row, column in np.argwhere(unlike >= 1)}
    assert {(5, 9), (5, 10), (6, 9), (6, 10)} & beyond
    assert beyond <= {(row, column) for row in (5, 6) for column in (9, 10)}


def test_what_differs_between_good_units_may_differ() -> None:
    def labelled(number: int) -> NDArray[Any]:
        return damaged(
            unit(number), 5, 9, by=float(np.random.default_rng(number).normal(0, 2)), kind=1
        )

    strange = damaged(unit(50), 5, 9, by=2.0, kind=1)
    assert remember(GOOD, INSIDE).unlikeness(strange).max() >= 1
    # Labels differ in a way of their own; damage differs in others.
    taught = remember([labelled(number) for number in range(8)], INSIDE)
    assert taught.unlikeness(strange)[:, 5:7, 9:11].max() < 1
    assert taught.unlikeness(damaged(unit(51), 14, 3)).max() >= 1, "elsewhere nothing is excused"


def test_units_that_differ_more_set_a_higher_limit_for_all_cells() -> None:
    # Each good unit has a mark of its own somewhere: dust that means nothing.
    dusty = [damaged(one, 2 + n, 3 + 2 * n, by=4.0, kind=2) for n, one in enumerate(GOOD)]
    clean, dirty = remember(GOOD, INSIDE), remember(dusty, INSIDE)
    assert dirty.usual_times > 1.5 * clean.usual_times
    dust_elsewhere = damaged(unit(60), 16, 2, by=3.0, kind=2)
    assert clean.unlikeness(dust_elsewhere).max() >= 1
    assert dirty.unlikeness(dust_elsewhere).max() < 1


def test_cells_that_show_no_unit_are_never_unlike() -> None:
    inside = INSIDE.copy()
    inside[:4] = False
    memory = remember(GOOD, inside)
    assert (memory.limit[:4] == NOWHERE).all()
    assert memory.unlikeness(damaged(unit(20), 1, 9, by=9.0)).max() < 1


def test_units_may_have_shown_different_numbers_of_frames() -> None:
    mixed = [unit(number, frames=1 + number % 3) for number in range(6)]
    memory = remember(mixed, INSIDE)
    assert memory.unlikeness(unit(30)).max() < 1
    assert memory.unlikeness(damaged(unit(30), 5, 9)).max() >= 1


def test_units_that_are_all_the_same_set_a_limit_all_the_same() -> None:
    memory = remember([GOOD[0]] * 3, INSIDE)
    assert np.isfinite(memory.whitening).all()
    assert np.isfinite(memory.limit).all()
    assert (memory.limit > 0).all()


def test_two_units_are_too_few() -> None:
    with pytest.raises(ValueError, match="2 units, expected at least 3"):
        remember(GOOD[:2], INSIDE)
