"""Hands frames that were not inspected to the results stage, from any thread."""

from __future__ import annotations

import asyncio
from collections import deque

from inspector.records import MissedFrame


class MissedFrames:
    """Accepts at once, whoever reports: capture threads must not wait for the event loop.

    Not bounded by a number: it holds a small record per missed frame while the results stage
    stands still, and the watchdog ends a process that stands still.
    """

    def __init__(self) -> None:
        self._items: deque[MissedFrame] = deque()  # append and popleft are atomic
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, missed: MissedFrame) -> None:
        """Report a frame; its buffer is already released. Any thread."""
        self._items.append(missed)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    def close(self) -> None:
        """Nobody can miss a frame any more. Event loop only."""
        self._closed = True
        self._changed.set()

    async def receive(self) -> MissedFrame | None:
        """The next one, or None once closed and empty. One receiver only."""
        while not self._items:
            if self._closed:
                return None
            self._changed.clear()
            if not self._items:
                await self._changed.wait()
        return self._items.popleft()
