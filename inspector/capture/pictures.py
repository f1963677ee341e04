"""A folder of pictures, in the order a person would put them."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from inspector.errors import CameraUnavailableError, FrameUnreadableError
from inspector.records import Image
from inspector.source_uri import FileUri

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

_NS_PER_S = 1_000_000_000
_FPS = 10.0
_DIGITS = re.compile(r"(\d+)")


class Pictures:
    """Every picture of a folder, by name; one thread. The list is read once, at opening.

    Raises:
        CameraUnavailableError: the folder cannot be read or holds no picture.

    """

    def __init__(self, uri: FileUri, expected_size: tuple[int, int] | None) -> None:
        self._uri = uri
        try:
            found = [p for p in uri.path.iterdir() if p.suffix.lower() in SUFFIXES]
        except OSError as error:
            msg = f"{uri}: the folder cannot be read ({error.strerror})"
            raise CameraUnavailableError(msg) from error
        if not found:
            msg = f"{uri}: no pictures ({', '.join(sorted(SUFFIXES))}) in this folder"
            raise CameraUnavailableError(msg)
        self._paths = sorted(found, key=lambda path: natural_order(path.name))
        self.interval_ns = round(_NS_PER_S / (uri.fps or _FPS))
        self._shown_total = 0
        self._next = 0
        self._current: Path | None = None
        self.size = expected_size or self._first_size()
        """Width and height in pixels."""

    @property
    def label(self) -> str | None:
        """The current picture's file name."""
        return None if self._current is None else self._current.name

    @property
    def position_ns(self) -> int:
        """The current picture's time since the start; goes on over `rewind`."""
        return (self._shown_total - 1) * self.interval_ns

    def advance(self) -> bool:
        """Go to the next picture without reading it; False at the end."""
        if self._next >= len(self._paths):
            return False
        self._current = self._paths[self._next]
        self._next += 1
        self._shown_total += 1
        return True

    def rewind(self) -> None:
        """Start over."""
        self._next = 0

    def retrieve_into(self, image: Image) -> None:
        """Decode the current picture into `image`."""
        if self._current is None:
            msg = f"{self._uri}: no picture was grabbed"
            raise FrameUnreadableError(msg)
        decoded = _decode(self._current)
        expected = (self.size[1], self.size[0], 3)
        if decoded.shape != expected or image.shape != expected:
            height, width = decoded.shape[:2]
            msg = (
                f"{self._current}: the picture is {width}x{height} pixels, "
                f"expected {self.size[0]}x{self.size[1]}"
            )
            raise FrameUnreadableError(msg)
        np.copyto(image, decoded)

    def close(self) -> None:
        """Nothing is held open."""
        self._current = None

    def _first_size(self) -> tuple[int, int]:
        """The size of the first picture that can be read."""
        for path in self._paths:
            try:
                height, width = _decode(path).shape[:2]
            except FrameUnreadableError:
                continue
            return width, height
        msg = f"{self._uri}: none of the {len(self._paths)} pictures can be read"
        raise CameraUnavailableError(msg)


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts `frame2` before `frame10`: digits by value, the rest without regard to case."""
    parts = _DIGITS.split(name)
    folded = tuple((int(p), "") if p.isdecimal() else (-1, p.casefold()) for p in parts)
    return (*folded, (-1, name))


def _decode(path: Path) -> Image:
    # Not cv2.imread(path, dst): for a file it cannot read, OpenCV 5.0 returns `dst` untouched,
    # with the picture before in it.
    try:
        encoded = np.fromfile(path, np.uint8)
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    except (OSError, cv2.error) as error:
        msg = f"{path}: the picture cannot be read ({type(error).__name__})"
        raise FrameUnreadableError(msg) from error
    if decoded is None:
        msg = f"{path}: damaged, or not a picture"
        raise FrameUnreadableError(msg)
    image: Image = decoded.astype(np.uint8, copy=False)
    return image
