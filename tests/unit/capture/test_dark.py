from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.capture.dark import BRIGHT_SHARE, DarkDetector, is_dark

S = 1_000_000_000


def picture(value: int, *, width: int = 640, height: int = 480) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (2448, 2048)])
def test_black_is_dark_and_a_grey_picture_is_not(size: tuple[int, int]) -> None:
    width, height = size
    assert is_dark(picture(0, width=width, height=height), 16)
    assert is_dark(picture(15, width=width, height=height), 16)
    assert not is_dark(picture(16, width=width, height=height), 16)


def test_hot_pixels_do_not_make_a_dark_picture_bright_and_a_lit_corner_does() -> None:
    noise = np.random.default_rng(7).integers(0, 12, (720, 1280, 3), np.uint8)
    noise[::97, ::89] = 255
    assert is_dark(noise, 16)
    noise[:120, :200] = 60
    assert not is_dark(noise, 16)


def test_one_colour_alone_is_light() -> None:
    blue = picture(0)
    blue[..., 0] = 90
    assert not is_dark(blue, 16)


def test_zero_never_asks() -> None:
    assert not is_dark(picture(0), 0)


def test_darkness_is_a_fault_once_it_lasts_and_none_once_there_is_light() -> None:
    detector = DarkDetector(below=16)
    for step in range(5):
        detector.see(picture(3), step * S // 2)
        assert detector.lasts == (step == 4)
    detector.see(picture(90), 3 * S)
    assert not detector.lasts
    detector.see(picture(3), 4 * S)
    assert not detector.lasts
    detector.see(picture(3), 7 * S)
    assert detector.lasts
    detector.change(0)
    detector.see(picture(3), 8 * S)
    assert not detector.lasts


limits = st.integers(1, 255)
sides_px = st.integers(16, 200)
"""The smallest picture, and the smallest region, are 16 pixels wide and high."""


@given(limit=limits, level=st.integers(0, 255), width_px=sides_px, height_px=sides_px)
def test_a_plain_picture_of_any_size_is_dark_only_below_the_limit(
    limit: int, level: int, width_px: int, height_px: int
) -> None:
    plain = picture(level, width=width_px, height=height_px)
    assert is_dark(plain, limit) == (level < limit)


@given(limit=limits, seed=st.integers(0, 2**32 - 1), width_px=sides_px, height_px=sides_px)
def test_more_light_never_makes_a_picture_dark(
    limit: int, seed: int, width_px: int, height_px: int
) -> None:
    rng = np.random.default_rng(seed)
    night = rng.integers(0, rng.integers(1, 256), (height_px, width_px, 3), np.uint8)
    night[rng.random(night.shape) < BRIGHT_SHARE] = 255
    lamp = np.zeros_like(night)
    lamp[: height_px // 2] = rng.integers(0, 256)
    brighter = np.maximum(night, lamp)
    assert is_dark(night, limit) or not is_dark(brighter, limit)
    assert is_dark(night, min(255, limit + 1)) or not is_dark(night, limit)


@given(
    x_px=st.integers(0, 80),
    y_px=st.integers(0, 80),
    width_px=st.integers(16, 80),
    height_px=st.integers(16, 80),
    outside=st.integers(0, 255),
    inside=st.integers(0, 255),
)
def test_what_lies_beside_the_region_neither_lights_nor_darkens_it(
    *, x_px: int, y_px: int, width_px: int, height_px: int, outside: int, inside: int
) -> None:
    shown = picture(outside, width=160, height=160)
    shown[y_px : y_px + height_px, x_px : x_px + width_px] = inside
    detector = DarkDetector(below=16, region=(x_px, y_px, width_px, height_px))
    assert detector.is_dark(shown) == (inside < 16)


DARK, LIT = picture(3, width=16, height=16), picture(90, width=16, height=16)


@given(st.lists(st.tuples(st.integers(0, 3 * S), st.sampled_from(["dark", "lit", "lost"]))))
def test_it_lasts_once_nothing_but_dark_pictures_came_for_so_long(
    steps: list[tuple[int, str]],
) -> None:
    detector, at_ns, since_ns = DarkDetector(below=16), 0, None
    for waited_ns, comes in steps:
        at_ns += waited_ns
        if comes == "lost":
            detector.reset()
        else:
            assert detector.see(DARK if comes == "dark" else LIT, at_ns) == (comes == "dark")
        since_ns = None if comes != "dark" else at_ns if since_ns is None else since_ns
        assert detector.lasts == (since_ns is not None and at_ns - since_ns >= 2 * S)
