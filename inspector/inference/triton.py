"""Talks to Triton over gRPC: one bidirectional stream, or one call per request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import grpc
import structlog
from tritonclient.grpc import InferInput, InferResult
from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.records import Batch, EncodedBatch, ModelSpec, Reply
from inspector.flow.tensor_pool import (
    TensorPool,
    empty_tensor,
    give_up_segment_of_the_dead,
)
from inspector.inference.connection import connect_to, login_of
from inspector.inference.describing import describe_model
from inspector.inference.model_check import ModelDescription, check_model
from inspector.inference.reply_tensors import read_outputs
from inspector.settings.sections import InferenceSettings
from inspector.settings.settings import Settings

log = structlog.get_logger("triton")

TRIAL = "trial"
"""The request id of the picture that is sent at each connection, before any of a camera."""
TRIAL_TIMEOUT_S = 60.0
"""Then the connection is made anew; the server goes on building meanwhile."""
SLOW_TRIAL_S = 2.0

# Status codes with which a request, not the server, is at fault; every other one means that the
# server is away. Refused logins heal too: tokens are renewed while a line runs.
_REQUEST_AT_FAULT = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNKNOWN,
}
_REFUSALS = {str(code) for code in _REQUEST_AT_FAULT}


class TritonModel:
    """One model on one Triton server. Event loop only; one stream at a time.

    Every connection is a client of its own: a gRPC call that died keeps state in its channel.
    """

    def __init__(self, url: str, settings: Settings, tensors: TensorPool) -> None:
        self._url = url
        self._settings = settings
        self._inference = settings.inference
        self._tensors = tensors
        self._client: Any = None
        self._spec: ModelSpec | None = None
        self._described: ModelDescription | None = None
        self._region: str | None = None
        self._headers = login_of(self._inference)

    async def connect(self) -> ModelSpec:
        """Check the server and the model, shape the tensors for it, share them if possible.

        Returns once the model has answered a trial: an engine that is built at its first request
        takes minutes, in which its server calls it ready.

        Raises:
            InferenceUnavailableError: the server is away, or the model is not ready.
            ConfigurationError: the model is not what the settings say.

        """
        await self.close()
        self._client = connect_to(self._url, self._inference)
        try:
            self._described = await describe_model(self._client, self._inference)
            self._spec = check_model(self._described, self._settings)
            self._tensors.shape_for(self._spec.input)
            await self._share_tensors()
            await self._try_out(self._spec)
        except (InferenceServerException, grpc.RpcError) as error:
            raise InferenceUnavailableError(f"Triton at {self._url}: {_text(error)}") from error
        return self._spec

    async def compare(self, settings: Settings) -> None:
        """Whether the deployed model fits other settings; the connection is not touched.

        A server that is away is taken to have the model that it had.

        Raises:
            InferenceUnavailableError: it is away, and what it has is not known.
            ConfigurationError: the model would not fit them.

        """
        check_model(await self._described_for(settings.inference), settings)

    def change(self, settings: Settings) -> None:
        """Compare the model with these settings at the next connection.

        They differ from those before in nothing but what may change live.
        """
        self._settings = settings

    async def _described_for(self, inference: InferenceSettings) -> ModelDescription:
        client = connect_to(self._url, self._inference)
        try:
            return await describe_model(client, inference)
        except (InferenceServerException, grpc.RpcError, InferenceUnavailableError) as error:
            known = self._described
            named = (self._inference.model, self._inference.version)
            if known is not None and named == (inference.model, inference.version):
                return known
            raise InferenceUnavailableError(f"Triton at {self._url}: {_text(error)}") from error
        finally:
            with suppress(Exception):
                await client.close()

    @property
    def is_sharing(self) -> bool:
        """Whether tensors go through shared memory on this connection."""
        return self._region is not None

    def _call(self) -> dict[str, Any]:
        return {"headers": self._headers, "client_timeout": self._inference.connect_timeout_s}

    async def _try_out(self, spec: ModelSpec) -> None:
        """Have one empty picture inspected; that it is answered matters, and not how."""
        picture = empty_tensor(spec.input, 1)
        tensor = InferInput(spec.input.name, list(picture.shape), spec.input.dtype)
        tensor.set_data_from_numpy(picture)
        started_s = asyncio.get_running_loop().time()
        try:
            await self._client.infer(
                spec.name,
                [tensor],
                model_version=self._inference.version,
                request_id=TRIAL,
                headers=self._headers,
                client_timeout=TRIAL_TIMEOUT_S,
            )
        except InferenceServerException as error:
            # A refusal is an answer; a model that takes no batch of one may take those of cameras.
            if error.status() not in _REFUSALS:
                raise
        took_s = asyncio.get_running_loop().time() - started_s
        if took_s > SLOW_TRIAL_S:
            log.info("the model took long for its first answer", seconds=round(took_s, 1))

    async def _share_tensors(self) -> None:
        """Let the server read our tensors where they lie, if it is on this machine."""
        self._region, why_not = None, "inference.tensors asks for it"
        if self._inference.tensors != "inline":
            key, size_bytes = self._tensors.key, self._tensors.size_bytes
            if key is None:
                why_not = "no shared memory could be had on this machine"
            else:
                name = key.strip("/")
                with suppress(InferenceServerException):  # registered by an earlier connection
                    await self._client.unregister_system_shared_memory(name, **self._call())
                try:
                    await self._client.register_system_shared_memory(
                        name, key, size_bytes, **self._call()
                    )
                    self._region = name
                except InferenceServerException as refusal:
                    why_not = f"the server cannot open ours: {_text(refusal)}"
        if self._region is None and self._inference.tensors == "shared_memory":
            raise ConfigurationError(f"inference.tensors is shared_memory, but {why_not}")
        if self._region:
            await self._unmap_regions_of_the_dead()
            log.info("tensors go through shared memory", region=self._region, url=self._url)
        else:
            log.info("tensors go inline", reason=why_not, url=self._url)

    async def _unmap_regions_of_the_dead(self) -> None:
        """Have the server let go of what killed services registered, or it keeps their memory."""
        mine = self._region
        with suppress(InferenceServerException):  # it does not tell; nothing is lost by it
            status = await self._client.get_system_shared_memory_status(**self._call())
            dead = [n for n in status.regions if n != mine and give_up_segment_of_the_dead(n)]
            for name in dead:
                await self._client.unregister_system_shared_memory(name, **self._call())
            if dead:
                log.info("the server gave back memory of services that were killed", regions=dead)

    def encode(self, batch: Batch) -> EncodedBatch:
        """Make the wire request: a reference into shared memory, or the bytes themselves."""
        if self._spec is None or batch.tensor is None:
            raise RuntimeError("encode before connect")
        rows = batch.tensor.array[: len(batch.regions)]
        tensor = InferInput(self._spec.input.name, list(rows.shape), self._spec.input.dtype)
        if self._region is not None:
            tensor.set_shared_memory(self._region, rows.nbytes, batch.tensor.offset_bytes)
        else:
            tensor.set_data_from_numpy(rows)
        return EncodedBatch(
            {
                "model_name": self._spec.name,
                "model_version": self._inference.version,
                "inputs": [tensor],
                "request_id": str(batch.batch_id),
            }
        )

    async def replies(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        """Send requests as they come and yield replies in the order sent.

        Ends when `requests` ends and every reply has arrived.

        Raises:
            InferenceUnavailableError: the server is away or dropped the stream.

        """
        route = self._streamed if self._inference.transport == "stream" else self._unary
        try:
            # Closed here and now, not when the garbage collector comes: the call ends with us.
            async with aclosing(route(requests)) as replies:
                async for reply in replies:
                    yield reply
        except (InferenceServerException, grpc.RpcError) as error:
            raise InferenceUnavailableError(f"Triton at {self._url}: {_text(error)}") from error
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling() == 0:
                # grpc.aio reports a failed request iterator as a cancellation nobody asked for.
                raise InferenceUnavailableError("the gRPC call was cancelled") from cancelled
            raise

    async def _streamed(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        call = self._client.stream_infer(requests, headers=self._headers)
        try:
            async for result, error in call:
                if error is not None:
                    yield Reply(request_id=None, outputs=None, error=_text(error))
                else:
                    yield self._reply(result)
        finally:
            call.cancel()

    async def _unary(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        """One call per request, all under way at once; how many is the caller's limit."""
        calls: deque[asyncio.Task[Any]] = deque()
        arrived = asyncio.Event()
        ended = False

        async def send() -> None:
            nonlocal ended
            try:
                async for request in requests:
                    infer = self._client.infer(headers=self._headers, **request)
                    calls.append(asyncio.create_task(infer, name="inference/call"))
                    calls[-1].add_done_callback(_retrieve)
                    arrived.set()
            finally:
                ended = True
                arrived.set()

        sender = asyncio.create_task(send(), name="inference/unary")
        try:
            while True:
                while not calls and not ended:
                    arrived.clear()
                    await arrived.wait()
                if not calls:
                    return
                yield await self._unary_reply(calls.popleft())
        finally:
            for task in (sender, *calls):
                task.cancel()

    async def _unary_reply(self, call: asyncio.Task[Any]) -> Reply:
        try:
            return self._reply(await call)
        except InferenceServerException as error:
            if error.status() in _REFUSALS:
                return Reply(request_id=None, outputs=None, error=_text(error))
            raise
        finally:
            call.cancel()

    def _reply(self, result: InferResult) -> Reply:
        outputs = read_outputs(result, self._spec) if self._spec else {}
        response = result.get_response()
        return Reply(
            request_id=response.id,
            outputs=outputs,
            error=None,
            model_version=response.model_version,
        )

    async def close(self) -> None:
        """Disconnect; never raises."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(Exception):
            if self._region is not None:
                await client.unregister_system_shared_memory(self._region, client_timeout=0.5)
        self._region = None
        with suppress(Exception):
            await client.close()


def _retrieve(call: asyncio.Task[Any]) -> None:
    """Look at the failure of a call whose connection failed before it: one report is enough."""
    if not call.cancelled():
        call.exception()


def _text(error: Exception) -> str:
    """The server's words on one line."""
    if isinstance(error, InferenceServerException):
        text = error.message() or error.status() or ""
    else:
        details = getattr(error, "details", None)
        text = details() if callable(details) else str(error)
    return " ".join(str(text or type(error).__name__).split())
