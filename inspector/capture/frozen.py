"""Whether a camera that delivers frames shows anything new: pure, no clock."""

from __future__ import annotations

import zlib

import numpy as np

from inspector.core.records import Image

_SAMPLED_ROWS = 15
_REVIVING_NS = 500_000_000
_REVIVING_CHANGES = 3
"""How many new pictures in a row, and over what time, make a frozen camera count as working
again."""
_LONGEST_STEP_NS = 1_000_000_000
"""A longer gap between frames counts as this: what the camera would have shown is unknown."""


def fingerprint(image: Image) -> int:
    """A number that is the same for equal pictures, and almost never for different ones.

    Of some whole lines, 0.1 ms: with a sensor's noise in them two pictures differ in every line.
    """
    rows = image[image.shape[0] // (2 * _SAMPLED_ROWS) :: max(1, image.shape[0] // _SAMPLED_ROWS)]
    return zlib.crc32(np.ascontiguousarray(rows).data)


class FrozenDetector:
    """Detects a real-time camera whose pictures, or time stamps, stay exactly the same.

    Frozen after `after_ns` of the same picture; works again once pictures have been new, one after
    the other, for half a second. Any single difference counts as new: the darkest picture of a
    sensor has noise. What an encoder makes of a still scene without noise may stay the same until
    its next key frame: `after_ns` must be longer than the distance between two.
    """

    def __init__(self, *, after_ns: int) -> None:
        """0 or less never finds a camera frozen."""
        self._after_ns = after_ns
        self._last: tuple[int, int | None, int] | None = None
        self._same_ns = self._standing_ns = 0
        self._changes = 0
        self._changing_ns = 0
        self._is_frozen = False

    @property
    def is_frozen(self) -> bool:
        """The camera shows nothing new."""
        return self._is_frozen

    @property
    def asks(self) -> bool:
        """Whether pictures are compared at all."""
        return self._after_ns > 0

    def change(self, after_ns: int) -> None:
        """Use another limit from now on; the time that the picture has stood still counts."""
        self._after_ns = after_ns
        if after_ns <= 0:
            self.reset()

    def see(self, picture: int, at_ns: int, stamp_ns: int | None = None) -> bool:
        """Take a frame's fingerprint, its monotonic time and, if it has one, its own time stamp.

        Returns whether the camera is frozen.
        """
        last, self._last = self._last, (picture, stamp_ns, at_ns)
        if last is None or self._after_ns <= 0:
            return self._is_frozen
        step_ns = min(max(0, at_ns - last[2]), _LONGEST_STEP_NS)
        same = picture == last[0]
        standing = stamp_ns is not None and stamp_ns == last[1]
        self._same_ns = self._same_ns + step_ns if same else 0
        self._standing_ns = self._standing_ns + step_ns if standing else 0
        if same or standing:
            self._changes = self._changing_ns = 0
        else:
            self._changes += 1
            self._changing_ns += step_ns
        if self._is_frozen:
            self._is_frozen = not (
                self._changes >= _REVIVING_CHANGES and self._changing_ns >= _REVIVING_NS
            )
        else:
            self._is_frozen = max(self._same_ns, self._standing_ns) >= self._after_ns
        return self._is_frozen

    def reset(self) -> None:
        """The camera was lost: judge its next pictures from scratch."""
        self._last = None
        self._same_ns = self._standing_ns = self._changes = self._changing_ns = 0
        self._is_frozen = False
