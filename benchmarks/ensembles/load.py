"""Requests to one variant: alone, several in flight, in batches; pictures lie in shared memory."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import shared_memory

from benchmarks.ensembles.pictures import SIZE_PX, Pictures

OUTPUTS = ("boxes", "scores", "classes", "count")
Reply = dict[str, NDArray[Any]]
_REGION = "pictures"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Figures:
    """What one variant did, a number per round or, for latencies, per request."""

    latency_ms: list[float] = field(default_factory=list)
    """Of single pictures, one at a time."""
    single_per_s: list[float] = field(default_factory=list)
    """Pictures per second in requests of one, eight in flight."""
    fours_per_s: list[float] = field(default_factory=list)
    """In requests of four, two in flight."""
    eights_per_s: list[float] = field(default_factory=list)
    """In requests of eight, two in flight."""
    server_cpu_ms: list[float] = field(default_factory=list)
    """CPU time of the server and its children per picture, eight singles in flight."""
    joined: list[float] = field(default_factory=list)
    """Pictures per execution of the network then."""


class Client:
    """Sends pictures that the server already sees. Event loop only."""

    def __init__(self, client: InferenceServerClient, server_pid: int, count: int) -> None:
        self._client = client
        self._server_pid = server_pid
        self._count = count

    async def infer(self, model: str, first: int, rows: int) -> Reply:
        """Detections of `rows` pictures from number `first` on; they must not pass the end."""
        picture_bytes = SIZE_PX * SIZE_PX * 3
        tensor = InferInput("image", [rows, SIZE_PX, SIZE_PX, 3], "UINT8")
        tensor.set_shared_memory(_REGION, rows * picture_bytes, first * picture_bytes)
        reply = await self._client.infer(model, [tensor])
        return {name: reply.as_numpy(name).copy() for name in OUTPUTS}

    async def replies(self, model: str) -> list[Reply]:
        """Detections of every picture, each asked for alone."""
        return [await self.infer(model, index, 1) for index in range(self._count)]

    async def round(self, model: str, network: str, pictures: int, figures: Figures) -> None:
        """Measure once: every load in turn."""
        for index in range(pictures // 2):
            started_s = time.perf_counter()
            await self.infer(model, index % self._count, 1)
            figures.latency_ms.append(1000 * (time.perf_counter() - started_s))
        cpu_s, runs = server_cpu_s(self._server_pid), await self._runs(network)
        figures.single_per_s.append(await self._speed(model, pictures, rows=1, in_flight=8))
        figures.server_cpu_ms.append(1000 * (server_cpu_s(self._server_pid) - cpu_s) / pictures)
        figures.joined.append(pictures / (await self._runs(network) - runs))
        figures.fours_per_s.append(await self._speed(model, pictures, rows=4, in_flight=2))
        figures.eights_per_s.append(await self._speed(model, pictures, rows=8, in_flight=2))

    async def _runs(self, network: str) -> int:
        statistics = await self._client.get_inference_statistics(network)
        return int(statistics.model_stats[0].execution_count)

    async def _speed(self, model: str, pictures: int, *, rows: int, in_flight: int) -> float:
        requests = iter(range(pictures // rows))

        async def one_lane() -> None:
            for number in requests:
                await self.infer(model, number * rows % (self._count - rows + 1), rows)

        started_s = time.perf_counter()
        await asyncio.gather(*(one_lane() for _ in range(in_flight)))
        return pictures // rows * rows / (time.perf_counter() - started_s)


@asynccontextmanager
async def connected(url: str, server_pid: int, pictures: Pictures) -> AsyncIterator[Client]:
    """A client of the server at `url`, to which the pictures were shown."""
    name = f"inspector-ensembles-{os.getpid()}"
    region = shared_memory.create_shared_memory_region(_REGION, f"/{name}", pictures.nbytes)
    try:
        shared_memory.set_shared_memory_region(region, [np.ascontiguousarray(pictures)])
        async with InferenceServerClient(url) as client:
            await client.register_system_shared_memory(_REGION, f"/{name}", pictures.nbytes)
            yield Client(client, server_pid, len(pictures))
            await client.unregister_system_shared_memory(_REGION)
    finally:
        shared_memory.destroy_shared_memory_region(region)


def server_cpu_s(pid: int) -> float:
    """User and system time of a process and of all that live below it."""
    spent_s = 0.0
    waiting = [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            threads = list((folder / "task").iterdir())
            waiting += [int(p) for t in threads for p in (t / "children").read_text().split()]
        except OSError:  # it has ended
            continue
        spent_s += (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return spent_s
