"""Converts a V4L2 frame to BGR: a whole frame, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import FrameUnreadableError
from inspector.core.records import Image
from inspector.sources.jpeg import decode_jpeg
from inspector.sources.v4l2.device import PixelFormat

Bytes = NDArray[np.uint8]

COMPRESSED = frozenset({"MJPG", "JPEG"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Rows of samples; chroma below the luma counts as rows too."""

    pixel_bytes: int
    rows: tuple[int, int]
    """Rows in memory per rows of the picture, as a fraction."""
    convert: Callable[[Bytes, Image], object]
    """From the rows into an image, in place."""
    halves_rows: bool = False
    """Chroma rows are half as long: a padded row cannot be distinguished from two."""


def _by(code: int) -> Callable[[Bytes, Image], object]:
    return lambda rows, image: cv2.cvtColor(rows, code, dst=image)


def _packed(channels: int, code: int) -> _Layout:
    return _Layout(
        pixel_bytes=channels,
        rows=(1, 1),
        convert=lambda rows, image: cv2.cvtColor(
            rows.reshape(rows.shape[0], -1, channels) if channels > 1 else rows, code, dst=image
        ),
    )


def _deep_grey(rows: Bytes, image: Image) -> object:
    return cv2.cvtColor((rows.view("<u2") >> 8).astype(np.uint8), cv2.COLOR_GRAY2BGR, dst=image)


def _copied(rows: Bytes, image: Image) -> object:
    image[...] = rows.reshape(image.shape)
    return image


_LAYOUTS = {
    "YUYV": _packed(2, cv2.COLOR_YUV2BGR_YUYV),
    "UYVY": _packed(2, cv2.COLOR_YUV2BGR_UYVY),
    "YVYU": _packed(2, cv2.COLOR_YUV2BGR_YVYU),
    "NV12": _Layout(pixel_bytes=1, rows=(3, 2), convert=_by(cv2.COLOR_YUV2BGR_NV12)),
    "NV21": _Layout(pixel_bytes=1, rows=(3, 2), convert=_by(cv2.COLOR_YUV2BGR_NV21)),
    "YU12": _Layout(
        pixel_bytes=1, rows=(3, 2), convert=_by(cv2.COLOR_YUV2BGR_I420), halves_rows=True
    ),
    "YV12": _Layout(
        pixel_bytes=1, rows=(3, 2), convert=_by(cv2.COLOR_YUV2BGR_YV12), halves_rows=True
    ),
    "BGR3": _Layout(pixel_bytes=3, rows=(1, 1), convert=_copied),
    "RGB3": _packed(3, cv2.COLOR_RGB2BGR),
    "XR24": _packed(4, cv2.COLOR_BGRA2BGR),
    "AR24": _packed(4, cv2.COLOR_BGRA2BGR),
    "GREY": _packed(1, cv2.COLOR_GRAY2BGR),
    "Y16 ": _Layout(pixel_bytes=2, rows=(1, 1), convert=_deep_grey),
    "BA81": _packed(1, cv2.COLOR_BayerBGGR2BGR),
    "GBRG": _packed(1, cv2.COLOR_BayerGBRG2BGR),
    "GRBG": _packed(1, cv2.COLOR_BayerGRBG2BGR),
    "RGGB": _packed(1, cv2.COLOR_BayerRGGB2BGR),
}
PREFERRED = (
    *("BGR3", "RGB3", "YV12", "YU12", "YUYV", "UYVY", "NV12", "NV21", "BA81", "GBRG"),
    *("XR24", "AR24", "MJPG", "JPEG", "Y16 ", "YVYU", "GREY", "GRBG", "RGGB"),
)
"""Every supported format: first those that OpenCV asks for, in its order, then the others."""


def write_frame(content: memoryview, layout: PixelFormat, image: Image) -> None:
    """Write the frame into `image`, which has its size.

    Raises:
        FrameUnreadableError: bytes are missing, or it is damaged; without the camera's name.

    """
    if len(content) == 0:
        raise FrameUnreadableError("a frame without a single byte")
    if layout.fourcc in COMPRESSED:
        decode_jpeg(content, image)
        return
    kind = _LAYOUTS[layout.fourcc]
    row_bytes = layout.width * kind.pixel_bytes
    stride = max(row_bytes, layout.row_bytes)
    rows = layout.height * kind.rows[0] // kind.rows[1]
    needed = stride * (rows - 1) + row_bytes
    if len(content) < needed:
        msg = f"a part of a frame: {len(content)} of {needed} bytes came"
        raise FrameUnreadableError(msg)
    samples = np.frombuffer(content, np.uint8)
    if stride == row_bytes:
        lines = samples[:needed].reshape(rows, row_bytes)
    elif kind.halves_rows:
        msg = f"{layout.fourcc} with {stride} bytes in a row is not read: ask for another fourcc"
        raise FrameUnreadableError(msg)
    else:
        lines = np.lib.stride_tricks.as_strided(
            samples, (rows, row_bytes), (stride, 1), writeable=False
        ).copy()
    if kind.convert(lines, image) is not image:
        raise AssertionError("OpenCV wrote the picture into an array of its own")
