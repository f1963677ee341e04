"""Writes a region's pixels into a request tensor, in the form the model needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.batching.comparing import Planes, ReferencePlanes, differing, shown_beside
from inspector.core.geometry import scaled_px, then, upright_matrix
from inspector.core.records import PADDING_GREY, Image, Letterbox, ModelInput, Outline, Rect, Region
from inspector.core.warping import (
    SKIPS_ABOVE,
    grey_onto,
    into_letterbox,
    warp,
    write_registered,
)


class Preprocessor:
    """Letterboxes regions in place; owns the small scratch memory for that.

    The copy that scaling makes anyway is the only one: a model that takes uint8 pictures gets
    them scaled straight into its tensor. Not for concurrent use.
    """

    def __init__(self, model_input: ModelInput) -> None:
        self._input = model_input
        self._levels = _levels(model_input)
        shape = (model_input.height_px, model_input.width_px, 3)
        self._canvas: Image = np.empty(shape, np.uint8)
        plane = (model_input.height_px, model_input.width_px)
        self._planes = [np.empty(plane, np.uint8) for _ in range(3)]
        self._scratch: dict[tuple[int, int, str], Image] = {}
        self._references = ReferencePlanes()

    def write(self, region: Region, row: NDArray[Any]) -> Region:
        """Fill `row`: (H, W, channels) or (channels, H, W), uint8 or float32.

        The former is 0..255; the latter 0..white, less the mean, by the deviation, where the model
        wants that.

        Returns the region, which then says where it differs from its reference.
        """
        if region.on_reference and not self._input.takes_reference:
            self._write_registered(region, row)
            return region
        if region.close_ups:
            self._spread(self._close_ups(region), row)
            return region
        if region.on_reference:
            unit, planes = self._compared(region)
            self._spread((unit, planes.wanted), row)
            return replace(region, differing=differing(unit, planes))
        self._write_picture(region, row)
        return region

    def _write_picture(self, region: Region, row: NDArray[Any]) -> None:
        self._write_canvas(lambda canvas: self._letterbox(region, canvas), row)

    def _write_registered(self, region: Region, row: NDArray[Any]) -> None:
        """The unit as it lies on its reference; what lies beside it is grey."""
        placed = region.frame.ref.placed
        if placed is None:
            raise RuntimeError("a region lies on a reference that it was not placed on")
        image, rect, box = region.frame.lease.image, region.rect, region.letterbox
        self._write_canvas(
            lambda canvas: write_registered(
                image, placed.matrix, rect, box, canvas, scratch=self._scratch_of
            ),
            row,
        )

    def _write_canvas(self, draw: Callable[[Image], None], row: NDArray[Any]) -> None:
        """Draw a picture, straight into the tensor where its layout allows that."""
        spec = self._input
        if not spec.channels_first and spec.dtype == "UINT8":
            draw(row)
            if spec.rgb:
                cv2.cvtColor(row, cv2.COLOR_BGR2RGB, dst=row)
            return
        draw(self._canvas)
        cv2.split(self._canvas, self._planes)
        self._spread(self._planes[::-1] if spec.rgb else self._planes, row)

    def _spread(self, planes: Sequence[NDArray[np.uint8]], row: NDArray[Any]) -> None:
        """A plane per channel, as the model needs them."""
        spec = self._input
        for channel, plane in enumerate(planes):
            target = row[channel] if spec.channels_first else row[..., channel]
            if spec.dtype == "UINT8":
                np.copyto(target, plane)
                continue
            step, black = self._levels[channel]
            np.multiply(plane, step, out=target, dtype=np.float32)
            if black:
                np.add(target, black, out=target)

    def _compared(self, region: Region) -> tuple[NDArray[np.uint8], Planes]:
        """The unit's grey as it lies on the reference, and what it is compared with."""
        reference, placed = region.frame.ref.under.recipe.compared_with, region.frame.ref.placed
        if reference is None or placed is None:
            raise RuntimeError("a region lies on a reference that it was not placed on")
        planes = self._references.of(reference, region.rect, region.letterbox, self._input)
        unit, image = self._planes[0], region.frame.lease.image
        matrix = then(placed.matrix, into_letterbox(region.rect, region.letterbox))
        shown_beside(image, matrix, planes, unit, scale=region.letterbox.least_shrunk)
        return unit, planes

    def _close_ups(self, region: Region) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Enlarged places of the unit and of its reference, side by side.

        With the contrast of the designs that the network was trained with: in close-ups of a dark
        board it found only half of what it finds so.
        """
        reference, placed = region.frame.ref.under.recipe.compared_with, region.frame.ref.placed
        if reference is None or placed is None:
            raise RuntimeError("a region lies on a reference that it was not placed on")
        unit, wanted = self._planes[:2]
        unit[:], wanted[:] = PADDING_GREY, PADDING_GREY
        levels = self._references.levels_of(reference)
        for close_up in region.close_ups:
            cell, scale, (x_px, y_px) = close_up.cell, close_up.enlarged, close_up.middle_px
            into = (
                (scale, 0.0, cell.width_px / 2 - scale * x_px),
                (0.0, scale, cell.height_px / 2 - scale * y_px),
            )
            part = np.s_[
                cell.y_px : cell.y_px + cell.height_px, cell.x_px : cell.x_px + cell.width_px
            ]
            image = region.frame.lease.image
            for canvas, picture, matrix in (
                (unit, image, then(placed.matrix, into)),
                (wanted, reference.mean, into),
            ):
                # A separate cell: OpenCV cannot write into part of a larger picture's rows.
                shown = np.empty((cell.height_px, cell.width_px), np.uint8)
                grey_onto(picture, matrix, shown, scale=scale)
                canvas[part] = cv2.LUT(shown, levels)
        return unit, wanted

    def _letterbox(self, region: Region, canvas: Image) -> None:
        rect, box = region.rect, region.letterbox
        if region.upright is not None:
            self._turn(region.frame.lease.image, region.upright, rect, box, canvas)
            return
        pixels = region.frame.lease.image[
            rect.y_px : rect.y_px + rect.height_px, rect.x_px : rect.x_px + rect.width_px
        ]
        width_px = scaled_px(rect.width_px, box.scale)
        height_px = scaled_px(rect.height_px, box.scale_down)
        right_px, bottom_px = box.left_px + width_px, box.top_px + height_px
        grey = self._input.padding
        canvas[: box.top_px] = grey
        canvas[bottom_px:] = grey
        canvas[box.top_px : bottom_px, : box.left_px] = grey
        canvas[box.top_px : bottom_px, right_px:] = grey
        self._scale(pixels, canvas[box.top_px : bottom_px, box.left_px : right_px])

    def _turn(
        self, image: Image, outline: Outline, rect: Rect, box: Letterbox, canvas: Image
    ) -> None:
        """The unit turned upright, at its place in the input, what surrounds it around it.

        In one step from the frame. Detectors are trained on boards on a belt, so the belt beside
        the unit says more than grey would; what lies outside the frame is grey.
        """
        grey = self._input.padding
        if max(box.stretch, 1 / box.stretch) > SKIPS_ABOVE:
            self._turn_and_stretch(image, outline, rect, box, canvas)
            return
        matrix = then(upright_matrix(outline), into_letterbox(rect, box))
        warp(image, matrix, canvas, scale=box.least_shrunk, around=grey, scratch=self._scratch_of)

    def _turn_and_stretch(
        self, image: Image, outline: Outline, rect: Rect, box: Letterbox, canvas: Image
    ) -> None:
        """In two steps: turning in one would skip pixels in the direction that shrinks more."""
        even = Letterbox(scale=box.least_shrunk, left_px=0, top_px=0)
        size = (scaled_px(rect.height_px, even.scale), scaled_px(rect.width_px, even.scale), 3)
        upright = np.empty(size, np.uint8)
        matrix = then(upright_matrix(outline), into_letterbox(rect, even))
        grey = self._input.padding
        warp(image, matrix, upright, scale=even.scale, around=grey, scratch=self._scratch_of)
        cv2.resize(upright, canvas.shape[1::-1], dst=canvas, interpolation=cv2.INTER_AREA)

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
        # A picture that is not stretched was halved until it is less than twice too large.
        skips = pixels.shape[0] >= 2 * height_px or pixels.shape[1] >= 2 * width_px
        how = cv2.INTER_AREA if skips else cv2.INTER_LINEAR
        cv2.resize(pixels, (width_px, height_px), dst=target, interpolation=how)

    def _scratch_of(self, height_px: int, width_px: int, use: str) -> Image:
        key = (height_px, width_px, use)
        if key not in self._scratch:
            self._scratch[key] = np.empty((height_px, width_px, 3), np.uint8)
        return self._scratch[key]


def _levels(model_input: ModelInput) -> list[tuple[np.float32, np.float32]]:
    """For each channel of a float input: the value of one grey level, and that of black."""
    mean, deviation = model_input.mean or (0.0,) * 3, model_input.deviation or (1.0,) * 3
    by_channel = list(zip(mean, deviation, strict=True))
    if not model_input.rgb:
        by_channel.reverse()
    step = model_input.white / 255
    return [(np.float32(step / by), np.float32(-off / by)) for off, by in by_channel]
