"""Converts masks to shapes, and shapes to findings: pure arithmetic."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import on_picture
from inspector.core.places import WHOLE_UNIT, Box, Place, Polygon
from inspector.core.records import ModelInput, Region
from inspector.inference.outputs.checks import Floats

Mask = NDArray[np.bool_]
"""(height, width): the pixels that belong to it."""
Corners = NDArray[np.float64]
"""(corners, 2): x and y, in order."""

_CORNER = np.ones((2, 2), np.uint8)
_SMOOTHED_PX = 0.75
_SMOOTHED_SHARE = 0.004
"""As a share of a shape's perimeter: smaller details of its corners cannot be seen."""


def outline_of(mask: Mask) -> Corners | None:
    """The outline of the largest part of a mask, in its pixels; None if it is empty.

    It runs along the edges of pixels, 0, 0 being the corner of the first: an outline through their
    centres would make a scratch of two pixels one of one pixel. Holes are filled.
    """
    padded = np.pad(mask.astype(np.uint8), ((0, 1), (0, 1)))
    # Each corner that belongs to a pixel of the mask.
    corners = cv2.dilate(padded, _CORNER, anchor=(1, 1))
    found, _ = cv2.findContours(corners, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return None
    largest = max(found, key=cv2.contourArea)
    within_px = max(_SMOOTHED_PX, _SMOOTHED_SHARE * cv2.arcLength(largest, closed=True))
    smooth = cv2.approxPolyDP(largest, within_px, closed=True)
    outline = smooth if len(smooth) > 2 else largest  # noqa: PLR2004 - a line has no area
    return outline[:, 0, :].astype(np.float64)


def parts_of(mask: Mask, *, at_most: int) -> list[tuple[slice, slice, Mask]]:
    """The connected parts of a mask, the largest first: rows, columns, and the mask therein."""
    lines, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not lines.size:
        return []
    # The cost of labelling grows with the picture, and defects are small.
    first_row, first_column = int(lines[0]), int(across[0])
    used = mask[first_row : lines[-1] + 1, first_column : across[-1] + 1]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(used.astype(np.uint8))
    order = np.argsort(-stats[1:count, cv2.CC_STAT_AREA], kind="stable")[:at_most] + 1
    parts = []
    for number in order.tolist():
        left, top, width, height, _area = stats[number].tolist()
        part = labels[top : top + height, left : left + width] == number
        top, left = top + first_row, left + first_column
        parts.append((slice(top, top + height), slice(left, left + width), part))
    return parts


def polygon_of(outline: Corners, scale: tuple[float, float], region: Region) -> Place | None:
    """An outline on the region's picture; None if nothing of it lies there.

    `scale`: pixels of the model's input per pixel of the outline, across and down.
    """
    points = (outline * scale).tolist()
    return on_picture(Polygon(points_px=tuple((x, y) for x, y in points)), region)


def scale_to(model_input: ModelInput, width: int, height: int) -> tuple[float, float]:
    """Pixels of the input per pixel of a smaller picture of it, across and down."""
    return model_input.width_px / width, model_input.height_px / height


def all_of(region: Region) -> Place:
    """Everything that a region shows: the unit as a whole, or the tile."""
    if region.pieces == 1:
        return WHOLE_UNIT
    rect = region.rect
    return Box(
        left_px=float(rect.x_px),
        top_px=float(rect.y_px),
        right_px=float(rect.x_px + rect.width_px),
        bottom_px=float(rect.y_px + rect.height_px),
    )


def as_floats(array: NDArray[Any]) -> Floats:
    """Half floats as floats, whose sums and thresholds are exact enough."""
    return array.astype(np.float32, copy=False)
