"""The boards of product runs: many of one design, each etched, tinted and labelled a little apart.

A design is a circuit of DeepPCB's test part with the defects that its makers found on it, or one
that the simulation draws.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.line.artwork import MARGIN_PX, Artwork, box_of, finished
from benchmarks.line.scenarios import ProductRun
from benchmarks.line.truth import TrueBox
from inspector.core.records import Image
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode

MOST_DEFECTS = 4
BREATHES_PX = 0.4
"""Standard deviation by which edges move from board to board."""
_BREATHES_OVER_PX = 18
QUIRKS = 6
"""Places of a drawn design that look like defects."""
_MOST_SPECKS = 12
_TINT = 0.025
_SHOWN_ELSEWHERE = frozenset(
    {"12100142", "12100179", "44000043", "44000054", "12100003", "90100013"}
)
"""The designs of the runs that are handed over: those painted here are others."""


class Design(Protocol):
    """What the boards of one product have in common."""

    @property
    def most_defects(self) -> int:
        """So many defects a board can have."""

    def board(
        self, number: int, *, serial: str, defects: int, rng: np.random.Generator
    ) -> tuple[Image, str, tuple[TrueBox, ...]]:
        """A board that nobody has seen before, with so many defects; and its serial.

        `serial` is what it is to carry, where that can be chosen.
        """


def boards_of_run(designs: Iterator[Design], run: ProductRun, *, seed: int) -> Iterator[Artwork]:
    """The boards of a product run, in the order in which they lie on the belt."""
    rng = np.random.default_rng([seed, 221])
    number = 0
    products = [next(designs) for _ in range(run.designs)]
    for index, design in enumerate(products):
        foreign_at = int(rng.integers(run.inspected)) if run.foreign else run.inspected
        bad = rng.permutation(run.inspected) < run.inspected // 2
        for place in range(-run.taught, run.inspected):
            number += 1
            serial = f"PCB-{seed % 100:02d}{number:05d}"
            is_foreign = place == foreign_at
            shown = next(designs) if is_foreign else design
            is_bad = place >= 0 and bool(bad[place]) and not is_foreign
            most = min(MOST_DEFECTS, shown.most_defects)
            picture, carries, defects = shown.board(
                number,
                serial=serial,
                defects=int(rng.integers(1, most + 1)) if is_bad else 0,
                rng=np.random.default_rng([seed, 222, number]),
            )
            yield Artwork(
                picture,
                carries,
                defects,
                product=f"p{index + 1}",
                taught=place < 0,
                foreign=is_foreign,
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Scanned:
    good: NDArray[np.uint8]
    """(640, 640): 255 where there is laminate."""
    bad: NDArray[np.uint8]
    boxes: tuple[TrueBox, ...]
    skin: str

    @property
    def most_defects(self) -> int:
        return len(self.boxes)

    def board(
        self, number: int, *, serial: str, defects: int, rng: np.random.Generator
    ) -> tuple[Image, str, tuple[TrueBox, ...]]:
        del number
        laminate = self.good.copy()
        picked = sorted(rng.choice(len(self.boxes), defects, replace=False))
        boxes = tuple(self.boxes[index] for index in picked)
        for box in boxes:
            left, top = round(box.x_px) - MARGIN_PX, round(box.y_px) - MARGIN_PX
            part = (
                slice(top, top + round(box.height_px)),
                slice(left, left + round(box.width_px)),
            )
            laminate[part] = self.bad[part]
        tint = 1 + rng.normal(0, _TINT, 3)
        return finished(_etched(laminate, rng), self.skin, serial, tint.tolist()), serial, boxes


def scanned_designs(archive: Path, *, seed: int, skin: str) -> Iterator[Design]:
    """Circuits of DeepPCB's test part, each once.

    OSError or KeyError where the archive is not what it should be.
    """
    rng = np.random.default_rng([seed, 223])
    with zipfile.ZipFile(archive) as files:
        names = [
            name
            for name in files.read("test.txt").decode().split()
            if name.rpartition("/")[2] not in _SHOWN_ELSEWHERE
        ]
        for picked in rng.permutation(len(names)):
            name = names[picked]
            boxes = tuple(map(box_of, files.read(f"{name}.txt").decode().splitlines()))
            if boxes:
                yield _Scanned(
                    _scan(files.read(f"{name}_temp.png")),
                    _scan(files.read(f"{name}_test.png")),
                    _apart(boxes),
                    skin,
                )


def _scan(content: bytes) -> NDArray[np.uint8]:
    scan = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(scan, np.uint8)


def _apart(boxes: Sequence[TrueBox]) -> tuple[TrueBox, ...]:
    """Those that touch no other: a board that has one of them shows nothing of another."""
    return tuple(
        box for box in boxes if not any(other is not box and _touch(box, other) for other in boxes)
    ) or tuple(boxes[:1])


def _touch(one: TrueBox, other: TrueBox) -> bool:
    return (
        one.x_px < other.x_px + other.width_px
        and other.x_px < one.x_px + one.width_px
        and one.y_px < other.y_px + other.height_px
        and other.y_px < one.y_px + one.height_px
    )


def _etched(laminate: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same circuit on another board: edges a fraction of a pixel elsewhere, a few specks."""
    etched = _breathed(laminate, rng)
    for _ in range(int(rng.integers(_MOST_SPECKS + 1))):
        x, y = (int(at) for at in rng.integers(4, laminate.shape[0] - 4, 2))
        side = int(rng.integers(1, 3))
        speck = etched[y : y + side, x : x + side]
        np.subtract(255, speck, out=speck)
    return etched


def _breathed(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    coarse = (height // _BREATHES_OVER_PX + 2, width // _BREATHES_OVER_PX + 2)
    shifts = [
        cv2.resize(
            rng.normal(0, BREATHES_PX, coarse).astype(np.float32),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
        for _ in range(2)
    ]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    moved = cv2.remap(
        picture,
        x + shifts[0],
        y + shifts[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.uint8)


@dataclass(frozen=True, slots=True)
class _Drawn:
    seed: int
    product: int
    size_px: tuple[int, int]

    @property
    def most_defects(self) -> int:
        return MOST_DEFECTS

    def board(
        self, number: int, *, serial: str, defects: int, rng: np.random.Generator
    ) -> tuple[Image, str, tuple[TrueBox, ...]]:
        del serial
        width_px, height_px = self.size_px
        codes = tuple(DefectCode)
        board = draw_board(
            number,
            seed=self.seed,
            width_px=width_px,
            height_px=height_px,
            defects=[codes[int(rng.integers(len(codes)))] for _ in range(defects)],
            product=self.product,
            quirks=QUIRKS,
            variation=1.0,
        )
        boxes = tuple(TrueBox(one.code.value, *one.bbox_px) for one in board.truth)
        return board.picture, board.serial, boxes


def drawn_designs(size_px: tuple[int, int], *, seed: int) -> Iterator[Design]:
    """Circuits that the simulation draws, each once."""
    product = 0
    while True:
        yield _Drawn(seed, product, size_px)
        product += 1
