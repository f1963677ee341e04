"""How long a training has worked, however long its process was stopped in between."""

from __future__ import annotations

import time
from collections.abc import Callable

_FAR_LONGER = 10
_LEAST_S, _FIRST_S = 1.0, 60.0
_NEWEST_SHARE = 0.1


class WorkingTime:
    """Seconds of work: in a stretch far longer than its kind usually takes, it was stopped.

    A stretch counts at most ten times its kind's usual length (or one second, whichever is more):
    so a training that is paused for an hour loses a few seconds of its time. One thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Time begins now; `clock` gives seconds."""
        self.seconds = 0.0
        self._clock = clock
        self._last = clock()
        self._usual_s: dict[str, float] = {}

    def count(self, kind: str) -> float:
        """What passed since the last call was one `kind` of work; all seconds so far."""
        now = self._clock()
        spent, self._last = now - self._last, now
        usual = self._usual_s.get(kind)
        counted = min(spent, _FIRST_S if usual is None else max(_LEAST_S, _FAR_LONGER * usual))
        self._usual_s[kind] = (
            counted
            if usual is None
            else (1 - _NEWEST_SHARE) * usual + _NEWEST_SHARE * min(counted, 2 * usual)
        )
        self.seconds += counted
        return self.seconds
