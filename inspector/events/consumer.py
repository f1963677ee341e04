"""The reference consumer: reads a station's events as an MES should.

It knows only the contract (keys, fields, `seq`), not how the events get there. Redis alone keeps
the position of a group: its last delivered entry gives the number after which it continues.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis import exceptions

from inspector.core.errors import SinkUnavailableError
from inspector.core.newest import Newest
from inspector.events.numbering import (
    NOTHING_YET,
    Gap,
    Gone,
    GroupPosition,
    StreamEnds,
    entry_id_text,
    parse_entry_id,
    trimmed_unread,
)
from inspector.redis_io.client import ask, redis_client
from inspector.redis_io.rights import station_key

BLOCK_MS = 2000
ENTRIES_PER_READ = 100
REMEMBERED_EVENTS = 50_000
"""Event IDs kept to recognise one that comes again; the oldest is forgotten first."""
PENDING_PER_CALL = 1000
SCHEMAS = "inspector."
"""The beginning of the schema of every event of a station."""
LARGEST_SEQ = 2**63 - 1
SEQ_DIGITS = 19
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0

Entry = tuple[str, Mapping[bytes, bytes]]
"""Its ID and its fields; no fields if the entry no longer exists."""

__all__ = [
    "Gap",
    "Gone",
    "Group",
    "Item",
    "ReceivedEvent",
    "SetAside",
    "StreamReader",
    "group_position",
    "read_entry",
    "read_events",
    "seq_of",
    "stream_ends",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """One event, as read from its stream."""

    entry_id: str
    id: str
    """The event's own ID: two events with one ID are the same event."""
    seq: int
    schema: str
    time: str
    unit_id: str
    result: str
    body: dict[str, Any]
    """The JSON event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An entry of the stream that is not an event: somebody else wrote it. It was acknowledged."""

    entry_id: str
    why: str
    """The reason; it quotes the entry's content, so show it with care."""


Item = ReceivedEvent | Gap | Gone | SetAside


def _this_process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A consumer group: its members share the events, and take over those of one that died."""

    name: str
    member: str = field(default_factory=_this_process)
    """Unique among living members; the same name after a restart gets back its own entries."""
    stale_ms: int = 30_000
    """After this time, another member takes over an entry that was taken and not acknowledged."""


class StreamReader:
    """Reads one stream of one station, each event once and in order. One event loop.

    Without a group it reads from the start and leaves no trace. With one, an event is acknowledged
    when the next is asked for: a consumer that dies while it works on an event gets it again.
    `on_notice` gets a sentence, once per cause, when a follower has to wait for Redis, when Redis
    answers again, and when the user's rights are not sufficient to detect gaps over a restart.
    """

    def __init__(
        self,
        url: str,
        *,
        station_id: str,
        stream: str,
        password: str | None = None,
        group: Group | None = None,
        on_notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Does not connect yet.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._key = station_key(station_id, stream)
        self._group = group
        self._on_notice = on_notice
        self._waits_for = ""
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

    async def events(self, *, follow: bool) -> AsyncGenerator[Item, None]:
        """Yield events, and notices of missing ones; with `follow`, through every loss of Redis.

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
                    continue  # Redis came back empty: the group is created again
                reason = str(error)[:200]
                if not follow:
                    raise SinkUnavailableError(f"Redis cannot be read: {reason}") from error
                self._wait_for(reason)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)
            else:
                return

    def _wait_for(self, cause: str) -> None:
        if cause != self._waits_for:
            self._waits_for = cause
            self._on_notice(f"waiting for Redis: {cause}" if cause else "Redis answers again")

    async def _until_lost(self, *, follow: bool) -> AsyncGenerator[Item, None]:
        group = self._group
        if group is not None:
            is_new = await self._make_group(group)
            if not is_new and not self._order.has_begun:
                async for gone in self._find_place(group):
                    yield gone
            # What this member had taken and not acknowledged before it died.
            async for item in self._own_unfinished(group):
                yield item
        while True:
            if group is not None:
                async for item in self._take_over(group):
                    yield item
            entries = await self._read(BLOCK_MS if follow else None)
            self._wait_for("")
            if not entries and not follow:
                return
            async for item in self._yield_all(entries, again=False):
                yield item

    async def _yield_all(self, entries: list[Entry], *, again: bool) -> AsyncGenerator[Item, None]:
        gone = tuple(entry_id for entry_id, fields in entries if not fields)
        if gone:
            async for lost in self._let_go(gone):
                yield lost
        for entry_id, fields in entries:
            if not fields:
                continue
            found = read_entry(entry_id, fields)
            if isinstance(found, SetAside):
                yield found
            else:
                for item in await self._order.place(found, again=again):
                    yield item
            # Only now has the caller asked for more, so it is done with this one.
            if self._group is not None:
                await ask(self._redis.xack(self._key, self._group.name, entry_id))
            if not again:
                self._last_id = entry_id

    async def _let_go(self, entry_ids: tuple[str, ...]) -> AsyncGenerator[Gone, None]:
        """Report entries that were taken and no longer exist, and acknowledge them."""
        yield Gone(entry_ids=entry_ids)
        if self._group is not None:
            await ask(self._redis.xack(self._key, self._group.name, *entry_ids))

    async def _make_group(self, group: Group) -> bool:
        """Create the group, to read from the start; False if it exists already."""
        try:
            await ask(self._redis.xgroup_create(self._key, group.name, id="0", mkstream=True))
        except exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            return False
        return True

    async def _find_place(self, group: Group) -> AsyncGenerator[Gone, None]:
        """Read from Redis the number with which the group continues after our own restart."""
        try:
            groups = await ask(self._redis.xinfo_groups(self._key))
            stream = stream_ends(await ask(self._redis.xinfo_stream(self._key)))
            position = next(p for name, p in map(group_position, groups) if name == group.name)
            taken = 0
            oldest = "+" if stream.first_id is None else f"({entry_id_text(stream.first_id)}"
            async for entry_ids in self._taken_before(group, oldest):
                taken += len(entry_ids)
                async for gone in self._let_go(entry_ids):
                    yield gone
        except exceptions.NoPermissionError as error:
            self._on_notice(f"events lost before this start are not seen: {error}")
            return
        except StopIteration:
            return  # the group was destroyed meanwhile
        at = entry_id_text(position.last_delivered_id)
        last = await ask(self._redis.xrange(self._key, at, at))
        if last:
            if (seq := seq_of(last[0])) is not None:
                self._order.begin_after(at, seq)
        elif stream.first_id is None or position.last_delivered_id < stream.first_id:
            trimmed = trimmed_unread(stream, position)
            lost = None if trimmed is None else trimmed + taken
            was_read = position.last_delivered_id > NOTHING_YET
            self._order.begin_behind(at, lost, certain=was_read or not lost)

    async def _taken_before(self, group: Group, end: str) -> AsyncGenerator[tuple[str, ...], None]:
        """Entries that the group got and did not acknowledge, older than all that are stored."""
        start = "-"
        while True:
            pending = self._redis.xpending_range(
                self._key, group.name, start, end, PENDING_PER_CALL
            )
            found = tuple(text_of(entry["message_id"]) for entry in await ask(pending))
            if found:
                yield found
            if len(found) < PENDING_PER_CALL:
                return
            start = f"({found[-1]}"

    async def _own_unfinished(self, group: Group) -> AsyncGenerator[Item, None]:
        after = "0"
        while True:
            own = self._redis.xreadgroup(
                group.name, group.member, {self._key: after}, ENTRIES_PER_READ
            )
            entries = _entries_of(await ask(own))
            if not entries:
                return
            async for item in self._yield_all(entries, again=True):
                yield item
            after = entries[-1][0]

    async def _take_over(self, group: Group) -> AsyncGenerator[Item, None]:
        stale = self._redis.xautoclaim(
            self._key,
            group.name,
            group.member,
            group.stale_ms,
            start_id=self._claim_from,
            count=ENTRIES_PER_READ,
        )
        reply = await ask(stale)
        self._claim_from = text_of(reply[0])  # 0-0 again once all were checked
        async for item in self._yield_all(_entries(reply[1]), again=True):
            yield item
        # Since Redis 7.0 a third part names those that no longer exist: Redis has forgotten them.
        gone = tuple(text_of(entry_id) for entry_id in (reply[2] if len(reply) > 2 else ()))  # noqa: PLR2004
        if gone:
            async for lost in self._let_go(gone):
                yield lost
        # Before 7.0 such an entry is nil, without its ID, and now among our own.
        if any(entry is None or entry[0] is None for entry in reply[1]):
            async for item in self._own_unfinished(group):
                yield item

    async def _read(self, block_ms: int | None) -> list[Entry]:
        group, count = self._group, ENTRIES_PER_READ
        new: Awaitable[Any]
        if group is None:
            new = self._redis.xread({self._key: self._last_id}, count, block_ms)
        else:
            new = self._redis.xreadgroup(
                group.name, group.member, {self._key: ">"}, count, block_ms
            )
        return _entries_of(await ask(new))

    async def _seqs_between(self, after_id: str, before_id: str) -> set[int]:
        """The numbers of the entries between two others: another member may have them."""
        seqs: set[int] = set()
        while True:
            between = self._redis.xrange(
                self._key, f"({after_id}", f"({before_id}", ENTRIES_PER_READ
            )
            found = await ask(between)
            seqs.update(seq for entry in found if (seq := seq_of(entry)) is not None)
            if len(found) < ENTRIES_PER_READ:
                return seqs
            after_id = text_of(found[-1][0])


class _Order:
    """Knows which events were seen, and whether the numbering continues."""

    def __init__(self, seqs_between: Callable[[str, str], Awaitable[set[int]]]) -> None:
        self._seqs_between = seqs_between
        self._seen: Newest[str, None] = Newest(REMEMBERED_EVENTS)
        self._last: tuple[str, int | None] | None = None
        self._lost: int | None = 0
        self._certain = True

    @property
    def has_begun(self) -> bool:
        """Whether an event was placed, or the beginning is known."""
        return self._last is not None

    def begin_after(self, entry_id: str, seq: int) -> None:
        """Continue the numbers after this entry."""
        self._last, self._certain = (entry_id, seq), True

    def begin_behind(self, entry_id: str, lost: int | None, *, certain: bool) -> None:
        """The last entry no longer exists; this many are lost up to the first stored one.

        None: unknown, it may be all of them.
        """
        self._last, self._lost = (entry_id, None), lost
        self._certain = certain and lost is not None

    async def place(self, event: ReceivedEvent, *, again: bool) -> list[Item]:
        """The gaps before the event, then the event; nothing if it was seen already."""
        if event.id in self._seen:
            return []
        gaps = [] if again else await self._gaps_before(event)
        self._seen[event.id] = None
        if not again:
            self.begin_after(event.entry_id, event.seq)
        return [*gaps, event]

    async def _gaps_before(self, event: ReceivedEvent) -> list[Gap]:
        if self._last is None:
            return []
        last_id, last_seq = self._last
        if last_seq is not None and event.seq == last_seq + 1:
            return []
        if last_seq is not None and event.seq <= last_seq:
            return [Gap(expected_seq=last_seq + 1, found_seq=event.seq)]
        there = await self._seqs_between(last_id, event.entry_id)
        if last_seq is None:
            first = min([*there, event.seq])
            last_seq = 0 if self._lost is None else max(0, first - 1 - self._lost)
        inside = sorted(seq for seq in there if last_seq < seq < event.seq)
        steps = zip([last_seq, *inside], [*inside, event.seq], strict=True)
        return [
            Gap(expected_seq=before + 1, found_seq=after, certain=self._certain)
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
    on_notice: Callable[[str], None] = lambda _text: None,
) -> AsyncGenerator[Item, None]:
    """Yield a station's events; StreamReader says what a group changes, and what is raised."""
    reader = StreamReader(
        url,
        station_id=station_id,
        stream=stream,
        password=password,
        group=group,
        on_notice=on_notice,
    )
    try:
        async for item in reader.events(follow=follow):
            yield item
    finally:
        await reader.close()


def _entries_of(reply: Any) -> list[Entry]:
    """The entries of XREAD's or XREADGROUP's reply for one stream."""
    return [entry for _, found in reply or () for entry in _entries(found)]


def _entries(found: Any) -> list[Entry]:
    """The entries of a reply; those that no longer exist have no fields."""
    return [
        (text_of(entry[0]), entry[1] or {})
        for entry in found
        if entry is not None and entry[0] is not None
    ]


def text_of(value: bytes | str) -> str:
    """A name or an ID as printable text, whatever its bytes."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def stream_ends(reply: Mapping[str, Any]) -> StreamEnds:
    """Read XINFO STREAM's reply."""
    first, last = reply["first-entry"], reply["last-entry"]
    return StreamEnds(
        length=int(reply["length"]),
        first_id=parse_entry_id(text_of(first[0])) if first else None,
        last_generated_id=parse_entry_id(text_of(reply["last-generated-id"])),
        first_seq=seq_of(first),
        last_seq=seq_of(last),
        ever_added=reply.get("entries-added"),
    )


def group_position(reply: Mapping[str, Any]) -> tuple[str, GroupPosition]:
    """Read one group of XINFO GROUPS's reply: its name and position."""
    return text_of(reply["name"]), GroupPosition(
        last_delivered_id=parse_entry_id(text_of(reply["last-delivered-id"])),
        entries_read=reply.get("entries-read"),
    )


def seq_of(entry: Any) -> int | None:
    """The number of an entry in a reply; None if it is not an event."""
    if not entry:
        return None
    found = read_entry(text_of(entry[0]), entry[1] or {})
    return found.seq if isinstance(found, ReceivedEvent) else None


def read_entry(entry_id: str, fields: Mapping[bytes, bytes]) -> ReceivedEvent | SetAside:
    """Read an entry, or return why it is not an event."""
    try:
        schema = fields[b"schema"].decode()
        if not schema.startswith(SCHEMAS):
            return SetAside(entry_id=entry_id, why=f"its schema is {schema[:40]!r}")
        return ReceivedEvent(
            entry_id=entry_id,
            id=fields[b"id"].decode(),
            seq=_read_seq(fields[b"seq"]),
            schema=schema,
            time=fields[b"time"].decode(),
            unit_id=fields[b"unit_id"].decode(),
            result=fields[b"result"].decode(),
            body={**orjson.loads(fields[b"data"])},  # TypeError if it is not an object
        )
    except KeyError as missing:
        return SetAside(entry_id=entry_id, why=f"it has no field {missing.args[0].decode()!r}")
    except (TypeError, orjson.JSONDecodeError):
        return SetAside(entry_id=entry_id, why="its field 'data' is no JSON object")
    except UnicodeDecodeError:
        return SetAside(entry_id=entry_id, why="a field of it is no UTF-8 text")
    except ValueError as error:
        return SetAside(entry_id=entry_id, why=str(error))


def _read_seq(text: bytes) -> int:
    # int() also reads "-5", "1_0" and digits of other scripts, and raises from 4301 digits on.
    if not (text.isdigit() and len(text) <= SEQ_DIGITS and 0 < int(text) <= LARGEST_SEQ):
        raise ValueError(f"its seq is {text[:40].decode('utf-8', 'backslashreplace')!r}")
    return int(text)
