"""Where a board lies in a picture: poses, and the boxes and pixels they move. Pure.

Coordinates are those of edges: the first pixel reaches from 0 to 1, and its middle lies at 0.5.
Boxes are given so everywhere; that OpenCV counts from the middle of the first pixel, only `place`
knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """Where the board lies in the picture: [2, 3] from board to picture, in pixels."""

    matrix: NDArray[np.float64]
    size_px: int
    """The picture is this wide and high."""

    def boxes(self, boxes: Boxes) -> Boxes:
        """Upright boxes around the turned ones, [n, 4] float32; they may reach outside."""
        if len(boxes) == 0:
            return boxes.reshape(0, 4).astype(np.float32)
        left, top, right, bottom = boxes.T
        corners = np.stack([[left, top], [right, top], [right, bottom], [left, bottom]])
        moved = np.einsum("ij,kjn->kin", self.matrix[:, :2], corners)
        moved += self.matrix[:, 2][None, :, None]
        low, high = moved.min(axis=0), moved.max(axis=0)
        return np.concatenate([low, high]).T.astype(np.float32)

    def shifted(self, shift_px: NDArray[np.float64]) -> Pose:
        """The board lies so many pixels (x, y) of the picture further."""
        return Pose(self.matrix + np.hstack([np.zeros((2, 2)), shift_px[:, None]]), self.size_px)

    def is_covered_by(self, width_px: int, height_px: int) -> bool:
        """A board of this size fills the whole picture."""
        last = self.size_px
        back = cv2.invertAffineTransform(self.matrix)
        corners = np.array([[0, 0, 1], [last, 0, 1], [0, last, 1], [last, last, 1]], np.float64)
        xs, ys = back @ corners.T
        within_x = xs.min() >= 0 and xs.max() <= width_px
        return bool(within_x and ys.min() >= 0 and ys.max() <= height_px)


def pose(
    focus: tuple[float, float],
    *,
    size_px: int,
    at: tuple[float, float],
    scale: float = 1.0,
    turn_deg: float = 0.0,
    quarter_turns: int = 0,
    mirrored: bool = False,
) -> Pose:
    """A pose that brings board point `focus` to picture point `at`."""
    angle = math.radians(turn_deg) + quarter_turns * math.pi / 2
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    linear = np.array([[cos, -sin], [sin, cos]])
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    shift = np.asarray(at) - linear @ np.asarray(focus)
    return Pose(np.hstack([linear, shift[:, None]]), size_px)


def misregistered(where: Pose, rng: np.random.Generator, *, shift_px: float = 2.5) -> Pose:
    """The pose as registration would find it: up to 2.5 px, 0.35 degrees, half a percent off.

    With a smaller `shift_px`, turn and scale are off by less in proportion.
    """
    middle = where.size_px / 2
    shift = rng.uniform(-shift_px, shift_px, 2)
    share = shift_px / 2.5
    off = pose(
        (middle, middle),
        size_px=where.size_px,
        at=(middle + shift[0], middle + shift[1]),
        scale=1 + rng.uniform(-0.005, 0.005) * share,
        turn_deg=rng.uniform(-0.35, 0.35) * share,
    )
    return Pose(off.matrix @ np.vstack([where.matrix, [0, 0, 1]]), where.size_px)


def place(board: Picture, where: Pose, *, outside: int) -> Picture:
    """The board's pixels where the pose puts them; `outside` (0 to 255) beyond its edges."""
    size = (where.size_px, where.size_px)
    matrix = where.matrix.copy()
    # warpAffine's coordinates are those of the pixels' middles.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    border = (outside,) * 3
    moved = cv2.warpAffine(board, matrix, size, flags=cv2.INTER_LINEAR, borderValue=border)
    return np.asarray(moved, np.uint8)
