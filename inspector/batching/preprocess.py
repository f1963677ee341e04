"""Writes a region's pixels into a request tensor, in the form the model wants."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import between_centres, scaled_px, upright_matrix
from inspector.core.records import Image, Letterbox, ModelInput, Outline, Rect, Region

PADDING_GREY = 114
"""What YOLO-family detectors were trained to see around a letterboxed picture."""

SKIPS_ABOVE = 1.5
"""The shrinking factor from which bilinear scaling may skip a lone pixel."""


class Preprocessor:
    """Letterboxes regions in place; owns the little scratch memory that needs.

    The copy that scaling makes anyway is the only one: a model that takes uint8 pictures gets
    them scaled straight into its tensor. Not for concurrent use.
    """

    def __init__(self, model_input: ModelInput) -> None:
        self._input = model_input
        shape = (model_input.height_px, model_input.width_px, 3)
        self._canvas: Image = np.empty(shape, np.uint8)
        plane = (model_input.height_px, model_input.width_px)
        self._planes = [np.empty(plane, np.uint8) for _ in range(3)]
        self._scratch: dict[tuple[int, int, str], Image] = {}

    def write(self, region: Region, row: NDArray[Any]) -> None:
        """Fill `row`: (H, W, 3) or (3, H, W), uint8 0..255 or float32 0..1."""
        spec = self._input
        if not spec.channels_first and spec.dtype == "UINT8":
            self._letterbox(region, row)
            if spec.rgb:
                cv2.cvtColor(row, cv2.COLOR_BGR2RGB, dst=row)
            return
        self._letterbox(region, self._canvas)
        cv2.split(self._canvas, self._planes)
        planes = self._planes[::-1] if spec.rgb else self._planes
        for channel, plane in enumerate(planes):
            target = row[channel] if spec.channels_first else row[..., channel]
            if spec.dtype == "UINT8":
                np.copyto(target, plane)
            else:
                np.multiply(plane, np.float32(1 / 255), out=target, dtype=np.float32)

    def _letterbox(self, region: Region, canvas: Image) -> None:
        rect, box = region.rect, region.letterbox
        if region.upright is not None:
            self._turn(region.frame.lease.image, region.upright, rect, box, canvas)
            return
        pixels = region.frame.lease.image[
            rect.y_px : rect.y_px + rect.height_px, rect.x_px : rect.x_px + rect.width_px
        ]
        width_px = scaled_px(rect.width_px, box.scale)
        height_px = scaled_px(rect.height_px, box.scale)
        right_px, bottom_px = box.left_px + width_px, box.top_px + height_px
        canvas[: box.top_px] = PADDING_GREY
        canvas[bottom_px:] = PADDING_GREY
        canvas[box.top_px : bottom_px, : box.left_px] = PADDING_GREY
        canvas[box.top_px : bottom_px, right_px:] = PADDING_GREY
        self._scale(pixels, canvas[box.top_px : bottom_px, box.left_px : right_px])

    def _turn(
        self, image: Image, outline: Outline, rect: Rect, box: Letterbox, canvas: Image
    ) -> None:
        """The unit turned upright, at its place in the input, what surrounds it around it.

        In one step from the frame. Detectors are trained on boards on a belt, so the belt beside
        the unit says more than grey would; what lies outside the frame is grey.
        """
        to_unit = np.array((*upright_matrix(outline), (0, 0, 1)))
        to_canvas = np.array(
            [
                [box.scale, 0, box.left_px - box.scale * rect.x_px],
                [0, box.scale, box.top_px - box.scale * rect.y_px],
                [0, 0, 1],
            ]
        )
        pixels, to_frame = self._shrunk(image, box.scale)
        matrix = (to_canvas @ to_unit @ to_frame)[:2]
        cv2.warpAffine(
            pixels,
            np.array(between_centres(matrix.tolist())),
            (canvas.shape[1], canvas.shape[0]),
            dst=canvas,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(PADDING_GREY, PADDING_GREY, PADDING_GREY),
        )

    def _shrunk(self, image: Image, scale: float) -> tuple[Image, NDArray[Any]]:
        """The frame, halved with care as in `_scale` as often as it is at least twice too large.

        With it the way back: from its pixels to the frame's, (3, 3).
        """
        pixels, to_frame, halved = image, np.identity(3), False
        while scale <= 1 / 2 and min(pixels.shape[:2]) >= 2:  # noqa: PLR2004 - there is a half
            half = (pixels.shape[0] // 2, pixels.shape[1] // 2)
            scratch = self._scratch_of(*half, "half")
            even = pixels[: half[0] * 2, : half[1] * 2]
            cv2.resize(even, (half[1], half[0]), dst=scratch, interpolation=cv2.INTER_AREA)
            pixels, scale, halved = scratch, scale * 2, True
            to_frame[:2, :2] *= 2
        if halved and scale < 1 / SKIPS_ABOVE:
            scratch = self._scratch_of(pixels.shape[0], pixels.shape[1], "mean")
            cv2.blur(pixels, (2, 2), dst=scratch)
            pixels = scratch
            # Each pixel is now the mean of itself and those before it: half a pixel too far.
            to_frame[:2, 2] -= to_frame[0, 0] / 2
        return pixels, to_frame

    def _scale(self, pixels: Image, target: Image) -> None:
        """Shrink without making small defects vanish.

        Bilinear scaling below one half skips source pixels, and just above one half it skips those
        of a picture that was halved before. Of 3111 specks of 2x2 pixels in a 2448x2048 picture,
        bilinear scaling to 640 lost 1349, halving first 105, a mean over 2x2 pixels in between
        none; area scaling all the way loses none and takes four times as long.
        """
        height_px, width_px = target.shape[:2]
        halved = False
        while pixels.shape[0] >= 2 * height_px and pixels.shape[1] >= 2 * width_px:
            half = (pixels.shape[0] // 2, pixels.shape[1] // 2)
            if half == (height_px, width_px) and pixels.shape[:2] == (half[0] * 2, half[1] * 2):
                cv2.resize(pixels, (half[1], half[0]), dst=target, interpolation=cv2.INTER_AREA)
                return
            scratch = self._scratch_of(*half, "half")
            even = pixels[: half[0] * 2, : half[1] * 2]
            cv2.resize(even, (half[1], half[0]), dst=scratch, interpolation=cv2.INTER_AREA)
            pixels, halved = scratch, True
        if halved and pixels.shape[0] > SKIPS_ABOVE * height_px:
            # Moves the picture by half of a halved pixel: less than a third of a model pixel.
            scratch = self._scratch_of(pixels.shape[0], pixels.shape[1], "mean")
            cv2.blur(pixels, (2, 2), dst=scratch)
            pixels = scratch
        if pixels.shape == target.shape:
            np.copyto(target, pixels)
            return
        cv2.resize(pixels, (width_px, height_px), dst=target, interpolation=cv2.INTER_LINEAR)

    def _scratch_of(self, height_px: int, width_px: int, use: str) -> Image:
        key = (height_px, width_px, use)
        if key not in self._scratch:
            self._scratch[key] = np.empty((height_px, width_px, 3), np.uint8)
        return self._scratch[key]
