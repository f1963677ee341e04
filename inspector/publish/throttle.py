"""How fast a backlog is sent to Redis while the line runs: pure."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_STEP = 10
LARGEST_STEP = 200
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleLimits:
    """What a backlog may take of the process that also inspects."""

    events_per_s: float = 2000.0
    step_ms: float = 20.0
    """Of the event loop's time, in one piece: so long a verdict may have to wait."""


class Throttle:
    """Chooses how many events go into one write, and how long to pause after it.

    A write keeps the event loop busy for about as long as it has events; it is made as large as
    `step_ms` allows. After it the loop is left to others for at least as long as it was busy,
    and for so long that no more than `events_per_s` go on average.
    """

    def __init__(self, limits: ThrottleLimits) -> None:
        self._events_per_s = limits.events_per_s
        self._step_ns = limits.step_ms * NS_PER_MS
        self._rows = SMALLEST_STEP

    @property
    def rows(self) -> int:
        """How many events the next write may have."""
        return self._rows

    def pause_s(self, *, rows: int, busy_ns: int, took_ns: int) -> float:
        """How long to pause after a write of so many events.

        `busy_ns` is what it took of the processor, `took_ns` what it took in all.
        """
        if rows > 0 and busy_ns > 0:
            fitting = int(rows * self._step_ns / busy_ns)
            # Grown slowly, shrunk at once: a late verdict cannot be made up for.
            self._rows = max(SMALLEST_STEP, min(fitting, 2 * self._rows, LARGEST_STEP))
        by_rate_ns = rows * NS_PER_S / self._events_per_s - took_ns
        by_share_ns = 2 * busy_ns - took_ns
        return max(0.0, by_rate_ns, by_share_ns) / NS_PER_S
