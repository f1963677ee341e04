"""A firewall that forgets connections on which nothing was sent for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class ForgetfulFirewall:
    """Passes bytes on, both ways; what comes over a forgotten connection is dropped silently."""

    def __init__(self, target: str, *, forgets_after_s: float) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._forgets_after_s = forgets_after_s
        self.url = ""
        self.forgotten = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        heard = [time.monotonic(), False]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if time.monotonic() - heard[0] > self._forgets_after_s and not heard[1]:
                    heard[1] = True
                    self.forgotten += 1
                if heard[1]:
                    continue
                heard[0] = time.monotonic()
                sink.write(data)
                await sink.drain()

        try:
            with suppress(OSError):
                await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            for one in (writer, far_writer):
                one.transport.abort()


@asynccontextmanager
async def behind_firewall(
    target: str, *, forgets_after_s: float
) -> AsyncIterator[ForgetfulFirewall]:
    """On a port of its own."""
    wall = ForgetfulFirewall(target, forgets_after_s=forgets_after_s)
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(wall.serve(reader, writer), name="firewall")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    wall.url = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wall
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # so that what was aborted is closed
