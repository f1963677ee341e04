"""What is usual for good pictures, and how another one differs from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.optics import Optics, baseline_of, tint

GREY = Optics(
    blur_px=3.0, clipped=0.0, darkest=20, bright=150, contrast=90, colour=(100.0, 100.0, 100.0)
)
levels = st.floats(1.0, 255.0)


def usual(*pictures: Optics) -> Any:
    found = baseline_of(pictures, camera="top")
    assert found is not None
    return found


def test_one_odd_picture_among_good_ones_does_not_change_what_is_usual() -> None:
    odd = replace(GREY, blur_px=6.0, bright=250, colour=(250.0, 250.0, 250.0), noise=40.0)
    alone, with_odd = usual(*[GREY] * 5), usual(*[GREY] * 5, odd)
    assert with_odd == replace(alone, pictures=6)
    assert with_odd.bright_spread == 0


def test_light_that_changes_from_picture_to_picture_is_usual() -> None:
    drifting = usual(*[replace(GREY, bright=bright) for bright in (120, 135, 150, 165, 180)])
    assert drifting.bright == 150
    assert drifting.bright_spread == pytest.approx(0.148, abs=0.001)


def test_pictures_that_show_nothing_are_no_baseline() -> None:
    black = replace(GREY, bright=0)
    assert baseline_of([black, replace(GREY, contrast=0)], camera="top") is None
    assert usual(black, GREY).pictures == 1


def test_what_no_picture_knows_the_baseline_does_not_know_either() -> None:
    assert usual(replace(GREY, blur_px=None)).blur_px is None


@given(levels, levels, levels, st.floats(0.1, 10))
def test_more_light_of_the_same_colour_is_no_tint(
    blue: float, green: float, red: float, gain: float
) -> None:
    assert tint((gain * blue, gain * green, gain * red), (blue, green, red)) == pytest.approx(0)


def test_the_channel_that_changed_most_says_by_how_much() -> None:
    assert tint((50.0, 100.0, 100.0), (100.0, 100.0, 100.0)) == pytest.approx(0.4)
    assert tint((0.0, 0.0, 0.0), (100.0, 100.0, 100.0)) == 0
