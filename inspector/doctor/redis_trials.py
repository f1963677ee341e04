"""Tries in Redis every command on every key that the service will use, and changes nothing.

The writes are made impossible: Redis refuses an entry ID of 0-0, but only after it has checked
whether this user may write this key, whether it has memory left, and whether its disk accepts
writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis import exceptions

from inspector.core.records import Stream
from inspector.publish.sinks.redis_streams import stream_key
from inspector.redis_io.rights import COMMANDS, REFUSALS, station_key
from inspector.triggers.external.worker import refusals_key, triggers_key

_IMPOSSIBLE_ID = "0-0"
_DONE_ALL_THE_SAME = ("no such key", "must be greater than 0-0", "NOGROUP", "No such key")
"""What Redis answers once everything else was checked."""
_NO_GROUP = "inspector-check"
_ATTEMPTS = 5
"""A running service may write between WATCH and EXEC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A command that does not work."""

    command: str
    key: str
    """Empty for a command without one."""
    error: str
    is_needed: bool
    """Whether the service cannot work without it; otherwise it does less."""

    @property
    def is_missing(self) -> bool:
        """Whether this Redis lacks the command, for example because a provider removed it."""
        return "unknown command" in self.error.lower() or "unknown subcommand" in self.error.lower()

    @property
    def is_denied(self) -> bool:
        """Whether the user lacks the right."""
        return "NOPERM" in self.error or "permission" in self.error.lower()


Call = Callable[[], Awaitable[Any]]


async def problems_of(client: Any, station_id: str, *, reads_triggers: bool) -> list[Problem]:
    """What the service would not be able to do.

    Raises:
        redis.exceptions.ConnectionError: Redis went away.

    """
    trials = _Trials(client)
    await trials.add("ping", "", client.ping)
    await trials.add("multi", "", lambda: _begin(client))
    for stream in Stream:
        await _publishing(trials, stream_key(station_id, stream))
    await trials.add("time", "", client.time, is_needed=reads_triggers)
    if reads_triggers:
        await _triggers(trials, station_id)
    # A station that gets no commands does not need it.
    await _reading(trials, station_key(station_id, COMMANDS), is_needed=False)
    return trials.problems


class _Trials:
    """Makes calls one after the other, and keeps what went wrong."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.problems: list[Problem] = []

    async def add(self, command: str, key: str, call: Call, *, is_needed: bool = True) -> None:
        try:
            await call()
        except exceptions.ConnectionError:
            raise
        except exceptions.RedisError as error:
            if not any(said in str(error) for said in _DONE_ALL_THE_SAME):
                self.problems.append(
                    Problem(command=command, key=key, error=_brief(error), is_needed=is_needed)
                )


async def _publishing(trials: _Trials, key: str) -> None:
    client = trials.client
    await trials.add("xinfo|stream", key, lambda: client.xinfo_stream(key))
    await trials.add("xrange", key, lambda: client.xrange(key, "0-1", "0-1"))
    await trials.add("xrevrange", key, lambda: client.xrevrange(key, count=1))
    await trials.add("xtrim", key, lambda: client.xtrim(key, minid="0-0", approximate=True))
    await trials.add("xadd", key, lambda: client.xadd(key, {"id": ""}, id=_IMPOSSIBLE_ID))
    await trials.add("watch", key, lambda: _watch(client, key))
    if not any(problem.command in ("watch", "multi", "xadd") for problem in trials.problems):
        await trials.add("exec", key, lambda: _transaction(client, key))
    await trials.add("xinfo|groups", key, lambda: client.xinfo_groups(key), is_needed=False)
    await trials.add("xpending", key, lambda: client.xpending(key, _NO_GROUP), is_needed=False)


async def _triggers(trials: _Trials, station_id: str) -> None:
    client = trials.client
    await _reading(trials, triggers_key(station_id), is_needed=True)
    answers = refusals_key(station_id)
    await trials.add(
        "xadd",
        answers,
        lambda: client.xadd(answers, {REFUSALS: ""}, id=_IMPOSSIBLE_ID),
        is_needed=False,
    )


async def _reading(trials: _Trials, key: str, *, is_needed: bool) -> None:
    """A stream that others write."""
    client = trials.client
    for command, call in (
        ("xinfo|stream", lambda: client.xinfo_stream(key)),
        ("xread", lambda: client.xread({key: "$"}, 1, 1)),
        ("xrange", lambda: client.xrange(key, "0-1", "0-1")),
        ("xrevrange", lambda: client.xrevrange(key, count=1)),
    ):
        await trials.add(command, key, call, is_needed=is_needed)


async def _begin(client: Any) -> None:
    """Tried alone: where MULTI is refused, EXEC only reports that no transaction was begun."""
    async with client.client() as one:
        try:
            await one.execute_command("MULTI")
        finally:
            await one.connection.disconnect()  # no other caller gets it during this


async def _watch(client: Any, key: str) -> None:
    async with client.client() as one:
        await one.execute_command("WATCH", key)
        await one.execute_command("UNWATCH")


async def _transaction(client: Any, key: str) -> None:
    """Write as the service does: WATCH, read, add."""
    for _ in range(_ATTEMPTS):
        async with client.pipeline(transaction=True) as pipeline:
            await pipeline.watch(key)
            pipeline.multi()
            pipeline.xadd(key, {"id": ""}, id=_IMPOSSIBLE_ID)
            try:
                await pipeline.execute(raise_on_error=False)
            except exceptions.WatchError:
                continue
            return


def _brief(error: Exception) -> str:
    # A failed pipeline quotes its command before the reason.
    return str(error).rpartition("caused error: ")[2][:200]
