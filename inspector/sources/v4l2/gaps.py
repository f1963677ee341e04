"""Finds the frames that a driver counted but did not deliver: pure."""

from __future__ import annotations

_TRUSTED_AFTER = 3
_MOST_MISSING = 1_000
_NUMBERS = 1 << 32


class SequenceGaps:
    """Reads a driver's frame numbers; one per streaming.

    A driver counts a frame that it had to drop, because a USB packet was lost or no buffer was
    free. Not every driver counts by one, so gaps count only after a few steps of one were seen; and
    a jump too large for a loss is a counter that started again.
    """

    def __init__(self) -> None:
        self._sequence: int | None = None
        self._stamp_ns = 0
        self._steps_of_one = 0

    def missing_before(self, sequence: int, stamp_ns: int) -> list[int]:
        """When each frame that is missing before this one was due, spread evenly."""
        before, since_ns = self._sequence, self._stamp_ns
        self._sequence, self._stamp_ns = sequence, stamp_ns
        if before is None:
            return []
        step = (sequence - before) % _NUMBERS
        if step == 1:
            self._steps_of_one += 1
            return []
        if self._steps_of_one < _TRUSTED_AFTER or not 1 < step <= _MOST_MISSING:
            self._steps_of_one = 0
            return []
        return [since_ns + (stamp_ns - since_ns) * nth // step for nth in range(1, step)]
