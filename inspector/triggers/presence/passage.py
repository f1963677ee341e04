"""Which frames of one unit are inspected: pure, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from inspector.core.records import MissReason

HOLD_NS = 120_000_000
"""How long a frame may wait for a sharper one: well under the age at which frames are stale."""
_LEAVING_SHARE = 0.85
"""Of the way that is left: the rest is reserve, for a frame that fails to come."""


@dataclass(slots=True, kw_only=True, eq=False)
class Passage:
    """A unit that was announced, from its opening to its closing."""

    number: int
    opened_ns: int
    frames: int
    """Wanted."""
    spread_ns: int
    taken: int = 0
    is_closed: bool = False
    miss: MissReason | None = None
    """The last fault that cost a frame while it was in view."""
    length_px: float | None = None
    may_be_another: bool = False
    """It was out of sight: what is seen in its place may be another, if its length says so."""
    left_ns: int = 0
    """When it went out of view, if it did."""
    _last_ns: int | None = None
    _held: tuple[int, float] | None = None
    """When the frame at hand was captured, and how sharp it is."""
    _send_by_ns: int = 0

    @property
    def holds(self) -> bool:
        """A frame is at hand."""
        return self._held is not None

    @property
    def send_by_ns(self) -> int:
        """When the frame at hand is inspected at the latest."""
        return self._send_by_ns

    def wants(self, now_ns: int, sharpness: float, remaining_ns: int | None) -> bool:
        """Whether a frame of now should be kept, in place of the one at hand.

        `remaining_ns` is how long the unit will still be fully in view; None while it stands.
        """
        if self.is_closed or self.taken >= self.frames:
            return False
        if self._held is not None:
            return sharpness > self._held[1]
        return now_ns >= self._due_ns(now_ns, remaining_ns)

    def keep(self, now_ns: int, sharpness: float, remaining_ns: int | None) -> None:
        """The frame of now is the one at hand."""
        if self._held is None:
            share_ns = (self._horizon_ns(now_ns, remaining_ns) - now_ns) // (
                self.frames - self.taken
            )
            self._send_by_ns = now_ns + max(0, min(HOLD_NS, share_ns))
        self._held = (now_ns, sharpness)

    def is_time(self, now_ns: int, interval_ns: int) -> bool:
        """Whether the frame at hand goes now; the next comes `interval_ns` later."""
        return self._held is not None and now_ns + interval_ns > self._send_by_ns

    def send(self) -> None:
        """The frame at hand is inspected."""
        if self._held is None:
            msg = f"unit {self.number} has no frame at hand"
            raise RuntimeError(msg)
        self._last_ns, self._held = self._held[0], None
        self.taken += 1

    def _horizon_ns(self, now_ns: int, remaining_ns: int | None) -> int:
        horizon_ns = self.opened_ns + self.spread_ns
        if remaining_ns is not None:
            horizon_ns = min(horizon_ns, now_ns + round(_LEAVING_SHARE * remaining_ns))
        return horizon_ns

    def _due_ns(self, now_ns: int, remaining_ns: int | None) -> int:
        if self._last_ns is None:
            return self.opened_ns
        last_due_ns = self._horizon_ns(now_ns, remaining_ns) - HOLD_NS
        return self._last_ns + (last_due_ns - self._last_ns) // (self.frames - self.taken)
