"""Shows pictures to a served model, one after another, and reads its findings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from inspector.batching.preprocess import Preprocessor
from inspector.batching.regions import regions_of
from inspector.commands.model.pictures import Shown
from inspector.core.background import background, ready_or_failed
from inspector.core.errors import (
    ConfigurationError,
    InferenceUnavailableError,
    MalformedReplyError,
)
from inspector.core.recipes import Cropping, ModelName
from inspector.core.records import (
    CameraId,
    Finding,
    Frame,
    FrameRef,
    Image,
    ModelInput,
    ModelSpec,
    Rect,
    Region,
)
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.flow.tensor_pool import TensorPool, empty_tensor
from inspector.inference.connection import connect_to, login_of, server_words
from inspector.inference.model_check import ModelNeeds, ModelTerms
from inspector.inference.reply_tensors import read_outputs
from inspector.inference.triton import TritonModel
from inspector.settings.sections import InferenceSettings

READY_TIMEOUT_S = 900.0
"""How long a start may take: the first one installs the server."""
ASK_TIMEOUT_S = 120.0
_REF = FrameRef(camera_id=CameraId("trial"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The confidence from which a finding counts, and the limit of suppression."""

    floor: float = 0.25
    nms_iou: float = 0.45


class _Picture:
    """A lease that is never returned."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def release(self) -> None:
        pass


def region_of(image: Image, model_input: ModelInput) -> Region:
    """The whole picture as one input of the model."""
    height_px, width_px = image.shape[:2]
    frame = Frame(ref=_REF, lease=_Picture(image))
    (region,) = regions_of(Cropping(rect=Rect(0, 0, width_px, height_px)), frame, model_input)
    return region


def tensor_of(image: Image, model_input: ModelInput) -> NDArray[Any]:
    """One request with this picture, filled up if the model takes a fixed number."""
    rows = empty_tensor(model_input, max(1, model_input.exactly))
    Preprocessor(model_input).write(region_of(image, model_input), rows[0])
    rows[1:] = rows[0]
    return rows


def findings_in(
    answer: dict[str, NDArray[Any]], spec: ModelSpec, image: Image, reading: Reading
) -> list[Finding]:
    """The findings in an answer, in the pixels of the picture."""
    regions = (region_of(image, spec.input),)
    if spec.input.exactly:
        answer = {name: rows[:1] if rows.ndim else rows for name, rows in answer.items()}
    (found,) = spec.reader.decode(answer, regions, floor=reading.floor, nms_iou=reading.nms_iou)
    return found


def readable(
    answer: dict[str, NDArray[Any]], spec: ModelSpec, image: Image, reading: Reading, name: str
) -> list[Finding]:
    """The same; a model whose answers cannot be read is no model to inspect with.

    Raises:
        ConfigurationError: the answer is no result; says of which picture.

    """
    try:
        return findings_in(answer, spec, image, reading)
    except MalformedReplyError as error:
        raise ConfigurationError(
            f"model {spec.name}: its answer to {name} is no result of {spec.reader.kind}: {error}"
        ) from None


@asynccontextmanager
async def embedded_server(
    repository: Path, models: Sequence[str], report: Any
) -> AsyncIterator[str]:
    """The address of an embedded server with these models; it ends with the `with`."""
    server = EmbeddedTriton(repository, models=models, report=report)
    async with background(server.run(), name="triton") as running:
        await ready_or_failed(server.wait_ready(READY_TIMEOUT_S), running)
        yield server.grpc_url


class AskedModel:
    """A model on a server, compared and tried out as the service does; event loop only."""

    def __init__(self, url: str, inference: InferenceSettings, needs: ModelNeeds) -> None:
        self._url = url
        self._inference = inference.model_copy(update={"tensors": "inline"})
        self._needs = needs
        self._client: Any = None
        self.spec: ModelSpec | None = None

    async def connect(self, model: ModelName) -> ModelSpec:
        """Compare it with what is needed, and send the trial pictures.

        Raises:
            ConfigurationError: it does not fit.
            InferenceUnavailableError: the server is away.

        """
        inference = self._inference.model_copy(
            update={"model": model.name, "version": model.version}
        )
        tensors = TensorPool(tensors=1, max_regions=1, shared=False)
        asked = TritonModel(self._url, ModelTerms(server=inference, needs=self._needs), tensors)
        try:
            (self.spec,) = (await asked.connect()).values()
        finally:
            await asked.close()
            tensors.close()
        self._model = model
        self._client = connect_to(self._url, self._inference)
        return self.spec

    async def answer(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs that the reader needs.

        Raises:
            InferenceUnavailableError: it refuses, or is away.

        """
        spec = self.spec
        assert spec is not None  # noqa: S101 - after connect
        tensor = InferInput(spec.input.name, list(rows.shape), spec.input.dtype)
        tensor.set_data_from_numpy(np.ascontiguousarray(rows))
        try:
            result = await self._client.infer(
                self._model.name,
                [tensor],
                model_version=self._model.version,
                headers=login_of(self._inference),
                client_timeout=ASK_TIMEOUT_S,
            )
        except (InferenceServerException, grpc.RpcError) as error:
            raise InferenceUnavailableError(
                f"model {self._model}: {server_words(error)}"
            ) from error
        return read_outputs(result, spec.reader.outputs)

    async def findings(self, shown: Shown, reading: Reading) -> list[Finding]:
        """What it finds in a picture; see `readable`."""
        assert self.spec is not None  # noqa: S101 - after connect
        answer = await self.answer(tensor_of(shown.image, self.spec.input))
        return readable(answer, self.spec, shown.image, reading, shown.name)

    async def close(self) -> None:
        """Never raises."""
        if self._client is not None:
            with suppress(Exception):
                await self._client.close()
