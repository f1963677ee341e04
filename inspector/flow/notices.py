"""Passes units and missed frames, which only capture knows, to the results stage. Any thread."""

from __future__ import annotations

import asyncio
from collections import deque

from inspector.core.records import Notice

MANY = 100_000
"""About 30 MB: half an hour of a camera at 30 frames/s whose verdicts wait for the journal."""


class Notices:
    """Accepts notices at once: capture threads must not wait for the event loop.

    Holds units that begin and end, and frames that were missed, in the order they were put. It has
    no bound of its own: the records are small, and they pile up only while the results stage stands
    still. The watchdog ends such a process; where it waits for a full journal, from `MANY` on.
    """

    def __init__(self) -> None:
        self._items: deque[Notice] = deque()  # append and popleft are atomic
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._wake_sent = False
        self._closed = False

    def __len__(self) -> int:
        """The number of waiting notices. Any thread."""
        return len(self._items)

    def put(self, notice: Notice) -> None:
        """Report a unit, or a frame whose buffer is already released. Any thread."""
        self._items.append(notice)
        # One call wakes the loop for everything put until it reads: a camera puts several a frame.
        if not self._wake_sent and not self._loop.is_closed():
            self._wake_sent = True
            self._loop.call_soon_threadsafe(self._changed.set)

    def close(self) -> None:
        """Report that no further notice will come. Event loop only."""
        self._closed = True
        self._changed.set()

    def take(self) -> Notice | None:
        """The next notice, or None if there is none now. Event loop only."""
        return self._items.popleft() if self._items else None

    async def wait(self) -> bool:
        """Wait until there is a notice; False once closed and empty. One waiter only."""
        while not self._items:
            if self._closed:
                return False
            self._changed.clear()
            self._wake_sent = False
            if not self._items:
                await self._changed.wait()
        return True
