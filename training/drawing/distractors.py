"""What lies on real boards and is no defect: code labels and screw holes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]

_CLEAR_PX = 8


@dataclass(frozen=True)
class Label:
    """A sticker with a matrix code or bars, along the picture's edges: which code differs."""

    left: int
    top: int
    side_px: int
    modules: int
    quiet_modules: int
    is_matrix: bool
    paper: float
    ink: float

    @classmethod
    def random(cls, size_px: int, taken: Boxes, rng: np.random.Generator) -> Label | None:
        """One that keeps off `taken` (boxes in picture pixels); None where no place was found."""
        side = int(rng.integers(40, 120))
        place = _free_place(size_px, side, taken, rng)
        if place is None:
            return None
        modules = int(rng.integers(10, 25))
        paper, ink = rng.uniform(150, 255), rng.uniform(0, 70)
        is_matrix = bool(rng.random() < 0.7)
        return cls(*place, side, modules, int(rng.integers(1, 4)), is_matrix, paper, ink)

    def print(self, shown: Picture, rng: np.random.Generator, *, codes: int = 1) -> None:
        """Print a random code; of several `codes` their mean, as the mean of boards shows it."""
        code = np.mean([self._code(rng) for _ in range(codes)], axis=0, dtype=np.float32)
        height = self.side_px if self.is_matrix else self.side_px // 2
        size = (self.side_px, height)
        inked = cv2.resize(np.pad(code, self.quiet_modules), size, interpolation=cv2.INTER_NEAREST)
        part = shown[self.top : self.top + height, self.left : self.left + self.side_px]
        share = inked[: part.shape[0], : part.shape[1], None]
        part[:] = self.paper + share * (self.ink - self.paper)

    def _code(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        count = self.modules
        if not self.is_matrix:
            return np.repeat((rng.random((1, 3 * count)) < 0.5).astype(np.uint8), count, axis=0)
        code = (rng.random((count, count)) < 0.5).astype(np.uint8)
        code[:, 0] = code[-1, :] = 1
        code[0, ::2] = code[::2, -1] = 1
        return code


def screw_hole(
    shown: Picture, taken: Boxes, belt: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """A drilled hole through which the belt is seen, with or without a bright ring."""
    radius = int(rng.integers(7, 26))
    ring = int(rng.integers(0, 10))
    side = 2 * (radius + ring)
    place = _free_place(shown.shape[0], side, taken, rng)
    if place is None:
        return
    centre = (place[0] + side // 2, place[1] + side // 2)
    if ring:
        colour = rng.uniform(120, 230) + rng.normal(0, 12, 3)
        cv2.circle(shown, centre, radius + ring, colour.tolist(), -1, cv2.LINE_AA)
    cv2.circle(shown, centre, radius, np.clip(belt, 0, 255).tolist(), -1, cv2.LINE_AA)


def _free_place(
    size_px: int, side: int, taken: Boxes, rng: np.random.Generator
) -> tuple[int, int] | None:
    for _ in range(8):
        x, y = (int(v) for v in rng.integers(0, max(size_px - side, 1), 2))
        apart = (
            (taken[:, 0] > x + side + _CLEAR_PX)
            | (taken[:, 2] < x - _CLEAR_PX)
            | (taken[:, 1] > y + side + _CLEAR_PX)
            | (taken[:, 3] < y - _CLEAR_PX)
        )
        if np.all(apart):
            return x, y
    return None
