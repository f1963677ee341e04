"""The step at which numbers grow, and how many are missing from it: pure."""

from __future__ import annotations

from collections import deque
from statistics import median

_AGREE = 4
"""How many equal steps in a row make the step known."""
_ANOTHER = 3
"""How many equal steps in a row, different from the known one, mean that the rate has changed."""
_WATCHED = 8
_MOST_ODD = 3
"""How many of the last steps may differ; a stream with more is irregular, and nothing is missing
from it."""


class Cadence:
    """Learns a stream's step: time per picture, or numbers per picture."""

    def __init__(self, tolerance: float) -> None:
        """`tolerance` is the share of the step by which a step may be off."""
        self._tolerance = tolerance
        self.step: float | None = None
        """The step; None until it is known, and while there is none."""
        self._run: deque[float] = deque(maxlen=_AGREE)
        self._odd: deque[float] = deque(maxlen=_ANOTHER)
        self._watched: deque[bool] = deque(maxlen=_WATCHED)

    def missing(self, delta: float) -> int | None:
        """How many numbers are missing before the next, `delta` on; None: not known."""
        step = self.step
        if step is None:
            self._learn(delta)
            return None
        count = round(delta / step)
        is_multiple = count >= 1 and self._are_equal(delta, count * step, of=step)
        is_regular = is_multiple and count == 1
        self._watched.append(not is_regular)
        if is_regular:
            self._odd.clear()
            return 0
        self._odd.append(delta)
        if self._has_changed() or sum(self._watched) > _MOST_ODD:
            self._forget()
            return None
        return count - 1 if is_multiple else None

    def _learn(self, delta: float) -> None:
        self._run.append(delta)
        middle = median(self._run)
        if len(self._run) < _AGREE or middle <= 0:
            return
        if all(self._are_equal(one, middle, of=middle) for one in self._run):
            self.step = middle

    def _has_changed(self) -> bool:
        odd = self._odd
        if len(odd) < _ANOTHER:
            return False
        return all(self._are_equal(one, odd[0], of=odd[0]) for one in odd)

    def _forget(self) -> None:
        self.step = None
        self._run.clear()
        self._run.extend(self._odd)
        self._odd.clear()
        self._watched.clear()

    def _are_equal(self, one: float, other: float, *, of: float) -> bool:
        return abs(one - other) <= self._tolerance * abs(of)
