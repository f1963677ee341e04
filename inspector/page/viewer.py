"""A viewer of a camera, and which messages are new to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inspector.core.plain_text import as_json


@dataclass(frozen=True, slots=True)
class News:
    """A message for viewers, and its number, by which a viewer has it or not."""

    number: int
    message: bytes


NO_NEWS = News(0, b"")


def packed(header: Mapping[str, Any], jpeg: bytes = b"") -> bytes:
    """Four bytes with the length of the JSON, the JSON, and a picture or none."""
    text = as_json(header)
    return len(text).to_bytes(4, "big") + text + jpeg


class Viewer:
    """A viewer: gets a message for each credit, always the newest one."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change` is called when `has_credit` changed."""
        self._on_change = on_change
        self._wake = asyncio.Event()
        self.has_credit = False
        self._has: dict[str, int] = {}
        self._last = ""

    def credit(self) -> None:
        """Add a credit: the viewer has shown the last message, and one more may be sent."""
        self.has_credit = True
        self._wake.set()
        self._on_change()

    def wake(self) -> None:
        """Wake the viewer: there may be something new."""
        self._wake.set()

    async def next(self, channels: Mapping[str, News]) -> bytes:
        """Wait for a credit and a new message; the channel served last comes last."""
        while True:
            if self.has_credit:
                fresh = [c for c, n in channels.items() if n.number > self._has.get(c, 0)]
                fresh.sort(key=lambda channel: channel == self._last)
                if fresh:
                    self._last, news = fresh[0], channels[fresh[0]]
                    self._has[fresh[0]] = news.number
                    self.has_credit = False
                    self._on_change()
                    return news.message
            self._wake.clear()
            await self._wake.wait()
