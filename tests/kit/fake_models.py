"""Fakes of the `Model` port, for what no server can be made to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from typing import Any

import numpy as np

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.recipes import ModelName
from inspector.core.records import (
    Batch,
    EncodedBatch,
    ModelInput,
    ModelSpec,
    Reply,
)
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.model_check import ModelTerms
from inspector.inference.outputs.detections import DetectionsReader

MODEL = ModelName(name="pcb_inspection")
"""As the settings name it."""


def spec_of(side_px: int) -> ModelSpec:
    picture = ModelInput(
        name="image",
        width_px=side_px,
        height_px=side_px,
        channels_first=False,
        dtype="UINT8",
        rgb=False,
    )
    return ModelSpec(
        name="m",
        version="1",
        input=picture,
        reader=DetectionsReader(input=picture, classes=6),
    )


class OneModel:
    """What a fake of the `Model` port answers that has one model for everything."""

    def require(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> None:
        pass

    def use(self, needs: Collection[tuple[ModelName, tuple[str, ...]]]) -> None:
        del needs

    def knows(self, model: ModelName, codes: tuple[str, ...]) -> bool:
        del model, codes
        return True

    async def prepare(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> ModelSpec:
        raise NotImplementedError

    def release(self, model: ModelName) -> None:
        pass

    async def compare(self, terms: ModelTerms) -> None:
        pass

    def change(self, terms: ModelTerms) -> None:
        pass

    async def close(self) -> None:
        pass


class FlakyModel(OneModel):
    """A Model that does, with the chances given, everything the port allows and a little more."""

    def __init__(self, rng: random.Random, tensors: TensorPool, trouble: float) -> None:
        self._rng = rng
        self._tensors = tensors
        self._trouble = trouble
        self._connected_once = False
        self._spec: ModelSpec | None = None

    def _chance(self, weight: float = 1.0) -> bool:
        return self._rng.random() < self._trouble * weight

    async def _pause(self) -> None:
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(0)
        if self._rng.random() < 0.3:
            await asyncio.sleep(self._rng.random() * 0.003)

    async def connect(self) -> Mapping[ModelName, ModelSpec]:
        await self._pause()
        if self._chance(3):
            raise InferenceUnavailableError("away")
        if self._connected_once and self._chance(2):
            raise ConfigurationError("another model")
        self._connected_once = True
        spec = self._spec = spec_of(16 if self._chance(2) else 24)
        self._tensors.form_for({MODEL: spec.input})
        await self._pause()
        return {MODEL: spec}

    def spec_of(self, model: ModelName) -> ModelSpec | None:
        return self._spec if model == MODEL else None

    def encode(self, batch: Batch) -> EncodedBatch:
        assert batch.tensor is not None
        assert batch.tensor.array is not None
        return EncodedBatch({"id": str(batch.batch_id), "regions": max(1, len(batch.regions))})

    async def replies(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        waiting: asyncio.Queue[EncodedBatch | None] = asyncio.Queue()

        async def read() -> None:
            async for request in requests:
                waiting.put_nowait(request)
            waiting.put_nowait(None)

        # Like gRPC: goes on reading, and throwing away, after the stream has died.
        reader = asyncio.create_task(read(), name="flaky/reader")
        try:
            while (request := await waiting.get()) is not None:
                await self._pause()
                if self._chance(0.5):
                    raise InferenceUnavailableError("dropped")
                if self._chance(0.3):
                    return
                if self._chance(0.3):
                    await asyncio.sleep(3600)
                yield self._reply(request)
                if self._chance(0.2):
                    yield self._reply(request)
        finally:
            if self._rng.random() < 0.5:
                reader.cancel()
            else:
                asyncio.get_running_loop().call_later(0.004, reader.cancel)

    def _reply(self, request: EncodedBatch) -> Reply:
        if self._chance():
            return Reply(request_id=None, outputs=None, error="refused")
        name = "777" if self._chance(0.2) else str(request["id"])
        regions = int(str(request["regions"]))
        outputs: dict[str, Any] = {
            "boxes": np.zeros((regions, 4, 4), np.float32),
            "scores": np.zeros((regions, 4), np.float32),
            "classes": np.zeros((regions, 4), np.int32),
            "count": np.zeros((regions, 1), np.int32),
        }
        return Reply(request_id=name, outputs=outputs, error=None)

    async def close(self) -> None:
        await self._pause()


class SilentModel(OneModel):
    """Connects, answers nothing, and breaks its stream when told to; slow to clean up."""

    def __init__(self, tensors: TensorPool, *, cleanup_s: float = 0.0) -> None:
        self._tensors = tensors
        self._cleanup_s = cleanup_s
        self.breaks = asyncio.Event()
        self.ends = False
        self.listening = asyncio.Event()
        self.cleaning_up = asyncio.Event()

    async def connect(self) -> Mapping[ModelName, ModelSpec]:
        if self.listening.is_set():
            raise InferenceUnavailableError("gone for good")
        self._tensors.form_for({MODEL: spec_of(16).input})
        return {MODEL: spec_of(16)}

    def spec_of(self, model: ModelName) -> ModelSpec | None:
        return spec_of(16) if model == MODEL else None

    def encode(self, batch: Batch) -> EncodedBatch:
        return EncodedBatch({"id": str(batch.batch_id)})

    async def replies(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        del requests
        self.listening.set()
        try:
            await self.breaks.wait()
            if self.ends:
                return
            raise InferenceUnavailableError("broken")
            yield
        finally:
            self.cleaning_up.set()
            await asyncio.sleep(self._cleanup_s)
