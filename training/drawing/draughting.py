"""What everything needs that draws copper: where its edges are, directions, sizes. Pure."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
"""[rows, columns], copper 0 and laminate 255."""
Box = tuple[int, int, int, int]
"""left, top, right, bottom."""
Points = NDArray[np.float64]
"""[n, 2] or [2]: x, y in pixels."""

_EIGHTH = math.pi / 4


def edges(copper: NDArray[np.uint8]) -> NDArray[np.int64]:
    """[n, 2] x, y of the pixels of copper (1, else 0) that lie beside something else, by rows."""
    rim = copper & (cv2.erode(copper, np.ones((3, 3), np.uint8)) == 0)
    rows, columns = np.nonzero(rim)
    return np.stack([columns, rows], axis=1).astype(np.int64)


def as_designers_draw(angle: float) -> float:
    """The nearest direction in steps of 45 degrees; radians."""
    return round(angle / _EIGHTH) * _EIGHTH


def ahead(angle: float) -> Points:
    """One pixel in this direction, [2]."""
    return np.array([math.cos(angle), math.sin(angle)])


def turned(points: Points, angle: float) -> Points:
    """Points [n, 2] whose x lay ahead, with it lying in this direction."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


def any_size(rng: np.random.Generator, least: float, most: float) -> float:
    """Between these, as often half as large as twice as large: uniform in its logarithm."""
    return math.exp(rng.uniform(math.log(least), math.log(most)))
