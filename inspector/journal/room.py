"""Decides when the journal is as large as it may be."""

from __future__ import annotations

from collections.abc import Callable

UNLIMITED = 1 << 62
ROOM_POLL_INTERVAL_S = 0.1


class Causes:
    """Merges the faults of the journal that several parts report. Event loop only."""

    def __init__(self, on_fault: Callable[[str | None], None]) -> None:
        self._on_fault = on_fault
        self._standing: dict[str, str] = {}

    def of(self, who: str) -> Callable[[str | None], None]:
        """The callback for one part; a fault that another still reports is not cleared."""

        def tell(cause: str | None) -> None:
            self._standing.pop(who, None)
            if cause is not None:
                self._standing[who] = cause
            self._on_fault(next(reversed(self._standing.values()), None))

        return tell


class Room:
    """Knows whether more may be added, and reports changes.

    Event loop only. `on_fault` gets the reason why nothing may be added, and None when there is
    room again.
    """

    def __init__(self, *, limit_bytes: int, on_fault: Callable[[str | None], None]) -> None:
        self.limit_bytes = limit_bytes
        self._on_fault = on_fault
        self._is_full = False

    def has(self, used_bytes: int, pending: int) -> bool:
        """Whether there is room. `pending`: the number of events that Redis has not taken."""
        is_full = used_bytes >= self.limit_bytes
        if is_full != self._is_full:
            self._is_full = is_full
            self._on_fault(
                f"the journal is full (journal.max_gb = {self.limit_bytes / 1e9:g}) with"
                f" {pending} events that Redis has not taken: verdicts wait"
                if is_full
                else None
            )
        return not is_full
