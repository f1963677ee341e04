"""How every part of this project talks to Redis: no silent retries, and cancellable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from inspector.errors import ConfigurationError


def redis_client(
    url: str, *, password: str | None, timeout_s: float, connect_timeout_s: float
) -> Redis:
    """A client that tries everything once; connects to nothing yet.

    redis-py's defaults send an XADD again whose reply was late, which writes it twice, and wait
    for seconds before they say that a server is down.

    Raises:
        ConfigurationError: the URL is not one of Redis's.

    """
    try:
        return Redis.from_url(
            url,
            password=password,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=connect_timeout_s,
            health_check_interval=15,
        )
    except ValueError as error:
        # The reason may quote the URL, and the URL may hold a password.
        raise ConfigurationError(
            "redis.url: cannot be read; expected redis://HOST:PORT/DB, rediss:// or unix://"
        ) from error


@contextmanager
def cancellable() -> Iterator[None]:
    """Wrap calls of redis.asyncio: a cancellation that arrives inside them is not lost.

    redis-py 8.1 sends through asyncio.wait_for, which in Python 3.11 drops a cancellation that
    comes when the sending is just done (11 of 60 moments tried while connecting): a task that
    was told to end would run on for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
