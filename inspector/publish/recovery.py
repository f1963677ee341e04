"""Recovers unit numbers from Redis if the journal is new or was damaged."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import structlog

from inspector.core.errors import SinkUnavailableError
from inspector.core.records import CameraId, Stream, unit_counter
from inspector.journal.journal import Journal
from inspector.publish.sinks.redis_streams import RedisStreamWriter

NEWEST_UNITS = 2000
"""How many of the last unit events are searched for the number that each camera had reached."""
LARGEST_NUMBER = 2**53

log = structlog.get_logger(__name__)


LOST = (
    "the journal is new, and Redis has events of this station: what Redis had not taken is lost,"
    " and triggers that came meanwhile are not answered. A new PC, or a journal that was removed"
)


async def recover_unit_numbers(journal: Journal, writer: RedisStreamWriter) -> str | None:
    """If the journal is new, continue the numbers of units from the end of Redis's stream.

    Reports what is lost with a journal that was removed. Never raises if Redis is away: a line does
    not wait for a number.
    """
    if not journal.is_new:
        return None
    try:
        bodies = await writer.newest(Stream.UNITS, NEWEST_UNITS)
    except SinkUnavailableError as error:
        log.warning("unit numbers may begin again", cause=str(error))
        return None
    if numbers := last_numbers(bodies):
        await journal.raise_counters({unit_counter(CameraId(c)): n for c, n in numbers.items()})
        log.info("unit numbers go on after those in Redis", numbers=numbers)
    # Where a damaged one was set aside, that was reported.
    return LOST if numbers and journal.set_aside is None else None


def last_numbers(bodies: Iterable[bytes]) -> dict[str, int]:
    """The largest unit number of each camera in these unit events; anything else is skipped."""
    numbers: dict[str, int] = {}
    for body in bodies:
        try:
            event = orjson.loads(body)
            camera, number = event["camera"], event["unit"]["number"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
        if isinstance(camera, str) and type(number) is int and 0 < number < LARGEST_NUMBER:
            numbers[camera] = max(number, numbers.get(camera, 0))
    return numbers
