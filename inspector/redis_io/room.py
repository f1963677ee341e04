"""How much of Redis's memory is left, and how much the streams will need: pure, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inspector.core.entries import StreamGrowth

HOLD_ABOVE = 0.9
"""Of `maxmemory`. A Redis at its limit refuses everybody, the PLC that announces units too."""
RESUME_BELOW = 0.88
ASK_EVERY_S = 10.0
SPENT_BETWEEN = 0.1
"""Share of the room left when Redis was last asked that may be written before it is asked again."""

# An entry of a stream takes its JSON, its flat fields and IDs, and what Redis leaves empty in the
# nodes it keeps them in. Measured on Redis 7.0: 215 to 315 bytes more than a JSON of 900 to 1000
# bytes, 620 more than one of 2000, 1200 more than one of 5000.
_ENTRY_BYTES = 200
_PER_JSON_BYTE = 1.25

SHORTEST_SPAN_S = 3600.0
"""What came in less says nothing of two weeks."""


def bytes_in_redis(json_bytes: float) -> float:
    """What an event of this length of JSON takes in Redis."""
    return _ENTRY_BYTES + _PER_JSON_BYTE * json_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What Redis says of its memory."""

    used_bytes: int
    limit_bytes: int
    """`maxmemory`; 0 where it has none."""


def expected_bytes(
    memory: Memory,
    streams: Iterable[StreamGrowth],
    *,
    retention_s: float,
    shortest_span_s: float = SHORTEST_SPAN_S,
) -> float | None:
    """What Redis will use once the streams reach back as far as they are to be kept.

    At the growth so far; None while that is of less than `shortest_span_s`.
    """
    streams = list(streams)
    # One span for all: of a stream with few entries its own says nothing.
    span_s = max((s.span_s for s in streams), default=0.0)
    if span_s <= 0 or span_s < min(shortest_span_s, retention_s):
        return None
    growth_bytes = sum(
        max(0.0, s.entries / span_s * retention_s - s.held) * bytes_in_redis(s.json_bytes)
        for s in streams
    )
    return memory.used_bytes + growth_bytes


class Reserve:
    """Leaves the last tenth of Redis's memory to others; says when Redis is to be asked again."""

    def __init__(self) -> None:
        self.memory: Memory | None = None
        """As Redis last said it; None where it may not be asked."""
        self.is_held = False
        self._asked_s: float | None = None
        self._left_bytes = 0.0
        self._spent_bytes = 0.0

    def must_ask(self, now_s: float, about_to_write_bytes: float = 0.0) -> bool:
        """Whether what Redis last said is too old to write so much."""
        if self._asked_s is None or now_s - self._asked_s >= ASK_EVERY_S:
            return True
        if self.memory is None or not self.memory.limit_bytes:
            return False
        spent = self._spent_bytes + about_to_write_bytes
        return self.is_held or (
            self._spent_bytes > 0 and spent > SPENT_BETWEEN * max(self._left_bytes, 0.0)
        )

    def told(self, memory: Memory | None, now_s: float) -> None:
        """Redis was asked."""
        self.memory = memory
        self._asked_s, self._spent_bytes = now_s, 0.0
        if memory is None or not memory.limit_bytes:
            self.is_held = False
            return
        self._left_bytes = HOLD_ABOVE * memory.limit_bytes - memory.used_bytes
        above = RESUME_BELOW if self.is_held else HOLD_ABOVE
        self.is_held = memory.used_bytes >= above * memory.limit_bytes

    def spend(self, written_bytes: float) -> None:
        """So much was written."""
        self._spent_bytes += written_bytes

    @property
    def cause(self) -> str:
        """Why nothing is written now."""
        memory = self.memory or Memory(used_bytes=0, limit_bytes=0)
        return (
            f"Redis is nearly full: {megabytes(memory.used_bytes)} of"
            f" {megabytes(memory.limit_bytes)} (maxmemory) are used, and the rest is left to"
            " triggers. Raise maxmemory, or lower redis.retention_days"
        )


def megabytes(size_bytes: float) -> str:
    """A size of memory, for people."""
    return f"{size_bytes / 1e6:,.1f} MB"
