"""The reference consumer: reads a station's events as an MES should.

It knows only the contract (keys, fields, `seq`), nothing of how the events get there.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis import exceptions

from inspector.errors import SinkUnavailableError
from inspector.redis_client import cancellable, redis_client

BLOCK_MS = 2000
ENTRIES_PER_READ = 100
REMEMBERED_EVENTS = 50_000
"""Event IDs kept to recognise one that comes again; the oldest is forgotten first."""
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0

Entry = tuple[str, Mapping[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """One event, as read from its stream."""

    entry_id: str
    id: str
    """The event's own ID: an event whose ID was met before is the same event."""
    seq: int
    schema: str
    time: str
    unit_id: str
    result: str
    body: dict[str, Any]
    """The JSON event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The stream's numbering does not go on as it should between two entries."""

    expected_seq: int
    found_seq: int

    @property
    def missing(self) -> int:
        """How many events cannot be read any more; 0 when the numbering went back."""
        return max(0, self.found_seq - self.expected_seq)


def _this_process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A consumer group: its members share the events, and inherit from one that died."""

    name: str
    member: str = field(default_factory=_this_process)
    """Unique among living members; the same name after a restart gets back its own entries."""
    stale_ms: int = 30_000
    """An entry taken and not acknowledged for so long is taken over by another member."""


class StreamReader:
    """Reads one stream of one station, each event once and in order. One event loop.

    Without a group it reads from the start and leaves no trace. With one, an event is
    acknowledged when the next is asked for: a consumer that dies over an event gets it again.
    """

    def __init__(
        self,
        url: str,
        *,
        station_id: str,
        stream: str,
        password: str | None = None,
        group: Group | None = None,
    ) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._key = f"inspector:{{{station_id}}}:{stream}"
        self._group = group
        self._last_id = "0-0"
        self._claim_from = "0-0"
        self._order = _Order(self._seqs_between)
        # The socket must wait longer than Redis does when it blocks.
        self._redis = redis_client(
            url,
            password=password,
            timeout_s=BLOCK_MS / 1000 + 3,
            connect_timeout_s=2,
            key=self._key,
        )

    async def close(self) -> None:
        """Disconnect; never raises."""
        with suppress(exceptions.RedisError, OSError):
            await self._redis.aclose()

    async def events(self, *, follow: bool) -> AsyncGenerator[ReceivedEvent | Gap, None]:
        """Yield events and gaps; with `follow` for ever, through every loss of Redis.

        Raises:
            SinkUnavailableError: without `follow`: Redis is away or refuses.

        """
        delay_s = FIRST_RETRY_S
        while True:
            try:
                async for item in self._until_lost(follow=follow):
                    delay_s = FIRST_RETRY_S
                    yield item
            except (exceptions.RedisError, OSError) as error:
                if "NOGROUP" in str(error):
                    continue  # Redis came back empty: the group is made anew
                if not follow:
                    reason = str(error)[:200]
                    raise SinkUnavailableError(f"Redis cannot be read: {reason}") from error
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)
            else:
                return

    async def _until_lost(self, *, follow: bool) -> AsyncGenerator[ReceivedEvent | Gap, None]:
        if self._group is not None:
            await self._make_group(self._group)
            # What this member had taken and not acknowledged before it died.
            async for item in self._yield_all(await self._own_unfinished(self._group), again=True):
                yield item
        while True:
            if self._group is not None:
                async for item in self._yield_all(await self._take_over(self._group), again=True):
                    yield item
            entries = await self._read(BLOCK_MS if follow else None)
            if not entries and not follow:
                return
            async for item in self._yield_all(entries, again=False):
                yield item

    async def _yield_all(
        self, entries: list[Entry], *, again: bool
    ) -> AsyncGenerator[ReceivedEvent | Gap, None]:
        for entry_id, fields in entries:
            event = read_entry(entry_id, fields)
            if event is not None:
                for item in await self._order.place(event, again=again):
                    yield item
            # Only now has the caller asked for more, so it is done with this one.
            if self._group is not None:
                await _ask(self._redis.xack(self._key, self._group.name, entry_id))
            if not again:
                self._last_id = entry_id

    async def _make_group(self, group: Group) -> None:
        try:
            await _ask(self._redis.xgroup_create(self._key, group.name, id="0", mkstream=True))
        except exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _own_unfinished(self, group: Group) -> list[Entry]:
        own = self._redis.xreadgroup(group.name, group.member, {self._key: "0"})
        return _entries_of(await _ask(own))

    async def _take_over(self, group: Group) -> list[Entry]:
        stale = self._redis.xautoclaim(
            self._key,
            group.name,
            group.member,
            group.stale_ms,
            start_id=self._claim_from,
            count=ENTRIES_PER_READ,
        )
        reply = await _ask(stale)
        self._claim_from = _text(reply[0])  # 0-0 again once all were looked at
        # Two parts before Redis 7, three since. An entry deleted meanwhile is nil in the former.
        return _entries(reply[1])

    async def _read(self, block_ms: int | None) -> list[Entry]:
        group, count = self._group, ENTRIES_PER_READ
        new: Awaitable[Any]
        if group is None:
            new = self._redis.xread({self._key: self._last_id}, count, block_ms)
        else:
            new = self._redis.xreadgroup(
                group.name, group.member, {self._key: ">"}, count, block_ms
            )
        return _entries_of(await _ask(new))

    async def _seqs_between(self, after_id: str, before_id: str) -> set[int]:
        """The numbers of the entries between two others: perhaps another member has them."""
        found = await _ask(self._redis.xrange(self._key, f"({after_id}", f"({before_id}"))
        return {event.seq for entry in found if (event := read_entry(_text(entry[0]), entry[1]))}


class _Order:
    """Knows which events were seen, and whether the numbering goes on."""

    def __init__(self, seqs_between: Callable[[str, str], Awaitable[set[int]]]) -> None:
        self._seqs_between = seqs_between
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._last: ReceivedEvent | None = None

    async def place(self, event: ReceivedEvent, *, again: bool) -> list[ReceivedEvent | Gap]:
        """The event, after the gaps before it; nothing if it was seen already."""
        if event.id in self._seen:
            return []
        gaps = [] if again else await self._gaps_before(event)
        self._seen[event.id] = None
        if len(self._seen) > REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
        if not again:
            self._last = event
        return [*gaps, event]

    async def _gaps_before(self, event: ReceivedEvent) -> list[Gap]:
        last = self._last
        if last is None or event.seq == last.seq + 1:
            return []
        if event.seq <= last.seq:
            return [Gap(expected_seq=last.seq + 1, found_seq=event.seq)]
        there = await self._seqs_between(last.entry_id, event.entry_id)
        inside = sorted(seq for seq in there if last.seq < seq < event.seq)
        steps = zip([last.seq, *inside], [*inside, event.seq], strict=True)
        return [
            Gap(expected_seq=before + 1, found_seq=after)
            for before, after in steps
            if after > before + 1
        ]


async def read_events(
    url: str,
    *,
    station_id: str,
    stream: str = "units",
    password: str | None = None,
    group: Group | None = None,
    follow: bool = False,
) -> AsyncGenerator[ReceivedEvent | Gap, None]:
    """Yield a station's events; StreamReader says what a group changes, and what is raised."""
    reader = StreamReader(url, station_id=station_id, stream=stream, password=password, group=group)
    try:
        async for item in reader.events(follow=follow):
            yield item
    finally:
        await reader.close()


async def _ask(reply: Awaitable[Any]) -> Any:
    with cancellable():
        return await reply


def _entries_of(reply: Any) -> list[Entry]:
    """The entries of XREAD's or XREADGROUP's reply for one stream."""
    return [entry for _, found in reply or () for entry in _entries(found)]


def _entries(found: Any) -> list[Entry]:
    return [(_text(entry_id), fields or {}) for entry_id, fields in found if entry_id is not None]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def read_entry(entry_id: str, fields: Mapping[bytes, bytes]) -> ReceivedEvent | None:
    """Read an entry; None for one that was deleted, or that is no event."""
    try:
        return ReceivedEvent(
            entry_id=entry_id,
            id=fields[b"id"].decode(),
            seq=int(fields[b"seq"]),
            schema=fields[b"schema"].decode(),
            time=fields[b"time"].decode(),
            unit_id=fields[b"unit_id"].decode(),
            result=fields[b"result"].decode(),
            body={**orjson.loads(fields[b"data"])},  # TypeError where it is no object
        )
    except (KeyError, TypeError, ValueError):
        return None
