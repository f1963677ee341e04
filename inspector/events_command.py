"""What `inspector events` prints: the reference consumer, for people and for pipes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Literal

import orjson
from rich.console import Console

from inspector.cfx import units_inspected
from inspector.consumer import Gap, Group, ReceivedEvent, read_events
from inspector.errors import ConfigurationError
from inspector.redis_client import EXPECTED_URL
from inspector.settings import Settings

Form = Literal["text", "json", "cfx"]


async def show_events(
    settings: Settings,
    stream: str,
    *,
    group: str | None,
    follow: bool,
    form: Form,
    redis_url: str | None,
) -> None:
    """Print a stream's events as they are read; notices about gaps go to standard error.

    Raises:
        ConfigurationError: the settings name the embedded Redis, whose address only its own
            process knows, and no other was given.
        SinkUnavailableError: Redis is away, and nobody asked to follow.

    """
    if redis_url is None and settings.redis.is_embedded:
        raise ConfigurationError(
            'redis.url is "embedded": its address changes; give --redis-url as the service logs it'
        )
    try:
        await _show(
            read_events(
                redis_url or settings.redis.address(),
                station_id=settings.station.id,
                stream=stream,
                password=settings.redis.secret(),
                group=Group(name=group) if group else None,
                follow=follow,
            ),
            form=form,
        )
    except ConfigurationError:
        if redis_url is None:
            raise
        # Not quoted: it may hold a password.
        raise ConfigurationError(f"--redis-url: cannot be read; expected {EXPECTED_URL}") from None


async def _show(reading: AsyncIterator[ReceivedEvent | Gap], *, form: Form) -> None:
    notices = Console(stderr=True, highlight=False)
    async for item in reading:
        if isinstance(item, Gap):
            notices.print(
                f"gap: expected seq {item.expected_seq}, found {item.found_seq} "
                f"({item.missing} missing)",
                style="red",
            )
        elif form != "text":
            content = item.body if form == "json" else units_inspected(item.body)
            sys.stdout.buffer.write(orjson.dumps(content) + b"\n")
            sys.stdout.buffer.flush()
        else:
            sys.stdout.write(_line(item) + "\n")
            sys.stdout.flush()


def _line(event: ReceivedEvent) -> str:
    body = event.body
    if "fault" in body:
        what = f"{body['fault']} {body['subject']}: {body['cause']}"
    elif "unit_event_id" in body and "defect_id" in body:
        what = body["code"] or "the unit"
    elif "defect" in body:
        what = f"{body['defect']['code']} {body['defect']['confidence']:.2f}"
    else:
        what = body["reason"] or ", ".join(d["code"] for d in body["defects"])
    return f"{event.seq:>8}  {event.time}  {event.unit_id:<18} {event.result:<13} {what}".rstrip()
