"""Paints one board: the product's copper with this board's defects, skin, light and serial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from inspector.core.records import Image
from inspector.simulation.circuit import QUIET_MODULES, Mask
from inspector.simulation.data_matrix import encode
from inspector.simulation.defects import DefectCode, TrueDefect, damage
from inspector.simulation.design import design
from inspector.simulation.variation import Variation

_Colour = tuple[int, int, int]
_SKINS: tuple[tuple[_Colour, _Colour], ...] = (
    ((86, 172, 96), (30, 82, 24)),
    ((104, 178, 208), (26, 50, 78)),
    ((168, 180, 184), (56, 60, 60)),
    ((176, 140, 92), (78, 44, 22)),
)
"""Laminate and copper, BGR: green, amber, grey, blue. Copper is always the darker of the two."""
_INK, _PAPER = 44, 216


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedBoard:
    """A board, seen upright and at its own scale, and the truth about it."""

    picture: Image
    """(height, width, 3) uint8 BGR."""
    truth: tuple[TrueDefect, ...]
    """In the pixels of `picture`."""
    serial: str


def serial_of(number: int) -> str:
    """Return the serial a board carries on its label."""
    return f"SIM-{number:06d}"


def number_of(serial: str) -> int | None:
    """Return the number of the board with this serial; None for other texts."""
    prefix, _, digits = serial.partition("-")
    return int(digits) if prefix == "SIM" and digits.isdecimal() else None


def draw_board(
    number: int,
    *,
    seed: int,
    width_px: int,
    height_px: int,
    defects: Sequence[DefectCode] = (),
    product: int = 0,
    quirks: int = 0,
    variation: float = 0.0,
) -> SimulatedBoard:
    """Return board `number` of a product with these defects; the same for the same arguments.

    `quirks` are places of the design that look like defects; with `variation` boards of one design
    differ, as etched and printed things do.

    Without defects it is the defect-free twin: every pixel outside the boxes of the truth is
    equal. About 8 ms for 676x676 pixels. Any thread.
    """
    circuit = design(seed, product, width_px, height_px, quirks)
    varied = Variation(seed, number, variation)
    copper, truth = damage(circuit, defects, np.random.default_rng([seed, 103, number]))
    light = np.random.default_rng([seed, 104, number])
    gain = float(light.uniform(0.94, 1.04)) * varied.light
    picture = _paint(varied.etched(copper), seed + product, varied, gain=gain)
    varied.speckle(picture)
    serial = serial_of(number)
    label_px = varied.label_px(circuit.label_px)
    _print_label(picture, label_px, serial)
    return SimulatedBoard(picture, truth, serial)


def _paint(copper: Mask, skin: int, varied: Variation, *, gain: float) -> Image:
    """Lens blur turns the mask into a mixture, a table turns the mixture into colour."""
    mixture = cv2.GaussianBlur(copper, (7, 7), 0.8)
    laminate, dark = (
        np.array(varied.tinted(colour)) * gain for colour in _SKINS[skin % len(_SKINS)]
    )
    share = np.linspace(0, 1, 256)[:, None]
    table = np.clip(np.round(laminate * (1 - share) + dark * share), 0, 255).astype(np.uint8)
    picture = cv2.LUT(cv2.merge([mixture] * 3), table.reshape(1, 256, 3))
    height, width = copper.shape
    return np.asarray(cv2.addWeighted(picture, 1, _grain(height, width), 1, -_GREY, dst=picture))


_GREY = 32


@lru_cache(maxsize=4)
def _grain(height_px: int, width_px: int) -> Image:
    """The weave of the laminate and uneven colour, around `_GREY`; the same for all boards."""
    rng = np.random.default_rng(105)
    shape = (height_px, width_px)
    fine = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 1.1) * 3.5
    cloudy = rng.normal(0, 1, (height_px // 48 + 2, width_px // 48 + 2)).astype(np.float32)
    wide = cv2.resize(cloudy, (width_px, height_px), interpolation=cv2.INTER_CUBIC) * 2.2
    weave = np.sin(np.arange(width_px) * 0.9)[None, :] * np.sin(np.arange(height_px) * 0.9)[:, None]
    grain = np.clip(_GREY + fine + wide + weave * 1.2, 0, 255).astype(np.uint8)
    return np.asarray(cv2.merge([grain] * 3))


def _print_label(picture: Image, label_px: tuple[int, int, int, int], serial: str) -> None:
    """A white sticker with the serial as Data Matrix.

    Not as text: the example model takes letters, dark or light, for defects.
    """
    x, y, width, height = label_px
    if width == 0:
        return
    modules = np.pad(encode(serial), QUIET_MODULES)
    sticker = np.where(modules, _INK, _PAPER).astype(np.uint8)
    scaled = cv2.resize(sticker, (width, height), interpolation=cv2.INTER_NEAREST)
    picture[y : y + height, x : x + width] = cv2.merge([scaled] * 3)
