"""Arithmetic on a small picture of cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.triggers.presence.cells import Cells, shaded, shrunk, unevenness

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, rows: int, columns: int) -> Cells:
    cells = np.random.default_rng(seed).uniform(0, 255, (3, rows, columns))
    return cells.astype(np.float32)


@given(seeds, st.floats(0.55, 1))
def test_a_shadow_on_the_belt_is_belt(seed, light):
    belt = drawn(seed, 8, 20) + 1
    assert shaded(belt * np.float32(light), belt) == pytest.approx(belt * light, rel=1e-4)


@given(seeds, seeds)
def test_shaded_belt_is_never_brighter_than_belt_nor_darker_than_a_shadow(seed, other):
    cells, belt = drawn(seed, 8, 20), drawn(other, 8, 20)
    found = shaded(cells, belt)
    assert (found <= belt * 1.0001).all()
    assert (found >= belt * 0.5499).all()
    nearer = np.square(cells - found).sum(axis=0) <= np.square(cells - belt).sum(axis=0) + 0.1
    assert nearer.all(), "it is more like the cells than the belt in full light"


@given(st.tuples(*3 * [st.floats(0, 255)]), st.integers(8, 50), st.integers(2, 60))
def test_a_plain_belt_of_any_colour_is_even(colour, rows, columns):
    plain = np.ones((3, rows, columns), np.float32) * np.array(colour, np.float32)[:, None, None]
    assert unevenness(plain) == pytest.approx(np.zeros(columns), abs=1e-3)


@given(seeds, st.integers(8, 50), st.integers(2, 60))
def test_a_picture_upside_down_is_as_uneven(seed, rows, columns):
    cells = drawn(seed, rows, columns)
    there, turned = unevenness(cells), unevenness(cells[:, ::-1])
    assert there.shape == (columns,)
    assert (there > 0).all()
    assert turned == pytest.approx(there, rel=0.2), "the middle is a cell off where rows are odd"


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 12))
def test_what_is_left_of_a_mask_is_as_far_from_its_edges_as_asked(cells, by):
    mask = np.array(cells)
    before = mask.copy()
    inner = shrunk(mask, by)
    assert (mask == before).all(), "the mask itself stays"
    for at, left in enumerate(inner):
        assert left == mask[max(0, at - by) : at + by + 1].all()
