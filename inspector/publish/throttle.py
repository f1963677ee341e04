"""Decides how fast a backlog is sent to Redis while the line runs: pure."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_STEP = 10
LARGEST_STEP = 200
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleLimits:
    """The share of the process that a backlog may take, beside the inspection."""

    events_per_s: float = 2000.0
    step_ms: float = 20.0
    """The longest uninterrupted use of the event loop: a verdict may have to wait this long."""


class Throttle:
    """Chooses how many events go into one write, and how long to pause after it.

    A write keeps the event loop busy in proportion to its events; it is as large as `step_ms`
    allows. After it the loop is free for others for at least as long as it was busy, and so long
    that no more than `events_per_s` are sent on average.
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
        """How long to pause after a write of this many events.

        `busy_ns` is its processor time, `took_ns` its total time.
        """
        if rows > 0 and busy_ns > 0:
            fitting = int(rows * self._step_ns / busy_ns)
            # Grown slowly, shrunk at once: a late verdict cannot be made up for.
            self._rows = max(SMALLEST_STEP, min(fitting, 2 * self._rows, LARGEST_STEP))
        by_rate_ns = rows * NS_PER_S / self._events_per_s - took_ns
        by_share_ns = 2 * busy_ns - took_ns
        return max(0.0, by_rate_ns, by_share_ns) / NS_PER_S
