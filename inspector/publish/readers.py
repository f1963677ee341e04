"""Checks at intervals how far the readers of the station's streams have read.

A consumer group that is away for longer than `redis.retention_days` loses events. Only Redis knows
the positions of groups, and nobody else may monitor them: so the station, which trims, checks them.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import exceptions

from inspector.core.records import Stream
from inspector.events.consumer import group_position, seq_of, stream_ends, text_of
from inspector.events.numbering import (
    NOTHING_YET,
    EntryId,
    GroupPosition,
    StreamEnds,
    entry_id_text,
    parse_entry_id,
    trimmed_unread,
)
from inspector.events.text import printable
from inspector.publish.sinks.redis_streams import stream_key
from inspector.redis_io.client import ask, redis_client

POLL_INTERVAL_S = 15.0
MOST_GROUPS = 16
"""The most groups that are monitored of one stream: anybody who may read can make groups, with any
name."""
MOST_PENDING_COUNTED = 1000
NAME_CHARACTERS = 64
TIMEOUT_S = 2.0
MS_PER_S = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A consumer group of a stream, and how far it is behind."""

    stream: Stream
    group: str
    """Its name as printable text; long ones are cut and distinguished by a hash."""
    undelivered: int
    """Stored events that were not delivered to it yet."""
    pending: int
    """Entries that its members got and have not acknowledged."""
    oldest_s: float
    """Age of the oldest of both; 0 when there is none."""
    lost: int
    """Events that were trimmed before it acknowledged them, as far as Redis still shows that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """All readers, at one check."""

    watched: tuple[Reader, ...]
    unwatched: Mapping[Stream, int]
    """How many groups a stream has beyond `MOST_GROUPS`."""


class ReaderTelemetry:
    """Reports about readers; the default ignores them. Event loop only."""

    def on_readers(self, readers: Readers) -> None:
        """Their positions, at every check. There is no report while Redis is away."""

    def on_refused(self, cause: str | None) -> None:
        """The user's rights are not sufficient for the check, or are again (None).

        Called on every change.
        """


class ReaderMonitor:
    """Checks the positions of groups until cancelled; nothing waits for it. Event loop only."""

    def __init__(
        self,
        url: str,
        *,
        station_id: str,
        password: str | None,
        telemetry: ReaderTelemetry,
        poll_interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self._keys = {stream: stream_key(station_id, stream) for stream in Stream}
        self._telemetry = telemetry
        self._poll_interval_s = poll_interval_s
        self._redis = redis_client(
            url,
            password=password,
            timeout_s=TIMEOUT_S,
            connect_timeout_s=TIMEOUT_S,
            key=self._keys[Stream.UNITS],
        )
        self._memory = Memory()
        self._refused: str | None = None

    async def run_until_cancelled(self) -> None:
        """Check at intervals. A Redis that is away is asked again later; never raises."""
        try:
            while True:
                await self.check()
                await asyncio.sleep(self._poll_interval_s)
        finally:
            await self.close()

    async def close(self) -> None:
        """Disconnect; never raises."""
        with suppress(exceptions.RedisError, OSError):
            await self._redis.aclose()

    async def check(self) -> None:
        """Check once, and report; never raises."""
        try:
            readers, refused = await self._ask_all()
        except (exceptions.RedisError, OSError, LookupError, TypeError, ValueError):
            return  # away, or its answer is not Redis's: this has a fault of its own
        if readers is not None:
            self._telemetry.on_readers(readers)
        if (refused is None) != (self._refused is None):
            self._telemetry.on_refused(refused)
        self._refused = refused

    async def _ask_all(self) -> tuple[Readers | None, str | None]:
        """The readers of the streams that this user may check, and why not of the others."""
        watched: list[Reader] = []
        unwatched: dict[Stream, int] = {}
        refused: str | None = None
        for stream in self._keys:
            try:
                found, unwatched[stream] = await self._ask_of(stream)
            except exceptions.NoPermissionError as error:
                refused = refused or str(error)
            else:
                watched += found
        return (
            Readers(watched=tuple(watched), unwatched=unwatched) if unwatched else None
        ), refused

    async def _ask_of(self, stream: Stream) -> tuple[list[Reader], int]:
        groups = await self._groups(stream)
        chosen = self._memory.choose(stream, groups)
        unwatched = len(groups) - len(chosen)
        if not chosen:
            return [], unwatched
        reply: Any = await ask(self._redis.xinfo_stream(self._keys[stream]))
        ends = stream_ends(reply)
        return [await self._reader(stream, ends, group) for group in chosen], unwatched

    async def _groups(self, stream: Stream) -> list[Mapping[str, Any]]:
        try:
            return list(await ask(self._redis.xinfo_groups(self._keys[stream])))
        except exceptions.ResponseError as error:
            if "no such key" in str(error):
                return []
            raise

    async def _reader(self, stream: Stream, ends: StreamEnds, group: Mapping[str, Any]) -> Reader:
        key, raw = self._keys[stream], group["name"]
        name, position = group_position(group)
        pending = int(group["pending"])
        lost = 0
        first = await ask(self._redis.xpending_range(key, raw, "-", "+", 1))
        oldest = parse_entry_id(text_of(first[0]["message_id"])) if first else None
        if oldest is not None and (ends.first_id is None or oldest < ends.first_id):
            below = "+" if ends.first_id is None else f"({entry_id_text(ends.first_id)}"
            gone = self._redis.xpending_range(key, raw, "-", below, MOST_PENDING_COUNTED)
            lost = len(await ask(gone))
        next_entry: tuple[EntryId, int | None] | None = None
        if ends.first_id is not None and position.last_delivered_id < ends.last_generated_id:
            after = f"({entry_id_text(position.last_delivered_id)}"
            for entry in await ask(self._redis.xrange(key, after, "+", 1)):
                next_entry = parse_entry_id(text_of(entry[0])), seq_of(entry)
        label = shown_name(name)
        lost += self._memory.trimmed(stream, label, ends, position, next_entry)
        if next_entry is not None:
            oldest = next_entry[0] if oldest is None else min(oldest, next_entry[0])
        return Reader(
            stream=stream,
            group=label,
            undelivered=_undelivered(ends, next_entry, group.get("lag")),
            pending=pending,
            oldest_s=self._memory.age_s(
                stream, label, oldest, now_ms=time.time() * MS_PER_S, now_s=time.monotonic()
            ),
            lost=lost,
        )


class Memory:
    """The state of groups at earlier checks. Bounded: of monitored groups only."""

    def __init__(self) -> None:
        self._watched: dict[Stream, tuple[bytes | str, ...]] = {}
        self._next_seq: dict[tuple[Stream, str], tuple[EntryId, int]] = {}
        self._oldest: dict[tuple[Stream, str], tuple[EntryId, float]] = {}

    def choose(
        self, stream: Stream, groups: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """The groups to monitor. Those already monitored stay: new ones do not displace them."""
        before = self._watched.get(stream, ())
        known = [group for group in groups if group["name"] in before]
        others = [group for group in groups if group["name"] not in before]
        chosen = (known + others)[:MOST_GROUPS]
        self._watched[stream] = tuple(group["name"] for group in chosen)
        names = {shown_name(text_of(group["name"])) for group in chosen}
        for kept in (self._next_seq, self._oldest):
            for of_stream, name in list(kept):
                if of_stream is stream and name not in names:
                    del kept[of_stream, name]
        return chosen

    def trimmed(
        self,
        stream: Stream,
        group: str,
        ends: StreamEnds,
        position: GroupPosition,
        next_entry: tuple[EntryId, int | None] | None,
    ) -> int:
        """How many events were trimmed before they were delivered to the group.

        For a group that never read, losses count from our first check on: it may have been created
        just then. The same holds if Redis does not count, as before 7.0.
        """
        at = position.last_delivered_id
        trimmed = trimmed_unread(ends, position)
        if trimmed is not None and at != NOTHING_YET:
            next_seq = next_entry[1] if next_entry else (ends.last_seq or 0) + 1
            if trimmed == 0 and next_seq is not None:
                self._next_seq[stream, group] = (at, next_seq)
            return trimmed
        if ends.first_seq is None:
            return 0
        seen = self._next_seq.get((stream, group))
        if seen is None or seen[0] != at:
            seen = self._next_seq[stream, group] = (at, ends.first_seq)
        return max(0, ends.first_seq - seen[1])

    def age_s(
        self, stream: Stream, group: str, oldest: EntryId | None, *, now_ms: float, now_s: float
    ) -> float:
        """How long the oldest entry has waited: by its ID, and by how long we have seen it.

        The former is wrong if the clock was set in between.
        """
        if oldest is None:
            self._oldest.pop((stream, group), None)
            return 0.0
        seen = self._oldest.get((stream, group))
        if seen is None or seen[0] != oldest:
            seen = self._oldest[stream, group] = (oldest, now_s)
        return max(0.0, (now_ms - oldest[0]) / MS_PER_S, now_s - seen[1])


def shown_name(name: str) -> str:
    """A group's name as a short label without characters that a page or a terminal interprets."""
    text = printable(name)
    if len(text) <= NAME_CHARACTERS:
        return text
    return f"{text[: NAME_CHARACTERS - 9]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _undelivered(
    ends: StreamEnds, next_entry: tuple[EntryId, int | None] | None, lag: object
) -> int:
    """The number of stored events that were not delivered.

    It comes from their numbers: Redis's own `lag` includes trimmed entries, is nil after a
    deletion, and does not exist before 7.0.
    """
    if next_entry is None:
        return 0
    if next_entry[1] is not None and ends.last_seq is not None:
        return max(1, ends.last_seq - next_entry[1] + 1)
    return lag if isinstance(lag, int) else 1  # at least this one
