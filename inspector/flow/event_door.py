"""The one door through which events reach the journal: verdicts, health, reviews, changes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from inspector.core.records import EventGroup

GROUPS_WAITING = 16
"""Verdicts that may wait for the journal: one commit takes all of them."""


class EventDoor:
    """Groups leave in the order in which they are put in. Event loop only.

    Verdicts wait while `capacity` groups are inside, which is how a full journal holds up the line.
    Rare events that are bounded by nature (a change of health, a review, a change of the job) are
    let in at once: they must not wait behind the very thing that they report. The door exists
    before the pipeline runs, and what is put in until then waits for the pipeline. Once
    the receiver reports that its groups are stored, whoever waited for one of them is answered.
    """

    def __init__(self, capacity: int = GROUPS_WAITING) -> None:
        self._capacity = capacity
        self._inside: deque[tuple[EventGroup, asyncio.Future[bool] | None]] = deque()
        self._received: deque[asyncio.Future[bool] | None] = deque()
        self._closed = False
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._inside)

    @property
    def closed(self) -> bool:
        """Whether nothing more is accepted; groups may still be inside."""
        return self._closed

    async def room(self) -> None:
        """Wait for room, which is there until the caller awaits something else.

        Raises:
            RuntimeError: the door is closed; only its senders may close it, after their last group.

        """
        while len(self._inside) >= self._capacity:
            self._left.clear()
            await self._left.wait()
        if self._closed:
            msg = "send through a closed door"
            raise RuntimeError(msg)

    async def send(self, group: EventGroup) -> None:
        """Wait for room, then put the group in.

        Raises:
            RuntimeError: the door is closed, which is for those who send to do.

        """
        await self.room()
        self._put(group, None)

    def put(self, group: EventGroup) -> asyncio.Future[bool]:
        """Put the group in, even if there is no room.

        The future has the answer whether the group is kept; False means that the station stops and
        the group is lost. It need not be awaited.
        """
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._closed:
            kept.set_result(False)
        else:
            self._put(group, kept)
        return kept

    def close(self) -> None:
        """Accept nothing more; the receiver still gets the groups inside."""
        self._closed = True
        self._arrived.set()

    def abandon(self) -> None:
        """Close, and give up what is not kept: nothing is received any more."""
        self.close()
        for kept in (*self._received, *(kept for _, kept in self._inside)):
            _settle(kept, is_kept=False)
        self._received.clear()
        self._inside.clear()

    def _put(self, group: EventGroup, kept: asyncio.Future[bool] | None) -> None:
        self._inside.append((group, kept))
        self._arrived.set()

    async def receive(self, limit: int) -> Sequence[EventGroup]:
        """All groups inside, up to `limit`; waits for the first. Empty: closed and at its end.

        `kept` must be called before the next call.
        """
        while not self._inside and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        leaving = [self._inside.popleft() for _ in range(min(limit, len(self._inside)))]
        self._received.extend(kept for _, kept in leaving)
        self._left.set()
        return [group for group, _ in leaving]

    def kept(self) -> None:
        """Report that everything received so far is stored durably."""
        while self._received:
            _settle(self._received.popleft(), is_kept=True)

    async def __aiter__(self) -> AsyncIterator[EventGroup]:
        """Yield group by group until the end; each counts as kept when the next is requested."""
        while groups := await self.receive(1):
            yield groups[0]
            self.kept()


def _settle(kept: asyncio.Future[bool] | None, *, is_kept: bool) -> None:
    if kept is not None and not kept.done():  # the task that waited for it may have been cancelled
        kept.set_result(is_kept)
