"""Looks at Redis: may we write, will it keep what it was given, does its clock agree."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis import exceptions

from inspector.doctor.findings import Finding, Mark
from inspector.doctor.redis_readers import look_at_readers
from inspector.doctor.redis_room import look_at_room
from inspector.errors import ConfigurationError
from inspector.publish.embedded_redis import find_redis_server
from inspector.publish.station_time import MS_PER_S, TOLERANCE_MS
from inspector.redis_client import redis_client
from inspector.settings import Settings

CLOCK_TOLERANCE_S = 2.0
FAULT_S = TOLERANCE_MS / MS_PER_S

_ACL_ADVICE = (
    "allow this user ~{key} and +xadd +xinfo +xrange +xrevrange +xtrim +watch +multi +exec +ping"
)


async def look_at_redis(settings: Settings) -> list[Finding]:
    """Ask the Redis of the settings; writes nothing, never raises for what it finds."""
    redis = settings.redis
    key = f"inspector:{{{settings.station.id}}}:units"
    try:
        if redis.is_embedded:
            return [Finding(what="redis", mark=Mark.OK, found=f"embedded: {find_redis_server()}")]
        client = redis_client(
            redis.address(), password=redis.secret(), timeout_s=2.0, connect_timeout_s=2.0, key=key
        )
    except ConfigurationError as error:
        return [_unfit_redis(str(error), "correct redis.url")]
    try:
        findings = [await _stream(client, key)]
        if findings[0].mark is Mark.OK:
            findings.append(await _asked("redis eviction", client.info("memory"), _eviction))
            findings.append(await look_at_room(client, settings))
            findings.append(await look_at_readers(settings))
            findings.append(
                await _asked("redis persistence", client.info("persistence"), _persistence)
            )
            findings.append(await _permission(client, key))
            findings.append(await _asked("redis clock", client.time(), _redis_clock))
    except (exceptions.RedisError, OSError) as error:
        return [_unfit_redis(str(error), "start Redis there, or correct redis.url")]
    finally:
        await client.aclose()
    return findings


def _unfit_redis(found: str, advice: str) -> Finding:
    return Finding(what="redis", mark=Mark.FAIL, found=found, advice=advice)


async def _stream(client: Any, key: str) -> Finding:
    """Read the station's stream, which the service must be allowed to in any case."""
    try:
        length = (await client.xinfo_stream(key))["length"]
    except exceptions.AuthenticationError as error:
        advice = "correct redis.password and redis.username, or the user in Redis"
        return _unfit_redis(f"it refused user name or password: {error}", advice)
    except exceptions.NoPermissionError as error:
        return _unfit_redis(str(error), _ACL_ADVICE.format(key=key))
    except exceptions.ResponseError as error:
        if "no such key" not in str(error):
            return _unfit_redis(str(error), f"is {key} in use for something else?")
        return Finding(what="redis", mark=Mark.OK, found=f"answers; {key} is new")
    return Finding(what="redis", mark=Mark.OK, found=f"answers; {key} has {length} entries")


async def _asked(what: str, reply: Awaitable[Any], judge: Callable[[Any], Finding]) -> Finding:
    try:
        return judge(await reply)
    except exceptions.NoPermissionError as error:
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


async def _permission(client: Any, key: str) -> Finding:
    what = "redis permission"
    try:
        user = await client.execute_command("ACL", "WHOAMI")
        name = user.decode() if isinstance(user, bytes) else str(user)
        verdict = await client.execute_command(
            "ACL", "DRYRUN", name, "XADD", key, "*", "field", "value"
        )
    except exceptions.ResponseError:
        # Before Redis 7 nothing can be tried without being done; a user may also not be allowed
        # to ask.
        return Finding(what=what, mark=Mark.OK, found="could not be asked")
    good = verdict in (b"OK", "OK", True)
    return Finding(
        what=what,
        mark=Mark.OK if good else Mark.FAIL,
        found=f"user {name} may write {key}" if good else _text(verdict),
        advice="" if good else _ACL_ADVICE.format(key=key),
    )


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
