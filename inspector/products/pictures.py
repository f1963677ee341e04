"""Pictures of references as files: PNG for what is compared, JPEG for people. Pure."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.basics import Image

LARGEST_SIDE_PX = 16_384
_LARGEST_PIXELS = 50_000_000
_JPEG_QUALITY = 90
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIZE_BYTES = slice(16, 24)
"""Place in the header chunk, which comes first: width and height, 32 bits each."""


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """Without loss."""
    return cast("NDArray[np.uint8]", cv2.imencode(".png", pixels)[1]).tobytes()


def as_jpeg(pixels: Image) -> bytes:
    """For people."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return cast("NDArray[np.uint8]", cv2.imencode(".jpg", pixels, quality)[1]).tobytes()


def from_png(content: bytes, *, colour: bool) -> NDArray[np.uint8] | None:
    """(height, width, 3) BGR, or (height, width); None if it is no such picture.

    Its size is read first: a few bytes may claim to be a picture of many gigabytes.
    """
    if not content.startswith(_PNG_SIGNATURE) or len(content) < _SIZE_BYTES.stop:
        return None
    width_px, height_px = np.frombuffer(content[_SIZE_BYTES], ">u4").tolist()
    if not (0 < width_px * height_px <= _LARGEST_PIXELS):
        return None
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    dimensions = 3 if colour else 2
    if decoded is None or decoded.dtype != np.uint8 or decoded.ndim != dimensions:
        return None
    if colour and decoded.shape[2] != 3:  # noqa: PLR2004 - blue, green, red
        return None
    return cast("NDArray[np.uint8]", decoded)
