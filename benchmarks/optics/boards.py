"""Drawn boards before a camera whose lens, lamp, sensor or mount is not as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from inspector.core.records import Image
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode

SEED = 20
WIDTH_PX, HEIGHT_PX = 744, 664
"""Of a frame."""
BOARD_PX = (640, 600)
_BELT = (46, 48, 46)
_PLACE_PX = 4
"""So far boards lie from the middle."""
_NOISE = 2.0
_VARIATION = 1.0
PRODUCTS = 4
"""Designs, each of another colour: green, amber, grey, blue."""
MARK_PX = (2, 2, 28, 24)
"""x, y, width, height of a fixed mark beside the boards, with the belt around it."""
BESIDE_MARK_PX = (34, 0, WIDTH_PX - 34, HEIGHT_PX)
"""What a network sees that would take the mark for a defect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """What is wrong with the optics; as it stands: nothing."""

    sigma_px: float = 0.0
    gain: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gains of blue, green and red."""
    noise: float = 0.0
    """Standard deviation that is added to the sensor's own, in grey levels."""
    shift_px: tuple[int, int] = (0, 0)
    level: int | None = None
    """Every pixel is as bright as this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A board as it is shown."""

    picture: Image
    is_bad: bool


def boards(
    product: int, spoilt: Spoilt, *, bad: int, good: int, first: int = 100
) -> Iterator[Shown]:
    """Boards of one design with one defect each, then good ones."""
    for number in range(first, first + bad + good):
        is_bad = number < first + bad
        yield Shown(picture=frame(product, number, spoilt, is_bad=is_bad), is_bad=is_bad)


def frame(product: int, number: int, spoilt: Spoilt, *, is_bad: bool) -> Image:
    """One board on its belt, through these optics."""
    random = np.random.default_rng([SEED, product, number])
    light = np.asarray(_scene(product, number, is_bad=is_bad), np.float32)
    x_px, y_px = spoilt.shift_px
    if x_px or y_px:
        move = np.array([[1, 0, x_px], [0, 1, y_px]], np.float32)
        size = (WIDTH_PX, HEIGHT_PX)
        moved = cv2.warpAffine(light, move, size, borderMode=cv2.BORDER_REPLICATE)
        light = np.asarray(moved, np.float32)
    if spoilt.sigma_px:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), spoilt.sigma_px), np.float32)
    light = light * (np.array(spoilt.tint, np.float32) * spoilt.gain)
    if spoilt.level is not None:
        light = np.full_like(light, spoilt.level)
    noise = float(np.hypot(_NOISE, spoilt.noise))
    light = light + random.normal(0, noise, light.shape).astype(np.float32)
    return np.clip(light, 0, 255).astype(np.uint8)


@lru_cache(maxsize=256)
def _scene(product: int, number: int, *, is_bad: bool) -> Image:
    random = np.random.default_rng([SEED, 1, product, number])
    codes = tuple(DefectCode)
    drawn = draw_board(
        number,
        seed=SEED,
        width_px=BOARD_PX[0],
        height_px=BOARD_PX[1],
        defects=(codes[number % len(codes)],) if is_bad else (),
        product=product,
        variation=_VARIATION,
    )
    scene = np.full((HEIGHT_PX, WIDTH_PX, 3), _BELT, np.uint8)
    x, y, width, height = MARK_PX
    scene[y + 4 : y + height - 4, x + 4 : x + width - 4] = 210
    scene[y + 9 : y + height - 9, x + 10 : x + width - 8] = 20
    left, top = (
        (side - of_board) // 2 + int(random.integers(-_PLACE_PX, _PLACE_PX + 1))
        for side, of_board in ((WIDTH_PX, BOARD_PX[0]), (HEIGHT_PX, BOARD_PX[1]))
    )
    scene[top : top + BOARD_PX[1], left : left + BOARD_PX[0]] = drawn.picture
    return scene
