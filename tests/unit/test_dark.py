from __future__ import annotations

import numpy as np
import pytest

from inspector.capture.dark import DarkWatch, is_dark

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
    watch = DarkWatch(below=16)
    for step in range(5):
        watch.see(picture(3), step * S // 2)
        assert watch.lasts == (step == 4)
    watch.see(picture(90), 3 * S)
    assert not watch.lasts
    watch.see(picture(3), 4 * S)
    assert not watch.lasts
    watch.see(picture(3), 7 * S)
    assert watch.lasts
    watch.change(0)
    watch.see(picture(3), 8 * S)
    assert not watch.lasts
