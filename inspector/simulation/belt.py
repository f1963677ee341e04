"""Places every board in a frame, and paints frames cheaply from composed pieces of belt.

A board and the belt around it are composed once, as a strip as high as the picture; a frame is
a copy of one to three strips with sensor noise and flicker over it. Composing a 1280x720 strip
costs about 10 ms, a frame under 1 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.newest import Newest
from inspector.core.records import Image
from inspector.simulation.board import SimulatedBoard, draw_board, serial_of
from inspector.simulation.defects import DefectCode, TrueDefect, codes_of_board
from inspector.simulation.options import Direction, SimulationOptions, View

BOARD_SIDE_PX = 620
"""Boards are this wide and high, or 94 % of a smaller picture: one 640x640 region holds a board."""
SMALLEST_PICTURE_PX = 128
_SHARE_OF_PICTURE = 0.94
_TILT_DEG = 0.6
_SHIFT_PX = 10
_BLUR_SHARE = 0.17
_MOST_BLUR_PX = 5
"""The line is lit by a short flash: boards smear over a sixth of a frame, at most 5 px."""
_NOISE_ZERO = 48
_NOISE_REACH_PX = 48


@dataclass(frozen=True, slots=True)
class BoardInView:
    """A board, or a part of one, in a frame; all boxes in frame pixels, also beyond its edges."""

    number: int
    serial: str
    outline_px: tuple[int, int, int, int]
    """x, y, width, height of the upright box around the slightly turned board."""
    fully_in_view: bool
    defects: tuple[TrueDefect, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Strip:
    """A board on its piece of belt, as high as the picture; boxes in the strip's pixels."""

    image: Image
    outline_px: tuple[int, int, int, int]
    truth: tuple[TrueDefect, ...]


class SimulatedView:
    """The pictures of one simulated camera and the truth about them.

    Pure apart from a cache of composed strips; one thread at a time.
    """

    def __init__(self, options: SimulationOptions, size: tuple[int, int]) -> None:
        """`size` is the picture's (width, height); ValueError when it is too small."""
        if min(size) < SMALLEST_PICTURE_PX:
            msg = (
                f"a simulated picture of {size[0]}x{size[1]} pixels is too small; it must be at"
                f" least {SMALLEST_PICTURE_PX} pixels wide and high"
            )
            raise ValueError(msg)
        self._options = options
        self._width_px, self._height_px = size
        self._board_size_px = (
            min(BOARD_SIDE_PX, int(size[0] * _SHARE_OF_PICTURE)),
            min(BOARD_SIDE_PX, int(size[1] * _SHARE_OF_PICTURE)),
        )
        strobe = options.view is View.STROBE
        self._pitch_px = size[0] if strobe else self._board_size_px[0] + options.gap
        self._look_ahead = 1 if strobe else max(1, int(self._pitch_px / 2 / options.speed))
        self._strips: Newest[int, _Strip] = Newest(math.ceil(size[0] / self._pitch_px) + 2)
        self._belt = _draw_belt(options.seed, self._pitch_px, self._height_px)
        self._noise = _draw_noise(options.seed, size, sigma=2.0 if strobe else 2.8)

    @property
    def frames_total(self) -> int | None:
        """Frames until the last board has left; None when the line never ends."""
        options = self._options
        if options.boards == 0:
            return None
        if options.view is View.STROBE:
            return options.boards
        places = options.boards + (options.boards - 1) // options.change_every * options.pause
        return math.ceil((self._width_px + places * self._pitch_px) / options.speed) + 1

    def label(self, frame_index: int) -> str | None:
        """Return the serial of the board in a strobed frame; None on a belt."""
        return serial_of(frame_index + 1) if self._options.view is View.STROBE else None

    def truth(self, frame_index: int) -> tuple[BoardInView, ...]:
        """Return the boards in a frame, from the left."""
        boards = (self._in_view(number, left) for number, left in self._strips_in(frame_index))
        return tuple(board for board in boards if board is not None)

    def board(self, number: int) -> SimulatedBoard:
        """Draw board `number` (the first is 1) upright, with its truth in its own pixels."""
        width_px, height_px = self._board_size_px
        options = self._options
        return draw_board(
            number,
            seed=options.seed,
            width_px=width_px,
            height_px=height_px,
            defects=self._codes(number),
            product=self.product(number),
            quirks=options.quirks,
            variation=options.variation,
        )

    def product(self, number: int) -> int:
        """Return the circuit that board `number` has, counted from 0."""
        options = self._options
        return ((number - 1) // options.change_every + 1) % options.products

    def compose_ahead(self, frame_index: int) -> bool:
        """Compose one strip for this frame or half a board later; False when all are there."""
        for index in (frame_index, frame_index + self._look_ahead):
            for number, _ in self._strips_in(index):
                if self._has_board(number) and number not in self._strips:
                    self._strip(number)
                    return True
        return False

    def render_into(self, frame_index: int, image: Image) -> None:
        """Write the pixels of a frame into `image`: (height, width, 3) BGR of the set size."""
        rng = np.random.default_rng([self._options.seed, 106, frame_index])
        dx, dy = (int(value) for value in rng.integers(0, _NOISE_REACH_PX, 2))
        gain = 1 + 0.008 * math.sin(frame_index * 0.17) + float(rng.normal(0, 0.003))
        height = self._height_px
        noise = self._noise[dy : dy + height, dx : dx + self._width_px]
        for number, left in self._strips_in(frame_index):
            start, end = max(0, left), min(self._width_px, left + self._pitch_px)
            strip = self._strip(number).image if self._has_board(number) else self._belt
            cv2.addWeighted(
                strip[:, start - left : end - left],
                gain,
                noise[:, start:end],
                1,
                -_NOISE_ZERO,
                dst=image[:, start:end],
            )

    def _strips_in(self, frame_index: int) -> Iterator[tuple[int, int]]:
        """Number and left edge of every strip in a frame, from the left; 0: nothing lies there."""
        options = self._options
        if options.view is View.STROBE:
            yield frame_index + 1, 0
            return
        travelled = round(frame_index * options.speed)
        first, last = -(self._width_px // self._pitch_px) - 1, travelled // self._pitch_px
        found = []
        for index in range(first, last + 1):
            entered = travelled - index * self._pitch_px
            to_left = options.direction is Direction.LEFT
            left = self._width_px - entered if to_left else entered - self._pitch_px
            if -self._pitch_px < left < self._width_px:
                found.append((self._number(index), left))
        yield from sorted(found, key=lambda strip: strip[1])

    def _number(self, place: int) -> int:
        """The board on this place of the belt, counted from 0; 0 where it stays empty."""
        options = self._options
        changes, behind = divmod(place, options.change_every + options.pause)
        if place < 0 or behind >= options.change_every:
            return 0
        return changes * options.change_every + behind + 1

    def _has_board(self, number: int) -> bool:
        return number >= 1 and (self._options.boards == 0 or number <= self._options.boards)

    def _codes(self, number: int) -> tuple[DefectCode, ...]:
        options = self._options
        if (number - 1) % options.change_every < options.good_first:
            return ()
        return codes_of_board(number, seed=options.seed, defect_rate=options.defect_rate)

    def _in_view(self, number: int, left: int) -> BoardInView | None:
        if not self._has_board(number):
            return None
        strip = self._strip(number)
        x, y, width, height = strip.outline_px
        x += left
        if x + width <= 0 or x >= self._width_px:
            return None
        fully = x >= 0 and x + width <= self._width_px and y >= 0 and y + height <= self._height_px
        defects = tuple(
            TrueDefect(defect.code, (defect.bbox_px[0] + left, *defect.bbox_px[1:]))
            for defect in strip.truth
        )
        return BoardInView(number, serial_of(number), (x, y, width, height), fully, defects)

    def _placement(self, number: int) -> NDArray[np.float64]:
        """Return the 2x3 matrix that turns and moves board `number` into its strip."""
        rng = np.random.default_rng([self._options.seed, 107, number])
        width, height = self._board_size_px
        free_x, free_y = self._pitch_px - width, self._height_px - height
        reach_x = free_x // 4 if self._options.view is View.BELT else min(_SHIFT_PX, free_x // 4)
        shift_x = float(rng.uniform(-1, 1)) * reach_x
        shift_y = float(rng.uniform(-1, 1)) * min(_SHIFT_PX, free_y // 4)
        tilt = min(_TILT_DEG, math.degrees(free_y / 2 / max(width, height)))
        matrix = cv2.getRotationMatrix2D(
            (width / 2, height / 2), float(rng.uniform(-tilt, tilt)), 1
        )
        matrix[:, 2] += np.array((free_x / 2 + shift_x, free_y / 2 + shift_y))
        return np.asarray(matrix, np.float64)

    def _strip(self, number: int) -> _Strip:
        return self._strips.used(number, lambda: self._compose(number))

    def _compose(self, number: int) -> _Strip:
        board = self.board(number)
        matrix = self._placement(number)
        outline_px = _turned_box((0, 0, *self._board_size_px), matrix)
        image = self._belt.copy()
        _cast_shadow(image, outline_px)
        cv2.warpAffine(
            board.picture,
            matrix,
            (self._pitch_px, self._height_px),
            dst=image,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        smear = min(_MOST_BLUR_PX, round(self._options.speed * _BLUR_SHARE))
        if self._options.view is View.BELT and smear > 1:
            cv2.blur(image, (smear, 1), dst=image)
        truth = tuple(
            TrueDefect(defect.code, _turned_box(defect.bbox_px, matrix)) for defect in board.truth
        )
        return _Strip(image, outline_px, truth)


def _turned_box(
    bbox_px: tuple[int, int, int, int], matrix: NDArray[np.float64]
) -> tuple[int, int, int, int]:
    """The upright box around a box of the board, once the board is turned and moved."""
    x, y, width, height = bbox_px
    corners = np.array([(x, y), (x + width, y), (x, y + height), (x + width, y + height)])
    turned = corners @ matrix[:, :2].T + matrix[:, 2]
    left, top = (math.floor(value) for value in turned.min(axis=0))
    right, bottom = (math.ceil(value) for value in turned.max(axis=0))
    return left, top, right - left, bottom - top


def _draw_belt(seed: int, width_px: int, height_px: int) -> Image:
    """A dark woven belt that joins itself without a seam."""
    rng = np.random.default_rng([seed, 108])
    threads = rng.normal(0, 1, (height_px, width_px)).astype(np.float32)
    wrapped = np.hstack([threads[:, -32:], threads, threads[:, :32]])
    fine = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=7, sigmaY=0.8)[:, 32:-32] * 7
    worn = cv2.GaussianBlur(rng.normal(0, 1, (height_px, 1)).astype(np.float32), (1, 0), 6)
    light = 44 + fine + worn * 4
    shades = [np.clip(light * share, 0, 255).astype(np.uint8) for share in (1.08, 1.0, 0.96)]
    return np.asarray(cv2.merge(shades))


def _draw_noise(seed: int, size: tuple[int, int], *, sigma: float) -> Image:
    """Sensor noise and the lens's darker corners, around `_NOISE_ZERO`, larger than a frame."""
    width, height = size[0] + _NOISE_REACH_PX, size[1] + _NOISE_REACH_PX
    rng = np.random.default_rng([seed, 109])
    noise = rng.standard_normal((height, width, 3), dtype=np.float32) * sigma
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    noise += _NOISE_ZERO - 7 * (x * x + y * y)
    return np.clip(np.round(noise), 0, 255).astype(np.uint8)


def _cast_shadow(strip: Image, outline_px: tuple[int, int, int, int]) -> None:
    x, y, width, height = outline_px
    for grow, keep in ((9, 0.9), (6, 0.85), (3, 0.8)):
        top, bottom = max(0, y - grow + 4), y + height + grow + 2
        left, right = max(0, x - grow + 4), x + width + grow + 2
        part = strip[top:bottom, left:right]
        cv2.convertScaleAbs(part, dst=part, alpha=keep)
