"""Frames that cannot be read: how many of them a camera may deliver before it is given up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.core.ports import FrameSource

UNREADABLE_LIMIT = 30
FIRST_FRAMES = 10
"""Some cameras begin with frames that are not whole."""


class UnreadableFrames:
    """Counts the unreadable frames of one camera; one thread."""

    def __init__(self, camera: str, *, advice: str = "") -> None:
        self._camera = camera
        self._advice = f": {advice}" if advice else ""
        self._in_a_row = 0

    def reset(self) -> None:
        """Forget the frames of the connection before."""
        self._in_a_row = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Read one frame inside; errors leave with the camera's name.

        Raises:
            FrameUnreadableError: this frame cannot be read.
            CameraUnavailableError: nor could the `UNREADABLE_LIMIT` before it.

        """
        try:
            yield
        except FrameUnreadableError as error:
            self._in_a_row += 1
            msg = f"{self._camera}: {error}"
            if self._in_a_row >= UNREADABLE_LIMIT:
                msg = f"{msg}; {UNREADABLE_LIMIT} such frames in a row{self._advice}"
                raise CameraUnavailableError(msg) from error
            raise FrameUnreadableError(msg) from error
        self._in_a_row = 0


def require_whole_frame(
    source: FrameSource, size: tuple[int, int] | None, *, advice: str = ""
) -> None:
    """Read first frames of a camera of this size in pixels, until one is whole.

    Raises:
        CameraUnavailableError: none of the first `FIRST_FRAMES` is.

    """
    width, height = size or (0, 0)
    image = np.empty((height, width, 3), np.uint8)
    for number in range(1, FIRST_FRAMES + 1):
        source.grab()
        try:
            source.retrieve_into(image)
        except FrameUnreadableError as error:
            if number == FIRST_FRAMES:
                msg = f"{error}; none of its first {number} frames is whole"
                raise CameraUnavailableError(f"{msg}: {advice}" if advice else msg) from error
        else:
            return
