"""An industrial camera's frame as BGR: a whole frame, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import FrameUnreadableError
from inspector.core.records import Image

Samples = NDArray[np.uint8]
Convert = Callable[[Samples, Image], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How the pixels of one format lie in memory."""

    name: str
    """As the standard (PFNC) and the camera's feature `PixelFormat` call it."""
    channels: int
    """Samples of a pixel."""
    bits: int
    """Of a sample; more than 8 lie in two bytes, and are scaled down to 8."""
    convert: Convert
    """From (height, width, channels) or (height, width) into an image, in place."""

    @property
    def bytes_per_pixel(self) -> int:
        """Of the frame in memory."""
        return self.channels * (2 if self.bits > 8 else 1)  # noqa: PLR2004 - a byte


def _by(code: int) -> Convert:
    return lambda samples, image: cv2.cvtColor(samples, code, dst=image)


def _copied(samples: Samples, image: Image) -> object:
    image[...] = samples
    return image


def _layout(name: str, channels: int, convert: Convert, bits: int = 8) -> PixelLayout:
    return PixelLayout(name=name, channels=channels, bits=bits, convert=convert)


# The standard names a pattern by its first row, as OpenCV's newer names do.
_BAYER = {
    "GR": cv2.COLOR_BayerGRBG2BGR,
    "RG": cv2.COLOR_BayerRGGB2BGR,
    "GB": cv2.COLOR_BayerGBRG2BGR,
    "BG": cv2.COLOR_BayerBGGR2BGR,
}
_GREY = cv2.COLOR_GRAY2BGR

LAYOUTS: Mapping[int, PixelLayout] = {
    0x01080001: _layout("Mono8", 1, _by(_GREY)),
    0x01100003: _layout("Mono10", 1, _by(_GREY), 10),
    0x01100005: _layout("Mono12", 1, _by(_GREY), 12),
    0x01100025: _layout("Mono14", 1, _by(_GREY), 14),
    0x01100007: _layout("Mono16", 1, _by(_GREY), 16),
    **{0x01080008 + n: _layout(f"Bayer{p}8", 1, _by(c)) for n, (p, c) in enumerate(_BAYER.items())},
    **{
        first + n: _layout(f"Bayer{p}{bits}", 1, _by(c), bits)
        for first, bits in ((0x0110000C, 10), (0x01100010, 12), (0x0110002E, 16))
        for n, (p, c) in enumerate(_BAYER.items())
    },
    0x02180014: _layout("RGB8", 3, _by(cv2.COLOR_RGB2BGR)),
    0x02180015: _layout("BGR8", 3, _copied),
    0x02200016: _layout("RGBa8", 4, _by(cv2.COLOR_RGBA2BGR)),
    0x02200017: _layout("BGRa8", 4, _by(cv2.COLOR_BGRA2BGR)),
    0x0210001F: _layout("YUV422_8_UYVY", 2, _by(cv2.COLOR_YUV2BGR_UYVY)),
    0x02100032: _layout("YUV422_8", 2, _by(cv2.COLOR_YUV2BGR_YUYV)),
    0x0210003B: _layout("YCbCr422_8", 2, _by(cv2.COLOR_YUV2BGR_YUYV)),
}
"""By the standard's number."""
NAMES = tuple(layout.name for layout in LAYOUTS.values())


def write_frame(content: memoryview, layout: PixelLayout, image: Image) -> None:
    """Write a frame into `image`, which has its size.

    Raises:
        FrameUnreadableError: bytes are missing; without the camera's name.

    """
    height, width = image.shape[:2]
    needed = height * width * layout.bytes_per_pixel
    if len(content) < needed:
        msg = f"a part of a frame: {len(content)} of {needed} bytes came"
        raise FrameUnreadableError(msg)
    samples = np.frombuffer(content[:needed], np.uint8)
    if layout.bits > 8:  # noqa: PLR2004 - a byte
        deep = samples.view("<u2").reshape(height, -1)
        scaled = cv2.convertScaleAbs(deep, alpha=1 / (1 << (layout.bits - 8)))
        samples = np.asarray(scaled, np.uint8).ravel()
    shape = (height, width) if layout.channels == 1 else (height, width, layout.channels)
    if layout.convert(samples.reshape(shape), image) is not image:
        raise AssertionError("OpenCV wrote the picture into an array of its own")
