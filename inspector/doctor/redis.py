"""Checks Redis: our rights, its persistence, and its clock."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis import exceptions

from inspector.core.errors import ConfigurationError
from inspector.core.records import Stream
from inspector.doctor.findings import Finding, Mark
from inspector.doctor.redis_readers import check_readers
from inspector.doctor.redis_room import WHAT, check_room
from inspector.doctor.redis_trials import Problem, problems_of
from inspector.embedded.redis.server import find_redis_server
from inspector.journal.station_time import MS_PER_S, TOLERANCE_MS
from inspector.publish.sinks.redis_streams import stream_key
from inspector.redis_io.client import redis_client
from inspector.redis_io.rights import station_user
from inspector.settings.settings import Settings

CLOCK_TOLERANCE_S = 2.0
FAULT_S = TOLERANCE_MS / MS_PER_S

_SEPARATES_READING = 7
"""From this version of Redis on, a user may be allowed to read a key without writing it."""
_NAMED_PROBLEMS = 6


async def check_redis(settings: Settings) -> list[Finding]:
    """Ask the Redis of the settings; writes nothing, never raises for what it finds."""
    redis = settings.redis
    key = stream_key(settings.station.id, Stream.UNITS)
    try:
        if redis.is_embedded:
            return [_embedded(settings)]
        client = redis_client(
            redis.address(), password=redis.secret(), timeout_s=2.0, connect_timeout_s=2.0, key=key
        )
    except ConfigurationError as error:
        return [_unfit_redis(str(error), "correct redis.url")]
    try:
        findings = [await _stream(client, key, settings)]
        if findings[0].mark is Mark.OK:
            findings.append(await _asked("redis eviction", client.info("memory"), _eviction))
            findings.append(await _room(client, settings))
            findings.append(await check_readers(settings))
            findings.append(
                await _asked("redis persistence", client.info("persistence"), _persistence)
            )
            findings.append(await _permission(client, settings))
            findings.append(await _asked("redis clock", client.time(), _redis_clock))
    except (exceptions.RedisError, OSError) as error:
        return [
            _unfit_redis(
                str(error),
                'start Redis there, correct redis.url, or set it to "embedded" to try it out',
            )
        ]
    finally:
        await client.aclose()
    return findings


def _embedded(settings: Settings) -> Finding:
    """Suitable for a demo only: it is on this disk, only this machine reaches it, and it is old."""
    real = [
        camera
        for camera, of in settings.cameras.items()
        if not (of.source.traits.simulated or of.source.traits.replayed)
    ]
    return Finding(
        what="redis",
        mark=Mark.WARN if real else Mark.OK,
        found=f"embedded: {find_redis_server()}",
        advice=f"only for demo and tests, and camera {real[0]} is real: run a Redis of your own"
        " (deploy/redis) and name it in redis.url"
        if real
        else "",
    )


def _unfit_redis(found: str, advice: str) -> Finding:
    return Finding(what="redis", mark=Mark.FAIL, found=found, advice=advice)


async def _room(client: Any, settings: Settings) -> Finding:
    try:
        return await check_room(client, settings)
    except exceptions.ResponseError as error:  # its rights are among those tried below
        return _not_asked(WHAT, error)


async def _stream(client: Any, key: str, settings: Settings) -> Finding:
    """Read the station's stream, which the service must be allowed to do in any case."""
    try:
        length = (await client.xinfo_stream(key))["length"]
    except exceptions.AuthenticationError as error:
        advice = "correct redis.password and redis.username, or the user in Redis"
        return _unfit_redis(f"it refused user name or password: {error}", advice)
    except exceptions.NoPermissionError as error:
        return _unfit_redis(str(error), await _acl_advice(client, settings))
    except exceptions.ResponseError as error:
        if "no such key" not in str(error):
            return _unfit_redis(str(error), f"is {key} in use for something else?")
        return Finding(what="redis", mark=Mark.OK, found=f"answers; {key} is new")
    return Finding(what="redis", mark=Mark.OK, found=f"answers; {key} has {length} entries")


async def _asked(what: str, reply: Awaitable[Any], judge: Callable[[Any], Finding]) -> Finding:
    try:
        return judge(await reply)
    except exceptions.ResponseError as error:
        return _not_asked(what, error)


def _not_asked(what: str, error: Exception) -> Finding:
    """Not allowed for this user, or removed by the provider: the service works without it."""
    return Finding(
        what=what,
        mark=Mark.WARN,
        found=f"could not be asked: {error}",
        advice="look yourself, or allow this user +info and +time",
    )


def _eviction(memory: dict[str, Any]) -> Finding:
    policy, limit = str(memory.get("maxmemory_policy", "?")), int(memory.get("maxmemory", 0))
    # The volatile policies delete only keys with an expiry date, and streams have none.
    mark = Mark.OK
    if policy != "noeviction" and not policy.startswith("volatile-"):
        mark = Mark.FAIL if limit else Mark.WARN
    return Finding(
        what="redis eviction",
        mark=mark,
        found=f"{policy}, maxmemory {limit}",
        advice=""
        if mark is Mark.OK
        else "set maxmemory-policy noeviction: Redis deletes whole streams once memory is full",
    )


def _persistence(persistence: dict[str, Any]) -> Finding:
    appends = bool(int(persistence.get("aof_enabled", 0)))
    return Finding(
        what="redis persistence",
        mark=Mark.OK if appends else Mark.WARN,
        found="append-only file on" if appends else "append-only file off",
        advice=""
        if appends
        else "set appendonly yes and appendfsync always; "
        "a Redis that comes back empty is refilled from the journal's retention",
    )


async def _permission(client: Any, settings: Settings) -> Finding:
    """Try everything that the service will do."""
    what = "redis permission"
    station_id = settings.station.id
    reads_triggers = any(c.trigger == "external" for c in settings.cameras.values())
    problems = await problems_of(client, station_id, reads_triggers=reads_triggers)
    name = await _user_name(client, settings)
    if not problems:
        key = stream_key(station_id, Stream.UNITS)
        found = f"user {name} may write {key}, and all else that the service does"
        return Finding(what=what, mark=Mark.OK, found=found)
    told = [f"{p.command} {p.key}".strip() + f": {p.error}" for p in problems]
    more = f"; and {len(told) - _NAMED_PROBLEMS} more" if len(told) > _NAMED_PROBLEMS else ""
    return Finding(
        what=what,
        mark=Mark.FAIL if any(p.is_needed for p in problems) else Mark.WARN,
        found=f"user {name} cannot do " + "; ".join(told[:_NAMED_PROBLEMS]) + more,
        advice=await _advice_on(problems, client, settings),
    )


async def _advice_on(problems: list[Problem], client: Any, settings: Settings) -> str:
    advice = []
    if missing := sorted({p.command.upper() for p in problems if p.is_missing}):
        names = ", ".join(missing)
        advice.append(f"this Redis lacks {names}: the service needs one that has it")
    if any(p.is_denied for p in problems):
        advice.append(await _acl_advice(client, settings))
    if not advice:
        advice.append("make Redis take writes: memory, disk, replicas, or what the key holds")
    return "; ".join(advice)


async def _acl_advice(client: Any, settings: Settings) -> str:
    """The line of deploy/redis/users.acl, for this station and this user."""
    name = await _user_name(client, settings)
    line = station_user(
        settings.station.id,
        user=name,
        password="#HASH-OF-ITS-PASSWORD",  # noqa: S106 - a placeholder
        separates_reading=await _version(client) >= _SEPARATES_READING,
        in_cluster="+cluster://" in settings.redis.url.get_secret_value(),
    )
    return f"give this user the line of deploy/redis/users.acl: {line}"


async def _user_name(client: Any, settings: Settings) -> str:
    try:
        return _text(await client.execute_command("ACL", "WHOAMI"))
    except exceptions.ResponseError:
        url_user = client.connection_pool.connection_kwargs.get("username")
        return str(settings.redis.username or url_user or "default")


async def _version(client: Any) -> int:
    """The version of Redis, if it says; every user may ask with HELLO, if it exists."""
    try:
        reply = await client.execute_command("HELLO")
        fields = [_text(part) for part in reply]
        told = dict(zip(fields[::2], fields[1::2], strict=True))
        return int(told["version"].partition(".")[0])
    except (exceptions.ResponseError, KeyError, ValueError, TypeError):
        return _SEPARATES_READING


def _text(reply: object) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)


def _redis_clock(clock: tuple[int, int]) -> Finding:
    ahead_s = clock[0] + clock[1] / 1e6 - time.time()
    good = abs(ahead_s) <= CLOCK_TOLERANCE_S
    return Finding(
        what="redis clock",
        mark=Mark.OK if good else Mark.WARN if abs(ahead_s) <= FAULT_S else Mark.FAIL,
        found=f"{ahead_s:+.2f} s from ours",
        advice="" if good else "synchronise both machines (NTP): events carry our time",
    )
