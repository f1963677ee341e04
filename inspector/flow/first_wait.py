"""How long frames wait, at a start, for the first connection to the model."""

from __future__ import annotations

import math
import time

AFTERMATH_S = 0.25
"""For so long after it what was held is being answered, and takes up room."""


class FirstWait:
    """From a start on until the model is connected to, but no longer than a frame may wait.

    A model that is being tried out is no outage: frames of these moments are held. Where there are
    too many of them, it is for want of the model that they are lost. Any thread.
    """

    def __init__(self, limit_s: float) -> None:
        """0 or less: nothing waits."""
        self._limit_s = limit_s
        self._ends_s: float | None = None

    def begin(self) -> None:
        """The line starts; only the first call counts."""
        if self._ends_s is None:
            self._ends_s = time.monotonic() + self._limit_s

    def end(self) -> None:
        """The model is there."""
        self._ends_s = -math.inf

    @property
    def left_s(self) -> float:
        """How much longer to wait; 0 once it is over, or before it began."""
        return self._left_s(0.0)

    @property
    def costs_frames(self) -> bool:
        """Whether a frame that finds no room now was lost for want of the model."""
        return self._left_s(AFTERMATH_S) > 0

    def _left_s(self, longer_s: float) -> float:
        if self._ends_s is None:
            return 0.0
        return max(0.0, self._ends_s + longer_s - time.monotonic())
