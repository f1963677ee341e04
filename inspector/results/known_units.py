"""Remembers which units already had a verdict: pure."""

from __future__ import annotations

from inspector.core.newest import Newest

REMEMBERED = 50_000
"""About 14 hours at one unit per second; about 8 MB."""


class KnownUnits:
    """Remembers names of units, the newest ones; the oldest is forgotten first."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._names: Newest[str, None] = Newest(remembered)

    def met(self, name: str) -> bool:
        """Whether this unit is known already; afterwards it is."""
        known = name in self._names
        self._names[name] = None
        return known
