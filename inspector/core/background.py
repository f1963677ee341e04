"""Runs servers beside the pipeline: started before it, ended after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from inspector.core.errors import ConfigurationError

log = structlog.get_logger("service")


@asynccontextmanager
async def background(
    work: Coroutine[Any, Any, None], *, name: str
) -> AsyncIterator[asyncio.Task[None]]:
    """Run something beside the body of a `with`; cancelled, and waited for, at its end."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background service failed", service=name, error=error)


async def ready_or_failed(ready: Coroutine[Any, Any, None], running: asyncio.Task[None]) -> None:
    """Wait for a server to be ready; its own failure is the better message."""
    waiting = asyncio.create_task(ready)
    try:
        await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            raise ConfigurationError(f"{running.get_name()} ended before it was ready")
        waiting.result()
    finally:
        waiting.cancel()
