"""How long frames wait, at a start, for the first connection to the model."""

from __future__ import annotations

import time

AFTERMATH_S = 0.25
"""After the wait the frames that were held take up room for this long, until they are answered."""


class FirstWait:
    """The time from the start until the model is connected, limited to what a frame may wait.

    A model that is being tried out is not an outage, so frames are held meanwhile. Those that find
    no room were lost because the model was missing, not because it is slow. Any thread.
    """

    def __init__(self, limit_s: float) -> None:
        """0 or less: frames do not wait."""
        self._limit_s = limit_s
        self._ends_s: float | None = None

    def begin(self) -> None:
        """Report the line's start; only the first call counts."""
        if self._ends_s is None:
            self._ends_s = time.monotonic() + self._limit_s

    def end(self) -> None:
        """Report that the model is connected."""
        now_s = time.monotonic()
        self._ends_s = now_s if self._ends_s is None else min(self._ends_s, now_s)

    @property
    def left_s(self) -> float:
        """How much longer to wait; 0 once it is over, or before it began."""
        return self._left_s(0.0)

    @property
    def costs_frames(self) -> bool:
        """Whether a frame that finds no room now was lost for want of the model."""
        return self._limit_s > 0 and self._left_s(AFTERMATH_S) > 0

    def _left_s(self, longer_s: float) -> float:
        if self._ends_s is None:
            return 0.0
        return max(0.0, self._ends_s + longer_s - time.monotonic())
