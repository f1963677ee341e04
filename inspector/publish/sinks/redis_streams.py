"""Writes journaled events to the station's streams in Redis, and reads how they end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from redis import exceptions
from redis.asyncio.client import Pipeline

from inspector.core.entries import NO_STREAM, JournalRow, StreamId, Tip
from inspector.core.errors import SinkUnavailableError
from inspector.core.ports import Sink
from inspector.core.records import Stream
from inspector.redis_io.client import cancellable, passwords_of, redis_client
from inspector.redis_io.rights import station_key
from inspector.redis_io.room import Memory, Reserve, bytes_in_redis

_CAUSE_CHARACTERS = 200
_SEQ_DIGITS = 19

# The meaning of Redis's refusals for a person who reads the alert; the first match counts.
_EXPLAINED: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.BusyLoadingError, "Redis is still loading its data"),
    (exceptions.AuthenticationError, "Redis refused the user name or password"),
    (exceptions.TimeoutError, "Redis does not answer in time"),
    (exceptions.ConnectionError, "Redis cannot be reached"),
    (exceptions.OutOfMemoryError, "Redis has no memory left (maxmemory)"),
    (exceptions.ReadOnlyError, "Redis is a read-only replica"),
    (exceptions.NoPermissionError, "Redis does not allow this user to write the streams"),
    (exceptions.RedisError, "Redis refused"),
    (OSError, "Redis cannot be reached"),
)
# The same by Redis's own word, where redis-py has no class for it or wraps it.
_EXPLAINED_BY_CODE = {
    "NOPERM": "Redis does not allow this user to write the streams",
    "MISCONF": "Redis cannot save its data (disk full?)",
    "NOREPLICAS": "Redis has too few replicas",
    "WRONGTYPE": "a key of this station is no stream",
}


def stream_key(station_id: str, stream: Stream) -> str:
    """The key of a station's stream; the braces keep them together in a Redis Cluster."""
    return station_key(station_id, stream.value)


class RedisStreamWriter(Sink):
    """A station's streams, as their only producer sees them.

    Event loop only, one caller at a time. Nothing is tried twice in here: redis-py's own retries
    write an entry again whose reply was late. Every method raises SinkUnavailableError, with a
    cause that holds no password, when Redis is away or refuses.
    """

    def __init__(
        self,
        url: str,
        *,
        station_id: str,
        password: str | None = None,
        timeout_s: float = 1.0,
        connect_timeout_s: float = 0.5,
    ) -> None:
        """Does not connect yet.

        Raises:
            ConfigurationError: the URL is not one of Redis's.

        """
        self._keys = {stream: stream_key(station_id, stream) for stream in Stream}
        self._redis = redis_client(
            url,
            password=password,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            key=self._keys[Stream.UNITS],
        )
        self._secrets = [s for s in (*passwords_of(self._redis), password) if s]
        self._reserve = Reserve()

    async def tips(self) -> dict[Stream, Tip]:
        """How each stream ends now.

        Without those that this user has no rights for: a stream may be newer than the rights in
        Redis, and the others must not wait for it. Writes to it are refused.
        """
        replies = await self._xinfo()
        with self._talking():
            return {
                stream: read_tip(reply)
                for stream, reply in replies.items()
                if stream is Stream.UNITS or not isinstance(reply, exceptions.NoPermissionError)
            }

    async def append(
        self,
        rows: Sequence[JournalRow],
        ends: Mapping[Stream, StreamId],
        published_at: str,
    ) -> bool:
        """Add the rows, all or none, provided each of their streams still ends at `ends`.

        False when a stream ends elsewhere, and nothing was added. After an error they may have
        been added or not: the ends of the streams show which.
        """
        with self._talking():
            try:
                replies = await self._append_watched(rows, ends, published_at)
            except exceptions.WatchError:
                # Touched in between, or the connection was lost at any moment since WATCH, which
                # redis-py reports the same way: in both cases the ends of the streams must be read
                # again.
                return False
        return replies is not None and self._all_added(replies)

    async def _append_watched(
        self, rows: Sequence[JournalRow], ends: Mapping[Stream, StreamId], published_at: str
    ) -> list[Any] | None:
        streams = list(dict.fromkeys(row.stream for row in rows))
        async with self._redis.pipeline(transaction=True) as pipeline:
            # Nobody else can write between the check and the write: WATCH makes Redis drop the
            # transaction if a key was touched, be it by FLUSHALL or by our own earlier attempt that
            # a stopped Redis reads only now.
            await pipeline.watch(*(self._keys[stream] for stream in streams))
            for stream in streams:
                if (await self._tip_of(pipeline, stream)).last_id != ends[stream]:
                    return None
            # A transaction, because a plain pipeline can be refused an entry (no memory)
            # and accept the next: then the refused one can never follow.
            pipeline.multi()  # type: ignore[no-untyped-call]
            for row in rows:
                pipeline.xadd(
                    self._keys[row.stream], _fields(row, published_at), id=str(row.entry_id)
                )
            return await pipeline.execute(raise_on_error=False)

    async def holds(self, rows: Sequence[JournalRow]) -> list[bool]:
        """Whether each row's event is in its stream, under its entry ID."""
        with self._talking():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for row in rows:
                    entry_id = str(row.entry_id)
                    pipeline.xrange(self._keys[row.stream], entry_id, entry_id)
                replies = await pipeline.execute()
        return [
            any(fields.get(b"id") == row.event_id.encode() for _, fields in reply)
            for row, reply in zip(rows, replies, strict=True)
        ]

    async def newest(self, stream: Stream, count: int) -> list[bytes]:
        """The JSON of a stream's last entries, the newest first."""
        with self._talking():
            entries: Any = await self._redis.xrevrange(self._keys[stream], count=count)
        return [fields[b"data"] for _, fields in entries if b"data" in fields]

    async def trim(self, stream: Stream, below: StreamId) -> int:
        """Trim roughly the entries with smaller IDs; returns how many.

        By ID, never by length: a length would remove entries that nobody has read yet.
        """
        with self._talking():
            trimmed: int = await self._redis.xtrim(
                self._keys[stream], minid=str(below), approximate=True
            )
        return trimmed

    @property
    def memory_told(self) -> Memory | None:
        """The last known memory of Redis; None if this user may not ask."""
        return self._reserve.memory

    @property
    def is_held(self) -> bool:
        """Redis is nearly full, and the rest is reserved for others."""
        return self._reserve.is_held

    async def make_room(self, rows: Sequence[JournalRow]) -> None:
        """Refuse a write after which Redis would have no room left for the triggers of others."""
        about_bytes = sum(bytes_in_redis(len(row.body)) for row in rows)
        await self.ask_for_memory(about_bytes)
        if self._reserve.is_held:
            raise SinkUnavailableError(self._reserve.cause)
        self._reserve.spend(about_bytes)

    async def ask_for_memory(self, about_to_write_bytes: float = 0.0) -> None:
        """Ask Redis how full it is, if that was long ago, or much was written since."""
        if self._reserve.must_ask(time.monotonic(), about_to_write_bytes):
            self._reserve.told(await self.memory(), time.monotonic())

    async def memory(self) -> Memory | None:
        """How much of its memory Redis uses; None if this user may not ask."""
        with self._talking():
            try:
                told: Any = await self._redis.info("memory")
            except exceptions.ResponseError:
                return None
        return read_memory(told)

    async def clock_ahead_s(self) -> float | None:
        """By how much Redis's clock is ahead of ours; None if this user may not ask."""
        with self._talking():
            try:
                seconds, microseconds = await self._redis.time()
            except exceptions.ResponseError:
                return None
        return float(seconds + microseconds / 1e6 - time.time())

    async def lengths(self) -> dict[Stream, int]:
        """How many entries each stream has."""
        return {
            stream: int(reply["length"]) if isinstance(reply, dict) else 0
            for stream, reply in (await self._xinfo()).items()
        }

    async def _xinfo(self) -> dict[Stream, Any]:
        """The reply of XINFO STREAM for each stream, or its refusal."""
        with self._talking():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in self._keys.values():
                    pipeline.xinfo_stream(key)
                replies = await pipeline.execute(raise_on_error=False)
        return dict(zip(self._keys, replies, strict=True))

    async def close(self) -> None:
        """Disconnect; never raises."""
        try:
            await self._redis.aclose()
        except (exceptions.RedisError, OSError):
            return

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Map Redis's errors to ours; the only place that does so."""
        try:
            with cancellable():
                yield
        except (exceptions.RedisError, OSError) as error:
            raise self._unavailable(error) from error

    async def _tip_of(self, pipeline: Pipeline, stream: Stream) -> Tip:
        # After WATCH a pipeline runs each command at once, until MULTI.
        try:
            return read_tip(await pipeline.xinfo_stream(self._keys[stream]))
        except exceptions.ResponseError as error:
            return read_tip(error)

    def _all_added(self, replies: Sequence[object]) -> bool:
        for reply in replies:
            if isinstance(reply, exceptions.RedisError):
                if "equal or smaller" in str(reply):
                    return False
                raise self._unavailable(reply) from reply
        return True

    def _unavailable(self, error: Exception) -> SinkUnavailableError:
        meaning = next(text for kind, text in _EXPLAINED if isinstance(error, kind))
        # A failed pipeline quotes its command, a whole event, before the reason.
        reason = str(error).rpartition("caused error: ")[2]
        meaning = next((m for code, m in _EXPLAINED_BY_CODE.items() if code in reason), meaning)
        for secret in self._secrets:
            reason = reason.replace(secret, "***")
        return SinkUnavailableError(f"{meaning}: {reason[:_CAUSE_CHARACTERS]}")


def _fields(row: JournalRow, published_at: str) -> dict[Any, Any]:
    """The entry of a row: flat fields to filter by, and the whole event."""
    stamp = b'{"seq":%d,"published_at":"%s"' % (row.seq, published_at.encode())
    rest = row.body[1:]
    return {
        "id": row.event_id,
        "seq": row.seq,
        "schema": row.schema,
        "time": row.time,
        "unit_id": row.unit_id,
        "result": row.result,
        # The body is spliced, not parsed: exactly what was journaled is published.
        "data": stamp + (rest if rest == b"}" else b"," + rest),
    }


def read_memory(told: Mapping[str, Any]) -> Memory | None:
    """Read INFO's lines about memory; None if a substitute for Redis has none."""
    if "used_memory" not in told:
        return None
    # Buffers for the append-only file and for replicas do not count against the limit.
    uncounted = int(told.get("mem_not_counted_for_evict", 0))
    return Memory(
        used_bytes=max(0, int(told["used_memory"]) - uncounted),
        limit_bytes=int(told.get("maxmemory", 0)),
    )


def read_tip(reply: Any) -> Tip:
    """Read XINFO STREAM's reply, or its refusal: there is no stream."""
    if isinstance(reply, exceptions.RedisError):
        if "no such key" in str(reply):
            return NO_STREAM
        raise reply
    last_id = StreamId.parse(_text(reply["last-generated-id"]))
    entry = reply["last-entry"]
    if not entry:
        return Tip(last_id=last_id)
    entry_id, fields = entry
    event_id, seq = fields.get(b"id"), _text(fields.get(b"seq", b""))
    return Tip(
        last_id=last_id,
        event_id=_text(event_id) if event_id and _text(entry_id) == str(last_id) else None,
        # Longer ones were typed by a person, and int() raises from 4301 digits on.
        seq=int(seq) if seq.isascii() and seq.isdecimal() and len(seq) <= _SEQ_DIGITS else None,
    )


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
