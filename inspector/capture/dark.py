"""Whether a picture shows anything at all: pure, no clock."""

from __future__ import annotations

import numpy as np

from inspector.core.records import Image

Region = tuple[int, int, int, int]

SAMPLED_EVERY_PX = 16
"""0.05 ms of a picture of 1280x720."""
BRIGHT_SHARE = 0.005
"""Fewer bright pixels than this are hot pixels of the sensor, or a lamp of the camera in a dark
room."""
_NS_PER_S = 1_000_000_000


def is_dark(image: Image, below: int) -> bool:
    """Whether all but a few of the pixels are darker than `below` (0 to 255) in every colour.

    0 never finds a picture dark.
    """
    if below <= 0:
        return False
    sample = image[SAMPLED_EVERY_PX // 2 :: SAMPLED_EVERY_PX, ::SAMPLED_EVERY_PX]
    bright = np.count_nonzero(sample >= below)
    return bool(bright <= BRIGHT_SHARE * sample.size)


class DarkDetector:
    """A dark picture shows no unit; pictures that stay dark mean that the camera sees nothing."""

    FAULT_AFTER_NS = 2 * _NS_PER_S
    """A light that is only switched on for each unit may leave some pictures dark between them."""

    def __init__(self, *, below: int, region: Region | None = None) -> None:
        """`region`: x, y, width, height of the part that is checked."""
        self._below = below
        self._region = region
        self._since_ns: int | None = None
        self.lasts = False
        """It has been dark for long enough that a person should check the light."""

    @property
    def asks(self) -> bool:
        """Whether pictures are checked at all."""
        return self._below > 0

    def change(self, below: int) -> None:
        """Another limit from the next picture on."""
        self._below = below
        if below <= 0:
            self.reset()

    def is_dark(self, image: Image) -> bool:
        """Whether the picture shows nothing."""
        if self._region is not None:
            x, y, width, height = self._region
            image = image[y : y + height, x : x + width]
        return is_dark(image, self._below)

    def see(self, image: Image, at_ns: int) -> bool:
        """Take the camera's next picture and its monotonic time; whether it shows nothing."""
        if not self.is_dark(image):
            self.reset()
            return False
        if self._since_ns is None:
            self._since_ns = at_ns
        self.lasts = at_ns - self._since_ns >= self.FAULT_AFTER_NS
        return True

    def reset(self) -> None:
        """The camera was lost: judge its next pictures from scratch."""
        self._since_ns = None
        self.lasts = False
