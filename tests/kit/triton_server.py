"""A real Triton server for tests; imports nothing of pytest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from inspector.embedded.triton.process import TritonPorts
from inspector.embedded.triton.server import EmbeddedTriton

MODEL_REPOSITORY = Path(__file__).parents[2] / "model_repository"
# The first one installs the server: about 100 MB.
READY_TIMEOUT_S = 240.0


@asynccontextmanager
async def embedded_triton(
    repository: Path = MODEL_REPOSITORY,
    *,
    ports: TritonPorts | None = None,
    models: Sequence[str] | None = None,
    one_graph: bool = True,
    timeout_s: float = READY_TIMEOUT_S,
) -> AsyncIterator[EmbeddedTriton]:
    """Yield a server whose models are ready; on leaving, it is gone.

    Raises whatever `EmbeddedTriton.wait_ready` raises.
    """
    triton = EmbeddedTriton(repository, ports=ports, models=models, one_graph=one_graph)
    running = asyncio.create_task(triton.run(), name="triton")
    try:
        await triton.wait_ready(timeout_s)
        yield triton
    finally:
        running.cancel()
        # A refusal was raised by wait_ready already.
        await asyncio.gather(running, return_exceptions=True)


@contextmanager
def embedded_triton_in_background(
    repository: Path = MODEL_REPOSITORY,
    *,
    one_graph: bool = True,
    timeout_s: float = READY_TIMEOUT_S,
) -> Iterator[EmbeddedTriton]:
    """Yield the same to code without an event loop, which a thread of its own provides.

    Read its URLs and `process_id`; everything else belongs to that thread.
    """
    serving: Future[EmbeddedTriton] = Future()
    stop: Future[None] = Future()

    async def serve() -> None:
        async with embedded_triton(repository, one_graph=one_graph, timeout_s=timeout_s) as triton:
            serving.set_result(triton)
            await asyncio.wrap_future(stop)

    def body() -> None:
        try:
            asyncio.run(serve(), debug=True)
        except Exception as failed:
            if serving.done():
                raise
            serving.set_exception(failed)

    thread = threading.Thread(target=body, name="triton")
    thread.start()
    try:
        yield serving.result()
    finally:
        with suppress(Exception):
            stop.set_result(None)
        thread.join()
