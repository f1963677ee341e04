"""Basic types of the records: camera ids, pictures, rectangles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

import numpy as np
from numpy.typing import NDArray

CameraId = NewType("CameraId", str)
Image = NDArray[np.uint8]
"""(height, width, 3) uint8, BGR, C-contiguous unless said otherwise."""


Affine = tuple[tuple[float, float, float], tuple[float, float, float]]
"""A 2x3 matrix: x' = a x + b y + c, y' = d x + e y + f. Rows of `numpy.array(matrix)` too."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A part of an image, in its pixels, from the top left."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int
