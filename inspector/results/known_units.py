"""Which units had a verdict before: pure."""

from __future__ import annotations

from inspector.core.newest import Newest

REMEMBERED = 50_000
"""At a unit a second, some 14 hours; about 8 MB."""


class KnownUnits:
    """Remembers names of units, the newest ones; the oldest is forgotten first."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._names: Newest[str, None] = Newest(remembered)

    def met(self, name: str) -> bool:
        """Whether this unit was met before; from now on it was."""
        known = name in self._names
        self._names[name] = None
        return known
