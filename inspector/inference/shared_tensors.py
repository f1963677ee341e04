"""Lets the server read our tensors in shared memory, if it is on this machine."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import structlog
from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError
from inspector.core.records import TensorLease
from inspector.flow.tensor_pool import TensorBlock, give_up_segment_of_the_dead
from inspector.inference.connection import login_of, server_words
from inspector.settings.sections import InferenceSettings

log = structlog.get_logger("triton")

LEAVE_TIMEOUT_S = 0.5
"""The time-out of calls to a server that may be gone."""


class SharedTensors:
    """Which blocks of tensors the server has mapped on this connection. Event loop only.

    A lease whose block is not mapped goes inline, whatever the others do: nothing depends on the
    server mapping a block in time.
    """

    def __init__(self, inference: InferenceSettings, url: str) -> None:
        self._inference = inference
        self._url = url
        self._regions: dict[str, str] = {}
        """The registered name of each block, by its key."""
        self._leaving: set[asyncio.Task[None]] = set()
        self._call = {
            "headers": login_of(inference),
            "client_timeout": inference.connect_timeout_s,
        }

    @property
    def is_sharing(self) -> bool:
        """Whether tensors go through shared memory on this connection."""
        return bool(self._regions)

    def region_of(self, tensor: TensorLease) -> str | None:
        """The server's name for the block of this tensor; None if it has not mapped it."""
        return None if tensor.key is None else self._regions.get(tensor.key)

    async def begin(self, client: Any, block: TensorBlock | None) -> None:
        """Begin a connection: ask the server to map this block.

        Raises:
            ConfigurationError: `inference.tensors` insists on it and it cannot be.

        """
        self._regions = {}
        why_not = await self._register(client, block)
        if not why_not:
            await self._unmap_regions_of_the_dead(client)

    async def add(self, client: Any, block: TensorBlock) -> None:
        """Replace the present block by a larger one; see `begin`."""
        await self._register(client, block)

    async def _register(self, client: Any, block: TensorBlock | None) -> str:
        why_not = await self._try_to_register(client, block)
        if why_not and self._inference.tensors == "shared_memory":
            raise ConfigurationError(f"inference.tensors is shared_memory, but {why_not}")
        megabytes = round(block.size_bytes / 1e6, 1) if block else 0.0
        if why_not:
            log.info("tensors go inline", reason=why_not, url=self._url, mb=megabytes)
        else:
            key = block.key if block else None
            log.info("tensors go through shared memory", region=key, url=self._url, mb=megabytes)
        return why_not

    async def _try_to_register(self, client: Any, block: TensorBlock | None) -> str:
        """Why the server does not read from this block, or ""."""
        if self._inference.tensors == "inline":
            return "inference.tensors asks for it"
        if block is None or block.key is None:
            return "no shared memory could be had on this machine"
        name = block.key.strip("/")
        with suppress(InferenceServerException):  # registered by an earlier connection
            await client.unregister_system_shared_memory(name, **self._call)
        try:
            await client.register_system_shared_memory(
                name, block.key, block.size_bytes, **self._call
            )
        except InferenceServerException as refusal:
            return f"the server cannot open ours: {server_words(refusal)}"
        self._regions[block.key] = name
        return ""

    async def _unmap_regions_of_the_dead(self, client: Any) -> None:
        """Have the server let go of what killed services registered, or it keeps their memory."""
        mine = set(self._regions.values())
        with suppress(InferenceServerException):  # it does not answer; nothing is lost by that
            status = await client.get_system_shared_memory_status(**self._call)
            dead = [n for n in status.regions if n not in mine and give_up_segment_of_the_dead(n)]
            for name in dead:
                await client.unregister_system_shared_memory(name, **self._call)
            if dead:
                log.info("the server gave back memory of services that were killed", regions=dead)

    def give_up_once_home(self, client: Any, block: TensorBlock) -> None:
        """Have the server let go of a block, and close it, once no lease of it is out."""

        async def leave() -> None:
            await block.is_home.wait()
            await self.give_up(client, block)

        leaving = asyncio.create_task(leave(), name="inference/old-tensors")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def give_up(self, client: Any, block: TensorBlock) -> None:
        """Have the server let go of a block, and close it; never raises."""
        name = self._regions.pop(block.key, None) if block.key else None
        block.close()
        if name is not None:
            await self._unregister(client, name)

    async def end(self, client: Any) -> None:
        """The connection ends; never raises."""
        for leaving in tuple(self._leaving):
            leaving.cancel()
        regions, self._regions = self._regions, {}
        for name in regions.values():
            await self._unregister(client, name)

    async def _unregister(self, client: Any, name: str) -> None:
        with suppress(Exception):
            await client.unregister_system_shared_memory(name, client_timeout=LEAVE_TIMEOUT_S)
