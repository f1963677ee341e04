"""Calculates Redis's free memory, and how much the streams will need: pure, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inspector.core.entries import StreamGrowth

HOLD_ABOVE = 0.9
"""As a share of `maxmemory`. A Redis at its limit refuses everybody, including the PLC that
announces units."""
RESUME_BELOW = 0.88
ASK_EVERY_S = 10.0
SPENT_BETWEEN = 0.1
"""Share of the room at the last check that may be written before the next check."""

# An entry of a stream takes its JSON, its flat fields and IDs, and what Redis leaves empty in the
# nodes it keeps them in. Measured on Redis 7.0: 215 to 315 bytes more than a JSON of 900 to 1000
# bytes, 620 more than one of 2000, 1200 more than one of 5000.
_ENTRY_BYTES = 200
_PER_JSON_BYTE = 1.25

SHORTEST_SPAN_S = 3600.0
"""The growth over less time says nothing about two weeks."""


def bytes_in_redis(json_bytes: float) -> float:
    """The memory that an event with JSON of this length takes in Redis."""
    return _ENTRY_BYTES + _PER_JSON_BYTE * json_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Redis's report of its memory."""

    used_bytes: int
    limit_bytes: int
    """`maxmemory`; 0 if it has none."""


def expected_bytes(
    memory: Memory,
    streams: Iterable[StreamGrowth],
    *,
    retention_s: float,
    shortest_span_s: float = SHORTEST_SPAN_S,
) -> float | None:
    """The memory that Redis will use once the streams reach back as far as they are to be kept.

    Assumes the growth so far; None while it covers less than `shortest_span_s`.
    """
    streams = list(streams)
    # One span for all: that of a stream with few entries alone says nothing.
    span_s = max((s.span_s for s in streams), default=0.0)
    if span_s <= 0 or span_s < min(shortest_span_s, retention_s):
        return None
    growth_bytes = sum(
        max(0.0, s.entries / span_s * retention_s - s.held) * bytes_in_redis(s.json_bytes)
        for s in streams
    )
    return memory.used_bytes + growth_bytes


class Reserve:
    """Leaves the last tenth of Redis's memory to others; says when to check Redis again."""

    def __init__(self) -> None:
        self.memory: Memory | None = None
        """Redis's last report; None if this user may not ask."""
        self.is_held = False
        self._asked_s: float | None = None
        self._left_bytes = 0.0
        self._spent_bytes = 0.0

    def must_ask(self, now_s: float, about_to_write_bytes: float = 0.0) -> bool:
        """Whether the last report is too old to write this much."""
        if self._asked_s is None or now_s - self._asked_s >= ASK_EVERY_S:
            return True
        if self.memory is None or not self.memory.limit_bytes:
            return False
        spent = self._spent_bytes + about_to_write_bytes
        return self.is_held or (
            self._spent_bytes > 0 and spent > SPENT_BETWEEN * max(self._left_bytes, 0.0)
        )

    def told(self, memory: Memory | None, now_s: float) -> None:
        """Record a report of Redis."""
        self.memory = memory
        self._asked_s, self._spent_bytes = now_s, 0.0
        if memory is None or not memory.limit_bytes:
            self.is_held = False
            return
        self._left_bytes = HOLD_ABOVE * memory.limit_bytes - memory.used_bytes
        above = RESUME_BELOW if self.is_held else HOLD_ABOVE
        self.is_held = memory.used_bytes >= above * memory.limit_bytes

    def spend(self, written_bytes: float) -> None:
        """Record that this much was written."""
        self._spent_bytes += written_bytes

    @property
    def cause(self) -> str:
        """The reason why nothing is written now."""
        memory = self.memory or Memory(used_bytes=0, limit_bytes=0)
        return (
            f"Redis is nearly full: {megabytes(memory.used_bytes)} of"
            f" {megabytes(memory.limit_bytes)} (maxmemory) are used, and the rest is left to"
            " triggers. Raise maxmemory, or lower redis.retention_days"
        )


def megabytes(size_bytes: float) -> str:
    """A size of memory, for people."""
    return f"{size_bytes / 1e6:,.1f} MB"
