"""The orientation in which a recording is to be shown: turned or mirrored."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import cv2
from av import VideoFrame
from av.sidedata.sidedata import Type

from inspector.core.errors import CameraUnavailableError
from inspector.core.records import Image

_MATRIX = struct.Struct("=9i")
_ONE = 1 << 16


@dataclass(frozen=True, slots=True)
class Turning:
    """Rows and columns may be swapped, then either may be reversed."""

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    def __bool__(self) -> bool:
        """Whether the pictures are shown in another orientation than stored."""
        return self != AS_STORED

    def __str__(self) -> str:
        mirrored = self.transposed ^ self.flipped_x ^ self.flipped_y
        if mirrored:
            return "in a mirror"
        return "turned by 90 degrees" if self.transposed else "turned by 180 degrees"

    def size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Width and height as shown, for a picture stored with these."""
        return (stored[1], stored[0]) if self.transposed else stored

    def show(self, stored: Image, image: Image) -> None:
        """Write the picture in its orientation into `image`, which has that size."""
        shown = cv2.transpose(stored) if self.transposed else stored
        code = {(True, True): -1, (True, False): 1, (False, True): 0}.get(
            (self.flipped_x, self.flipped_y)
        )
        image[...] = shown if code is None else cv2.flip(shown, code)


AS_STORED = Turning()


def turning_of(frame: VideoFrame) -> Turning:
    """The orientation of the frame's display matrix.

    Raises:
        CameraUnavailableError: it is neither a quarter turn nor a mirror; without a name.

    """
    # The stub knows names only; the class takes the type too.
    matrix: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None:
        return AS_STORED
    # x' = a x + c y and y' = b x + d y, in units of 1/65536 (libavutil/display.h).
    a, b, _, c, d, *_ = _MATRIX.unpack(bytes(matrix)[: _MATRIX.size])
    if b == c == 0 and abs(a) == abs(d) == _ONE:
        return Turning(flipped_x=a < 0, flipped_y=d < 0)
    if a == d == 0 and abs(b) == abs(c) == _ONE:
        return Turning(transposed=True, flipped_x=c < 0, flipped_y=b < 0)
    msg = "the video is to be shown slanted or stretched: expected a quarter turn or a mirror"
    raise CameraUnavailableError(msg)
