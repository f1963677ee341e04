"""Decides whether somebody else keeps writing to this station's streams: pure, no clock."""

from __future__ import annotations

from collections import deque

MEETINGS = 3
"""Fewer may be a person who added an entry by hand, or a stream that a new journal found."""
WITHIN_S = 600.0
"""A slow line writes an event every few minutes, and so would a second instance of it."""


class Rivals:
    """Counts how often a stream had grown by entries that are not ours.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._met_s: deque[float] = deque(maxlen=MEETINGS)

    def met(self, now_s: float) -> None:
        """Report that a stream ends with an entry that this station never wrote."""
        self._met_s.append(now_s)

    def are_about(self, now_s: float) -> bool:
        """Whether that happens repeatedly; False once it has stopped for as long."""
        enough = len(self._met_s) == MEETINGS
        return enough and now_s - self._met_s[0] <= WITHIN_S
