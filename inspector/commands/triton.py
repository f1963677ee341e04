"""`inspector triton`: the embedded server by itself, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inspector.core.errors import InspectorError
from inspector.core.paths import find
from inspector.embedded.triton.process import TritonPorts
from inspector.embedded.triton.server import EmbeddedTriton

READY_TIMEOUT_S = 900.0


async def serve_triton(
    repository: Path, *, grpc: int, http: int, metrics: int, report: Callable[[str], None]
) -> None:
    """Serve the repository in the foreground; a port of 0 takes a free one.

    Raises:
        ConfigurationError: a port is taken, or the server refuses the repository.

    """
    ports = TritonPorts(grpc=grpc, http=http, metrics=metrics)
    server = EmbeddedTriton(find(repository), ports=ports, report=report)
    running = asyncio.create_task(server.run(), name="triton")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    announcing = asyncio.create_task(_announce(server, report))
    try:
        with suppress(asyncio.CancelledError):
            await running
    finally:
        announcing.cancel()
        await asyncio.wait([announcing])


async def _announce(server: EmbeddedTriton, report: Callable[[str], None]) -> None:
    try:
        await server.wait_ready(READY_TIMEOUT_S)
    except InspectorError:
        return  # the server's own task reports it
    report(f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, metrics {server.metrics_url}")
