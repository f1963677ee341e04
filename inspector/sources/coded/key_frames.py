"""Whether a camera's key frames come often enough: pure."""

from __future__ import annotations

NS_PER_S = 1_000_000_000
FAR_S = 3.0
"""The longest time without inspection after a lost picture, and after each connection."""


class KeyFrameDistance:
    """Follows the packets of a camera over all its connections; reports once."""

    def __init__(self) -> None:
        self._last_key_ns: int | None = None
        self._is_told = False

    def connected(self) -> None:
        """Begin a connection, whose time stamps start again."""
        self._last_key_ns = None

    def is_far(self, *, is_key: bool, pts_ns: int | None) -> bool:
        """Take the next packet; True once, if no key frame came for `FAR_S` after the last."""
        if pts_ns is None:
            return False
        if is_key or self._last_key_ns is None:
            self._last_key_ns = pts_ns
            return False
        if self._is_told or pts_ns - self._last_key_ns <= FAR_S * NS_PER_S:
            return False
        self._is_told = True
        return True
