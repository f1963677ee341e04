"""Finds Triton and Redis as the settings name them; starts embedded ones first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from inspector.core.background import background, ready_or_failed
from inspector.core.paths import find
from inspector.embedded.redis.server import EmbeddedRedis
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED

EMBEDDED_READY_TIMEOUT_S = 900.0
"""The first start installs the server."""


class ToldToStopError(Exception):
    """A stop was requested before anything ran that would have to drain."""


async def start_triton(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    report: Callable[[str], None],
    stop: asyncio.Event | None = None,
    makes_folders: bool = True,
) -> str:
    """Return the address of Triton; an embedded one lives as long as the stack.

    `makes_folders` is False for checks: the folders would belong to the wrong user.

    Raises:
        ConfigurationError: it cannot be had on this machine, or refused to start.
        ToldToStopError: `stop` was set before it was ready.

    """
    inference = settings.inference
    if inference.url != EMBEDDED:
        return inference.url
    repository = find(inference.repository)
    # A missing model is not a reason to stop: the server lists its models at the connection.
    models = [inference.model] if (repository / inference.model).is_dir() else None
    taught = settings.taught_models_directory
    server = EmbeddedTriton(
        repository,
        models=models,
        report=report,
        taught=taught if makes_folders or taught.is_dir() else None,
    )
    running = await stack.enter_async_context(background(server.run(), name="triton"))
    await _ready(server.wait_ready(EMBEDDED_READY_TIMEOUT_S), running, stop or asyncio.Event())
    return server.grpc_url


async def start_redis(settings: Settings, stack: AsyncExitStack, *, stop: asyncio.Event) -> str:
    """Return the URL of Redis; an embedded one lives as long as the stack.

    Raises:
        ConfigurationError: there is no redis-server.
        ToldToStopError: `stop` was set before it was ready.

    """
    redis = settings.redis
    if not redis.is_embedded:
        return redis.address()
    server = EmbeddedRedis(settings.journal.directory / "redis")
    running = await stack.enter_async_context(background(server.run(), name="redis"))
    await _ready(server.wait_ready(), running, stop)
    return server.url


async def _ready(
    ready: Coroutine[Any, Any, None], running: asyncio.Task[None], stop: asyncio.Event
) -> None:
    """Wait for a server of ours, which may be installing itself for minutes."""
    starting = asyncio.create_task(ready_or_failed(ready, running))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            raise ToldToStopError
        starting.result()
    finally:
        stopping.cancel()
        starting.cancel()
        await asyncio.wait([stopping, starting])
