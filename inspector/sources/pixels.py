"""Writes decoded video frames into BGR buffers, in place."""

from __future__ import annotations

import cv2
import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from inspector.core.records import Image

Plane = NDArray[np.uint8]

# FFmpeg's AVColorSpace: the tags that mean the BT.601 matrix, which is OpenCV's only one.
# Untagged (2) counts as BT.601 because libswscale does so too, whatever the picture's size.
_BT601 = frozenset({2, 5, 6})
_LIMITED = frozenset({int(ColorRange.UNSPECIFIED), int(ColorRange.MPEG)})


class PixelWriter:
    """Writes decoded frames into the caller's image; one thread.

    Planar and two-plane 4:2:0 in limited range (what cameras send as H.264 and H.265), grey and
    BGR are converted by OpenCV straight into the image; everything else (full range, BT.709,
    4:2:2, 10 bit, odd sizes) by libswscale and one copy. Both agree within rounding, except that
    libswscale smooths the chroma of some formats between pixels.
    """

    def __init__(self) -> None:
        self._scratch: Plane | None = None
        self._reformatter = VideoReformatter()

    def write(self, frame: VideoFrame, image: Image) -> None:
        """Convert `frame` into `image`, which must have its size.

        Raises:
            ValueError: the image is not a (height, width, 3) uint8 buffer of the frame's size.

        """
        shape = (frame.height, frame.width, 3)
        if image.shape != shape or image.dtype != np.uint8 or not image.flags.c_contiguous:
            msg = f"the image is {image.shape} {image.dtype}, the frame needs {shape} uint8"
            raise ValueError(msg)
        limited_601 = frame.colorspace in _BT601 and frame.color_range in _LIMITED
        even = frame.width % 2 == 0 and frame.height % 2 == 0
        match frame.format.name:
            case "yuv420p" if limited_601 and even:
                _convert(self._planar(frame), cv2.COLOR_YUV2BGR_I420, image)
            case "nv12" if limited_601 and even:
                _convert_nv12(frame, image)
            case "gray":
                # Full range whatever its tag says: libswscale supports no other grey.
                _convert(_rows(frame.planes[0], frame.width), cv2.COLOR_GRAY2BGR, image)
            case "bgr24":
                _copy(frame, image)
            case _:
                _copy(self._reformatter.reformat(frame, format="bgr24"), image)

    def _planar(self, frame: VideoFrame) -> Plane:
        """The three planes as one array, as OpenCV needs them; reused from frame to frame."""
        height, width = frame.height, frame.width
        if self._scratch is None or self._scratch.shape != (height * 3 // 2, width):
            self._scratch = np.empty((height * 3 // 2, width), np.uint8)
        np.copyto(self._scratch[:height], _rows(frame.planes[0], width))
        chroma = self._scratch[height:].reshape(2, height // 2, width // 2)
        np.copyto(chroma[0], _rows(frame.planes[1], width // 2))
        np.copyto(chroma[1], _rows(frame.planes[2], width // 2))
        return self._scratch


def _rows(plane: VideoPlane, row_bytes: int) -> Plane:
    """The plane's pixels without the padding that ends each line; a view."""
    lines: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, :row_bytes]


def _convert(planar: Plane, code: int, image: Image) -> None:
    _require_in_place(cv2.cvtColor(planar, code, dst=image), image)


def _convert_nv12(frame: VideoFrame, image: Image) -> None:
    luma = _rows(frame.planes[0], frame.width)
    chroma = _rows(frame.planes[1], frame.width)
    pairs = chroma.reshape(frame.height // 2, frame.width // 2, 2)
    written = cv2.cvtColorTwoPlane(luma, pairs, cv2.COLOR_YUV2BGR_NV12, dst=image)
    _require_in_place(written, image)


def _copy(frame: VideoFrame, image: Image) -> None:
    rows = _rows(frame.planes[0], frame.width * 3)
    np.copyto(image.reshape(frame.height, frame.width * 3), rows)


def _require_in_place(written: object, image: Image) -> None:
    """Require that OpenCV used `dst`: if that does not fit, it silently returns a new array."""
    if written is not image:
        msg = "OpenCV wrote the picture into an array of its own"
        raise AssertionError(msg)
