"""Maps a picture into a model's input, turned and shrunk, in one step from the frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import Affine, back, between_centres, moved, scaled_px, then
from inspector.core.records import PADDING_GREY, Letterbox, Rect

SKIPS_ABOVE = 1.5
"""The shrinking factor from which bilinear scaling may skip a lone pixel."""

Picture = NDArray[np.uint8]
"""(height, width) or (height, width, 3) uint8."""
Scratch = Callable[[int, int, str], Picture | None]
"""Memory for a picture of this height and width, for this use; None has it allocated."""


def no_scratch(height_px: int, width_px: int, use: str) -> None:
    """For pictures whose size differs each time."""
    del height_px, width_px, use


def into_letterbox(rect: Rect, box: Letterbox) -> Affine:
    """The matrix from the pixels around a rectangle to those of the model's input."""
    return (
        (box.scale, 0.0, box.left_px - box.scale * rect.x_px),
        (0.0, box.scale_down, box.top_px - box.scale_down * rect.y_px),
    )


def warp(
    image: Picture,
    matrix: Affine,
    canvas: Picture,
    *,
    scale: float,
    around: int = PADDING_GREY,
    scratch: Scratch = no_scratch,
) -> None:
    """Fill `canvas` with the picture, moved by `matrix`; `around` where it shows nothing.

    `scale` is that of `matrix`: a picture that becomes much smaller is halved with care first.
    """
    pixels, back = shrunk(image, scale, scratch)
    there = np.array((*matrix, (0, 0, 1))) @ back
    cv2.warpAffine(
        pixels,
        np.array(between_centres(there[:2].tolist())),
        (canvas.shape[1], canvas.shape[0]),
        dst=canvas,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(around, around, around),
    )


def write_registered(
    image: Picture,
    to_reference: Affine,
    rect: Rect,
    box: Letterbox,
    canvas: Picture,
    *,
    scratch: Scratch = no_scratch,
) -> None:
    """Fill `canvas` with the part of a unit on this part of its reference; grey beside it."""
    matrix = then(to_reference, into_letterbox(rect, box))
    warp(image, matrix, canvas, scale=box.least_shrunk, scratch=scratch)
    right_px = box.left_px + scaled_px(rect.width_px, box.scale)
    bottom_px = box.top_px + scaled_px(rect.height_px, box.scale_down)
    canvas[: box.top_px] = PADDING_GREY
    canvas[bottom_px:] = PADDING_GREY
    canvas[:, : box.left_px] = PADDING_GREY
    canvas[:, right_px:] = PADDING_GREY


def shrunk(image: Picture, scale: float, scratch: Scratch) -> tuple[Picture, NDArray[Any]]:
    """The picture, halved as often as it is at least twice too large, no small defect lost.

    Bilinear scaling below one half skips source pixels, and just above one half it skips those of
    a picture that was halved before: see `Preprocessor`. With it the way back: from its pixels to
    the picture's, (3, 3).
    """
    pixels, back, halved = image, np.identity(3), False
    while scale <= 1 / 2 and min(pixels.shape[:2]) >= 2:  # noqa: PLR2004 - there is a half
        half = (pixels.shape[0] // 2, pixels.shape[1] // 2)
        even = pixels[: half[0] * 2, : half[1] * 2]
        small = cv2.resize(
            even, half[::-1], dst=scratch(*half, "half"), interpolation=cv2.INTER_AREA
        )
        pixels, scale, halved = np.asarray(small, np.uint8), scale * 2, True
        back[:2, :2] *= 2
    if halved and scale < 1 / SKIPS_ABOVE:
        height_px, width_px = pixels.shape[:2]
        mean = cv2.blur(pixels, (2, 2), dst=scratch(height_px, width_px, "mean"))
        pixels = np.asarray(mean, np.uint8)
        # Each pixel is now the mean of itself and those before it: half a pixel too far.
        back[:2, 2] -= back[0, 0] / 2
    return pixels, back


def grey_onto(image: Picture, matrix: Affine, canvas: Picture, *, scale: float) -> None:
    """Fill `canvas` with the picture's grey, moved by `matrix`: only what is shown is converted."""
    part, x_px, y_px = _part(image, back(matrix), canvas.shape)
    grey = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.uint8)
    warp(grey, then(((1.0, 0.0, x_px), (0.0, 1.0, y_px)), matrix), canvas, scale=scale)


def _part(image: Picture, to_frame: Affine, shape: tuple[int, ...]) -> tuple[Picture, int, int]:
    """The part of a frame that a model's input of this shape shows, and its offset in the frame."""
    corners = [moved(to_frame, x_px, y_px) for x_px in (0, shape[1]) for y_px in (0, shape[0])]
    xs, ys = zip(*corners, strict=True)
    height_px, width_px = image.shape[:2]
    # At least one pixel, even of a frame that shows nothing of it; and those beside, to blend with.
    left = min(max(0, math.floor(min(xs)) - 1), width_px - 1)
    top = min(max(0, math.floor(min(ys)) - 1), height_px - 1)
    right = max(left + 1, min(width_px, math.ceil(max(xs)) + 1))
    bottom = max(top + 1, min(height_px, math.ceil(max(ys)) + 1))
    return image[top:bottom, left:right], left, top
