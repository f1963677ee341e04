"""Checks Redis's memory: will everything that is to be kept fit, at the rate so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis import exceptions

from inspector.core.entries import StreamGrowth, StreamId
from inspector.core.records import Stream
from inspector.doctor.findings import Finding, Mark
from inspector.journal.station_time import span
from inspector.publish.sinks.redis_streams import read_memory, stream_key
from inspector.redis_io.room import (
    HOLD_ABOVE,
    Memory,
    bytes_in_redis,
    expected_bytes,
    megabytes,
)
from inspector.settings.settings import Settings

WHAT = "redis memory"
_SAMPLE = 100
_SECONDS_PER_DAY = 86_400
_GOOD_UNIT_BYTES = bytes_in_redis(950)
"""Assumed size of a unit without defects, until one was seen."""


async def check_room(client: Any, settings: Settings) -> Finding:
    """Compare `maxmemory` with what the streams will take; writes nothing."""
    try:
        memory = read_memory(await client.info("memory"))
    except exceptions.ResponseError as error:
        return Finding(
            what=WHAT,
            mark=Mark.WARN,
            found=f"could not be asked: {error}",
            advice="allow this user +info: without it no room is left for triggers when it is full",
        )
    growths = [
        await _growth(client, stream_key(settings.station.id, stream))
        for stream in Stream
        if memory is not None
    ]
    # What the journal keeps is not trimmed from the streams either.
    retention_days = max(settings.redis.retention_days, settings.journal.retention_days)
    return judge(memory, growths, retention_days=retention_days)


def judge(memory: Memory | None, growths: list[StreamGrowth], *, retention_days: float) -> Finding:
    """The finding for these figures."""
    if memory is None or not memory.limit_bytes:
        used = "" if memory is None else f"{megabytes(memory.used_bytes)} used, "
        return Finding(what=WHAT, mark=Mark.OK, found=f"{used}no maxmemory")
    usable_bytes = HOLD_ABOVE * memory.limit_bytes
    found = f"{megabytes(memory.used_bytes)} of {megabytes(memory.limit_bytes)} used"
    raise_it = "raise maxmemory, or lower redis.retention_days"
    if memory.used_bytes >= usable_bytes:
        advice = f"{raise_it}: events wait in the journal, and the rest is left to triggers"
        return Finding(what=WHAT, mark=Mark.FAIL, found=found, advice=advice)
    retention_s = retention_days * _SECONDS_PER_DAY
    needed_bytes = None
    if sum(growth.entries for growth in growths) >= _SAMPLE:
        needed_bytes = expected_bytes(memory, growths, retention_s=retention_s, shortest_span_s=0.0)
    if needed_bytes is None:
        per_hour = (usable_bytes - memory.used_bytes) / _GOOD_UNIT_BYTES / retention_days / 24
        found += f"; enough for {retention_days:g} days of {per_hour:,.0f} good units an hour"
        return Finding(what=WHAT, mark=Mark.OK, found=found)
    so_far = span(round(1000 * max(growth.span_s for growth in growths)))
    found += f", {megabytes(needed_bytes)} with {retention_days:g} days at the pace of {so_far}"
    enough = needed_bytes < usable_bytes
    return Finding(
        what=WHAT,
        mark=Mark.OK if enough else Mark.WARN,
        found=found,
        advice=""
        if enough
        else f"{raise_it}: above {HOLD_ABOVE:.0%} events wait in the journal, unseen by the MES",
    )


async def _growth(client: Any, key: str) -> StreamGrowth:
    """The rate of a stream since its first entry, by its entry IDs."""
    try:
        info = await client.xinfo_stream(key)
        sample = await client.xrevrange(key, count=_SAMPLE)
    except exceptions.ResponseError:  # there is no such stream yet
        return StreamGrowth(entries=0, span_s=0.0, json_bytes=0.0, held=0)
    first, last = info["first-entry"], info["last-entry"]
    length = int(info["length"])
    span_ms = (_id(last).ms - _id(first).ms) if first and last else 0
    json_bytes = sum(_json_bytes(fields) for _, fields in sample) / max(1, len(sample))
    return StreamGrowth(entries=length, span_s=span_ms / 1000, json_bytes=json_bytes, held=length)


def _id(entry: Any) -> StreamId:
    return StreamId.parse(entry[0].decode() if isinstance(entry[0], bytes) else entry[0])


def _json_bytes(fields: Mapping[bytes, bytes]) -> int:
    return len(fields.get(b"data", b""))
