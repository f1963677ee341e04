"""The boards that generated videos show: drawn ones, and real ones of DeepPCB's test part."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.line.truth import TrueBox
from inspector.core.records import Image
from inspector.simulation.board import draw_board
from inspector.simulation.data_matrix import encode
from inspector.simulation.defects import codes_of_board

Colour = tuple[int, int, int]
SKINS: dict[str, tuple[Colour, Colour]] = {
    "amber": ((104, 172, 206), (22, 44, 72)),
    "green": ((78, 152, 84), (30, 78, 26)),
    "dark": ((66, 62, 58), (24, 22, 20)),
    "blue": ((168, 122, 60), (72, 40, 18)),
    "white": ((206, 212, 210), (74, 84, 92)),
}
"""Laminate and copper, BGR."""
CODES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
_CIRCUIT_PX = 640
MARGIN_PX = 18
_LABEL_ROOM_PX = 84
_MODULE_PX, _QUIET_MODULES = 4, 2
_INK, _PAPER = 40, 222


@dataclass(frozen=True, slots=True, eq=False)
class Artwork:
    """A board as it looks upright, and the truth about it."""

    picture: Image
    serial: str
    defects: tuple[TrueBox, ...]
    product: str | None = None
    """What is on order when it passes."""
    taught: bool = False
    foreign: bool = False


def drawn_boards(
    count: int, size_px: tuple[int, int], *, seed: int, products: int, defect_rate: float = 0.5
) -> Iterator[Artwork]:
    """Simulated boards, `size_px` wide and high."""
    for number in range(1, count + 1):
        board = draw_board(
            number,
            seed=seed,
            width_px=size_px[0],
            height_px=size_px[1],
            defects=codes_of_board(number, seed=seed, defect_rate=defect_rate),
            product=number % products,
        )
        defects = tuple(TrueBox(defect.code.value, *defect.bbox_px) for defect in board.truth)
        yield Artwork(board.picture, board.serial, defects)


def scanned_boards(archive: Path, count: int, *, seed: int, skin: str) -> Iterator[Artwork]:
    """Boards of DeepPCB's test part, coloured, with a label: half of them without their defects.

    OSError or KeyError where the archive is not what it should be.
    """
    rng = np.random.default_rng([seed, 201])
    with zipfile.ZipFile(archive) as files:
        names = files.read("test.txt").decode().split()
        for number, picked in enumerate(rng.choice(len(names), count, replace=False), 1):
            name = names[picked]
            is_ok = bool(rng.random() < 0.5)  # noqa: PLR2004
            kind = "temp" if is_ok else "test"
            scan = np.frombuffer(files.read(f"{name}_{kind}.png"), np.uint8)
            laminate = np.asarray(cv2.imdecode(scan, cv2.IMREAD_GRAYSCALE), np.uint8)
            lines = [] if is_ok else files.read(f"{name}.txt").decode().splitlines()
            serial = f"PCB-{(2000 + seed) % 10000:04d}{number:03d}"
            yield Artwork(finished(laminate, skin, serial), serial, tuple(map(box_of, lines)))


def box_of(line: str) -> TrueBox:
    """A line of DeepPCB's truth, in pixels of the finished board."""
    left, top, right, bottom, code = map(int, line.split())
    return TrueBox(CODES[code - 1], left + MARGIN_PX, top + MARGIN_PX, right - left, bottom - top)


def finished(
    laminate: NDArray[np.uint8], skin: str, serial: str, tint: Sequence[float] = (1, 1, 1)
) -> Image:
    """Colour a scan, put it on a board with a margin, print the label at its right edge."""
    height = _CIRCUIT_PX + 2 * MARGIN_PX
    share = np.full((height, height + _LABEL_ROOM_PX - MARGIN_PX), 255, np.uint8)
    share[MARGIN_PX:-MARGIN_PX, MARGIN_PX : MARGIN_PX + _CIRCUIT_PX] = laminate
    share = np.asarray(cv2.GaussianBlur(share, (3, 3), 0.7), np.uint8)
    light, dark = (np.array(colour, np.float64) * tint for colour in SKINS[skin])
    ramp = np.linspace(0, 1, 256)[:, None]
    table = (
        np.clip(np.round(dark * (1 - ramp) + light * ramp), 0, 255)
        .astype(np.uint8)
        .reshape(1, 256, 3)
    )
    picture = np.asarray(cv2.LUT(cv2.merge([share] * 3), table), np.uint8)
    modules = np.pad(encode(serial), _QUIET_MODULES)
    sticker = np.where(modules, _INK, _PAPER).astype(np.uint8)
    sticker = np.kron(sticker, np.ones((_MODULE_PX, _MODULE_PX), np.uint8))
    side = sticker.shape[0]
    top, left = (height - side) // 2, picture.shape[1] - side - 6
    picture[top : top + side, left : left + side] = sticker[..., None]
    return picture
