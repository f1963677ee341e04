"""What lies on real boards and is no defect: code labels and screw holes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]

_CLEAR_PX = 8


def print_label(shown: Picture, taken: Boxes, rng: np.random.Generator) -> None:
    """A sticker with a matrix code or bars, turned like the board's edges, or directly printed."""
    side = int(rng.integers(40, 120))
    place = _free_place(shown.shape[0], side, taken, rng)
    if place is None:
        return
    x, y = place
    modules = int(rng.integers(10, 25))
    paper, ink = rng.uniform(150, 255), rng.uniform(0, 70)
    if rng.random() < 0.7:
        code = (rng.random((modules, modules)) < 0.5).astype(np.uint8)
        code[:, 0] = code[-1, :] = 1
        code[0, ::2] = code[::2, -1] = 1
    else:
        code = np.repeat((rng.random((1, 3 * modules)) < 0.5).astype(np.uint8), modules, axis=0)
    quiet = np.pad(code, int(rng.integers(1, 4)))
    height = side if code.shape[0] == code.shape[1] else side // 2
    sticker = cv2.resize(quiet, (side, height), interpolation=cv2.INTER_NEAREST)
    part = shown[y : y + height, x : x + side]
    part[:] = np.where(sticker[: part.shape[0], : part.shape[1], None] > 0, ink, paper)


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
