"""Chooses the frames of one unit that are inspected: pure, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from inspector.core.records import MissReason

HOLD_NS = 120_000_000
"""How long a frame may wait for a sharper one: well under the age at which frames are stale."""
_LEAVING_SHARE = 0.85
"""As a share of the remaining way: the rest is reserve, for a frame that is missing."""


@dataclass(slots=True, kw_only=True, eq=False)
class Passage:
    """A unit that was announced, from its opening to its closing."""

    number: int
    opened_ns: int
    frames: int
    """The number of frames wanted."""
    spread_ns: int
    taken: int = 0
    is_closed: bool = False
    miss: MissReason | None = None
    """The last fault that cost it a frame while it was in view."""
    length_px: float | None = None
    may_be_another: bool = False
    """Whether it was out of sight: the thing in its place may be another, if its length differs."""
    left_ns: int = 0
    """When it went out of view, if it did."""
    _last_ns: int | None = None
    _held: tuple[int, float] | None = None
    """The capture time and sharpness of the kept frame."""
    _send_by_ns: int = 0

    @property
    def holds(self) -> bool:
        """Whether a frame is kept."""
        return self._held is not None

    @property
    def send_by_ns(self) -> int:
        """The latest time to inspect the kept frame."""
        return self._send_by_ns

    def wants(self, now_ns: int, sharpness: float, remaining_ns: int | None) -> bool:
        """Whether the present frame should replace the kept one.

        `remaining_ns` is how long the unit will still be fully in view; None while it stands.
        """
        if self.is_closed or self.taken >= self.frames:
            return False
        if self._held is not None:
            return sharpness > self._held[1]
        return now_ns >= self._due_ns(now_ns, remaining_ns)

    def keep(self, now_ns: int, sharpness: float, remaining_ns: int | None) -> None:
        """Keep the present frame."""
        if self._held is None:
            share_ns = (self._horizon_ns(now_ns, remaining_ns) - now_ns) // (
                self.frames - self.taken
            )
            self._send_by_ns = now_ns + max(0, min(HOLD_NS, share_ns))
        self._held = (now_ns, sharpness)

    def is_time(self, now_ns: int, interval_ns: int) -> bool:
        """Whether the kept frame is inspected now; the next comes `interval_ns` later."""
        return self._held is not None and now_ns + interval_ns > self._send_by_ns

    def send(self) -> None:
        """Record that the kept frame is inspected."""
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
