"""Talks to Triton over gRPC: one bidirectional stream, or one call per request."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferResult
from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.recipes import ModelName
from inspector.core.records import Batch, EncodedBatch, ModelSpec, Reply
from inspector.flow.tensor_pool import TensorPool, empty_tensor
from inspector.inference.connection import connect_to, login_of, server_words
from inspector.inference.describing import describe_model
from inspector.inference.description import ModelDescription
from inspector.inference.model_check import ModelNeeds, ModelTerms, check_model, configured_model
from inspector.inference.reply_tensors import read_outputs
from inspector.inference.shared_tensors import SharedTensors
from inspector.inference.trial import range_objection, response, trial_pictures
from inspector.settings.sections import InferenceSettings

log = structlog.get_logger("triton")

Need = tuple[ModelName, tuple[str, ...]]
"""A model, and the codes that a recipe gives its classes."""
MODELS_KEPT = 32
"""How many prepared models are made ready at each connection; beyond that, the oldest unused go."""
TRIAL = "trial"
"""The request id of the trial picture of each connection, before any of a camera."""
NS_PER_S = 1_000_000_000
TRIAL_TIMEOUT_S = 60.0
"""The time-out of a trial; then a new connection is made, while the server goes on building."""
SLOW_TRIAL_S = 2.0
SIGN_OF_LIFE_S = 30.0
"""A connection on which nothing was sent for so long is asked for one. Firewalls forget those that
are idle, without a word to either side: the least patient of those in use after a minute. HTTP/2's
own pings would not do: Triton ends a connection that sends more than one in five minutes."""

# Status codes of errors in a request; every other one means that the server is away. Refused logins
# are temporary too: tokens are renewed while a line runs.
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
    """The models that are asked on one Triton server. Event loop only; one stream at a time.

    Every connection is a client of its own: a gRPC call that died keeps state in its channel. Each
    begins with every model that is known: the station's own, and those that were prepared for
    recipes since and not released. Those that a recipe in use needs must be ready; of the others,
    one that is no longer ready is forgotten, so that a product that is not made holds up no line.
    """

    def __init__(self, url: str, terms: ModelTerms, tensors: TensorPool) -> None:
        self._url = url
        self._terms = terms
        self._inference = terms.server
        self._tensors = tensors
        self._client: Any = None
        self._is_connected = False
        self._needs: dict[Need, ModelNeeds] = {
            (configured_model(terms.server), terms.needs.codes): terms.needs,
            **_further(terms),
        }
        self._in_use: frozenset[Need] | None = None
        """None until it is set: all known models."""
        self._forgotten: dict[Need, ModelNeeds] = {}
        """Models that were not ready at a connection that did not need them."""
        self._specs: dict[ModelName, ModelSpec] = {}
        self._outputs: frozenset[str] = frozenset()
        self._described: ModelDescription | None = None
        self._sighted: set[tuple[ModelName, str]] = set()
        """Models and versions that proved to distinguish pictures in the assumed range."""
        self._preparing = asyncio.Lock()
        self._shared = SharedTensors(self._inference, url)
        self._headers = login_of(self._inference)
        self._sent_ns = 0
        """When a request was made last."""
        self._break_off: Callable[[], None] = _nothing
        """Ends the stream under way."""

    async def connect(self) -> Mapping[ModelName, ModelSpec]:
        """Check the server and its models, allocate tensors for them, share these if possible.

        Returns once each model has answered a trial: an engine that is built at its first request
        takes minutes, in which its server calls it ready.

        Raises:
            InferenceUnavailableError: the server is away, or a model is not ready.
            ConfigurationError: a model is not what the settings or its recipe say.

        """
        await self.close()
        client = self._client = connect_to(self._url, self._inference)
        async with self._telling_what_failed():
            specs = await self._all_compared(client)
            self._tensors.form_for({model: spec.input for model, spec in specs.items()})
            await self._shared.begin(client, self._tensors.block)
            for model, spec in specs.items():
                await self._try_out(client, model, spec)
        self._specs = {}
        self._admit(specs)
        self._is_connected = True
        return specs

    async def _all_compared(self, client: Any) -> dict[ModelName, ModelSpec]:
        """Every known model that fits; raises if one in use does not."""
        specs: dict[ModelName, ModelSpec] = {}
        for need, wanted in list(self._needs.items()):
            try:
                specs[need[0]] = await self._compared(client, need[0], wanted)
            except (ConfigurationError, InferenceUnavailableError) as unfit:
                if self._in_use is None or need in self._in_use:
                    raise
                self._forgotten[need] = self._needs.pop(need)
                log.warning("a model that nothing needs now is forgotten", cause=str(unfit))
        return specs

    def use(self, needs: Collection[Need]) -> None:
        """The models, with their codes, that the recipes in use need: no connection without them.

        Those already prepared and not among them are kept as long as the server has them.
        """
        self._in_use = frozenset(needs)
        for need in self._in_use & self._forgotten.keys():
            self._needs[need] = self._forgotten.pop(need)
        spare = [need for need in self._needs if need not in self._in_use]
        for need in spare[: max(0, len(self._needs) - MODELS_KEPT)]:
            del self._needs[need]
        for need in list(self._forgotten)[:-MODELS_KEPT]:
            del self._forgotten[need]

    def knows(self, model: ModelName, codes: tuple[str, ...]) -> bool:
        """Whether a model was prepared for these codes and is there at each connection."""
        return (model, codes) in self._needs

    def spec_of(self, model: ModelName) -> ModelSpec | None:
        """What is known of a model on this connection; None where it was not prepared."""
        return self._specs.get(model)

    def require(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> None:
        """Make this model ready at every connection from the next one on."""
        self._needs[model, codes] = self._needs_of_recipe(model, codes, lowest_threshold)

    async def prepare(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> ModelSpec:
        """Make a model ready while others answer, and at every connection from now on.

        It is described, compared with its recipe's codes (and with its lowest threshold), and has
        answered a trial. What is under way goes on: a larger input gets a larger block of memory,
        which requests lent from the old one do not notice. A model that fails changes nothing.

        Raises:
            InferenceUnavailableError: the server is away, or the model is not ready.
            ConfigurationError: there is no such model, or it is not what the recipe says.

        """
        needs = self._needs_of_recipe(model, codes, lowest_threshold)
        async with self._preparing:
            client = self._client
            if client is None or not self._is_connected:
                raise self._away("not connected")
            async with self._telling_what_failed():
                spec = await self._compared(client, model, needs)
                block = self._tensors.larger_block_for([spec.input])
                try:
                    if block is not None:
                        await self._shared.add(client, block)
                    await self._try_out(client, model, spec)
                    self._require_same(client)
                except BaseException:
                    if block is not None:
                        await self._shared.give_up(client, block)
                    raise
            if block is not None and (before := self._tensors.put_in_place(block)) is not None:
                self._shared.give_up_once_home(client, before)
            self._tensors.add({model: spec.input})
            self._needs[model, codes] = needs
            self._forgotten.pop((model, codes), None)
            self._admit({model: spec})
            return spec

    def release(self, model: ModelName) -> None:
        """Release a model that no recipe needs: the next connection begins without it.

        On this one it goes on answering, so that no request is lost.
        """
        self._needs = {need: wanted for need, wanted in self._needs.items() if need[0] != model}

    def _needs_of_recipe(
        self, model: ModelName, codes: tuple[str, ...], lowest_threshold: float
    ) -> ModelNeeds:
        station = self._terms.needs
        if model == configured_model(self._inference):
            return replace(station, codes=codes, lowest_threshold=lowest_threshold)
        return ModelNeeds(codes=codes, lowest_threshold=lowest_threshold, stated=model.stated)

    async def _compared(self, client: Any, model: ModelName, needs: ModelNeeds) -> ModelSpec:
        description = await describe_model(client, self._inference, model)
        if model == configured_model(self._inference):
            self._described = description
        return check_model(description, needs)

    def _admit(self, specs: Mapping[ModelName, ModelSpec]) -> None:
        self._specs |= specs
        self._outputs = frozenset(name for s in self._specs.values() for name in s.reader.outputs)

    def _require_same(self, client: Any) -> None:
        if self._client is not client:
            raise self._away("the connection was lost")

    @asynccontextmanager
    async def _telling_what_failed(self) -> AsyncIterator[None]:
        try:
            yield
        except (InferenceServerException, grpc.RpcError, grpc.aio.UsageError) as error:
            raise self._away(server_words(error)) from error
        except asyncio.CancelledError as cancelled:
            # Calls on a connection that is given up end as cancelled, although nobody cancelled
            # them.
            task = asyncio.current_task()
            if task is None or task.cancelling() == 0:
                raise self._away("the connection was given up") from cancelled
            raise

    def _away(self, cause: str) -> InferenceUnavailableError:
        return InferenceUnavailableError(f"Triton at {self._url}: {cause}")

    async def compare(self, terms: ModelTerms) -> None:
        """Whether the deployed model fits other terms; the connection is not touched.

        A server that is away is assumed to still have its model.

        Raises:
            InferenceUnavailableError: it is away, and what it has is not known.
            ConfigurationError: the model would not fit them.

        """
        check_model(await self._described_for(terms.server), terms.needs)

    def change(self, terms: ModelTerms) -> None:
        """Compare the station's model with these terms at the next connection.

        They differ from the earlier ones only in reloadable settings.
        """
        self._terms = terms
        of_station = (configured_model(self._inference), terms.needs.codes)
        for need, wanted in {of_station: terms.needs, **_further(terms)}.items():
            if need in self._needs:
                self._needs[need] = wanted

    async def _described_for(self, inference: InferenceSettings) -> ModelDescription:
        client = connect_to(self._url, self._inference)
        try:
            return await describe_model(client, inference, configured_model(inference))
        except (InferenceServerException, grpc.RpcError, InferenceUnavailableError) as error:
            known = self._described
            named = (self._inference.model, self._inference.version)
            if known is not None and named == (inference.model, inference.version):
                return known
            raise self._away(server_words(error)) from error
        finally:
            with suppress(Exception):
                await client.close()

    @property
    def is_sharing(self) -> bool:
        """Whether tensors go through shared memory on this connection."""
        return self._shared.is_sharing

    async def _try_out(self, client: Any, model: ModelName, spec: ModelSpec) -> None:
        """Have one empty picture inspected; only that there is an answer matters.

        If the range of a float input is not stated, some drawn pictures follow in both ranges.

        Raises:
            ConfigurationError: the model seems to be blind to pictures as they would be sent.

        """
        started_s = asyncio.get_running_loop().time()
        empty = await self._trial(client, model, spec, empty_tensor(spec.input, 1))
        took_s = asyncio.get_running_loop().time() - started_s
        if took_s > SLOW_TRIAL_S:
            seconds = round(took_s, 1)
            log.info("the model took long for its first answer", model=str(model), seconds=seconds)
        key = (model, spec.version)
        if not spec.range_is_assumed or empty is None or key in self._sighted:
            return
        responses = []
        for white in (1.0, 255.0):
            shown = [
                await self._trial(client, model, spec, picture)
                for picture in trial_pictures(spec.input, white)
            ]
            responses.append(response([empty, *(one for one in shown if one is not None)]))
        if objection := range_objection(model.name, *responses):
            raise ConfigurationError(objection)
        self._sighted.add(key)

    async def _trial(
        self, client: Any, model: ModelName, spec: ModelSpec, picture: NDArray[Any]
    ) -> Mapping[str, NDArray[Any]] | None:
        """The model's answer to a tensor with one picture; None where it refuses."""
        if spec.input.exactly:
            picture = np.repeat(picture, spec.input.exactly, axis=0)
        tensor = InferInput(spec.input.name, list(picture.shape), spec.input.dtype)
        tensor.set_data_from_numpy(picture)
        try:
            result = await client.infer(
                model.name,
                [tensor],
                model_version=model.version,
                request_id=TRIAL,
                headers=self._headers,
                client_timeout=TRIAL_TIMEOUT_S,
            )
        except InferenceServerException as error:
            # A refusal is an answer too; a model that refuses a batch of one may accept those of
            # cameras.
            if error.status() not in _REFUSALS:
                raise self._away(f"model {model}: {server_words(error)}") from error
            return None
        return read_outputs(result, spec.reader.outputs)

    def encode(self, batch: Batch) -> EncodedBatch:
        """Make the wire request: a reference into shared memory, or the bytes themselves."""
        self._sent_ns = time.monotonic_ns()
        spec, model = self._specs.get(batch.model), batch.model
        if spec is None or batch.tensor is None:
            raise RuntimeError("encode before connect")
        rows = batch.tensor.array[: spec.input.exactly or len(batch.regions)]
        tensor = InferInput(spec.input.name, list(rows.shape), spec.input.dtype)
        region = self._shared.region_of(batch.tensor)
        if region is not None:
            tensor.set_shared_memory(region, rows.nbytes, batch.tensor.offset_bytes)
        else:
            tensor.set_data_from_numpy(rows)
        return EncodedBatch(
            {
                "model_name": model.name,
                "model_version": model.version,
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
        dead: list[str] = []
        alive = asyncio.create_task(self._ask_for_life(dead), name="inference/sign-of-life")
        try:
            # Closed here, not by the garbage collector: the call ends with this method.
            async with aclosing(route(requests)) as replies:
                async for reply in replies:
                    yield reply
            if dead:
                raise self._away(dead[0])
        except (InferenceServerException, grpc.RpcError) as error:
            raise self._away(server_words(error)) from error
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling() == 0:
                if dead:
                    raise self._away(dead[0]) from cancelled
                # grpc.aio reports a failed request iterator as a cancellation nobody asked for.
                raise InferenceUnavailableError("the gRPC call was cancelled") from cancelled
            raise
        finally:
            alive.cancel()
            self._break_off = _nothing

    async def _ask_for_life(self, dead: list[str]) -> None:
        """Keep an idle connection known to firewalls; break it off, and say so, if it is dead."""
        while True:
            await asyncio.sleep(SIGN_OF_LIFE_S)
            if time.monotonic_ns() - self._sent_ns < SIGN_OF_LIFE_S * NS_PER_S or not self._specs:
                continue
            model = next(iter(self._specs))
            try:
                await self._client.is_model_ready(
                    model.name,
                    model.version,
                    headers=self._headers,
                    client_timeout=self._inference.connect_timeout_s,
                )
            except (InferenceServerException, grpc.RpcError) as error:
                dead.append(f"no sign of life: {server_words(error)}")
                self._break_off()
                return

    async def _streamed(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        call = self._client.stream_infer(requests, headers=self._headers)
        self._break_off = call.cancel
        try:
            async for result, error in call:
                if error is not None:
                    yield Reply(request_id=None, outputs=None, error=server_words(error))
                else:
                    yield self._reply(result)
        finally:
            call.cancel()

    async def _unary(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        """One call per request, all under way at once; how many is the caller's limit."""
        calls: deque[asyncio.Task[Any]] = deque()
        arrived = asyncio.Event()
        ended = False

        def break_off() -> None:
            nonlocal ended
            ended = True
            arrived.set()

        self._break_off = break_off

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
                return Reply(request_id=None, outputs=None, error=server_words(error))
            raise
        finally:
            call.cancel()

    def _reply(self, result: InferResult) -> Reply:
        response = result.get_response()
        return Reply(
            request_id=response.id,
            outputs=read_outputs(result, self._outputs),
            error=None,
            model_version=response.model_version,
        )

    async def close(self) -> None:
        """Disconnect; never raises."""
        client, self._client = self._client, None
        self._is_connected = False
        if client is None:
            return
        await self._shared.end(client)
        with suppress(Exception):
            await client.close()


def _further(terms: ModelTerms) -> dict[Need, ModelNeeds]:
    return {(model, needs.codes): needs for model, needs in terms.also.items()}


def _nothing() -> None:
    """No stream is under way."""


def _retrieve(call: asyncio.Task[Any]) -> None:
    """Consume the failure of a call whose connection failed before it: one report is enough."""
    if not call.cancelled():
        call.exception()
