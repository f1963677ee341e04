"""A dict that holds the newest entries only: pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Newest(OrderedDict[K, V]):
    """Holds at most this many entries; another one replaces the least recently set or used.

    The order is that in which entries were set or used. One thread at a time.
    """

    def __init__(self, most: int, *, on_forgotten: Callable[[K], None] | None = None) -> None:
        """`on_forgotten` is called with the key of each entry that is removed."""
        super().__init__()
        self._most = most
        self._on_forgotten = on_forgotten

    def __setitem__(self, key: K, value: V) -> None:
        """Add an entry, or renew it."""
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._most:
            forgotten, _ = self.popitem(last=False)
            if self._on_forgotten is not None:
                self._on_forgotten(forgotten)

    def used(self, key: K, make: Callable[[], V]) -> V:
        """The entry, which counts as used now; made if it is missing."""
        found = self[key] if key in self else make()
        self[key] = found
        return found
