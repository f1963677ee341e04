"""When the journal has grown as large as it may."""

from __future__ import annotations

from collections.abc import Callable

UNLIMITED = 1 << 62
LOOK_FOR_ROOM_S = 0.1


class Room:
    """Knows whether more may be added, and tells when that changes. Event loop only.

    `on_fault` hears why nothing may be added, and None when there is room again.
    """

    def __init__(self, *, limit_bytes: int, on_fault: Callable[[str | None], None]) -> None:
        self.limit_bytes = limit_bytes
        self._on_fault = on_fault
        self._is_full = False

    def has(self, used_bytes: int, pending: int) -> bool:
        """Whether there is room. `pending`: how many events Redis has not taken."""
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
