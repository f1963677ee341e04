"""Asks a Triton server for the features of each cell of a picture, for taught models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.records import Image
from inspector.inference.connection import CHANNEL_OPTIONS, login_of, server_words
from inspector.inference.describing import LOAD_TIMEOUT_S
from inspector.products.model_teaching import FeaturesSource
from inspector.settings.sections import InferenceSettings

INPUT, OUTPUT = "image", "features"
TIMEOUT_S = 10.0


class TritonFeatures(FeaturesSource):
    """One thread at a time: it blocks. The connection is made when it is first needed."""

    def __init__(
        self, url: str, inference: InferenceSettings, *, model: str, repositories: Sequence[Path]
    ) -> None:
        """`repositories`: where the model's file may be; the first one that has it is used."""
        self._url = url
        self._inference = inference
        self._model = model
        self._repositories = repositories
        self._client: Any = None

    @property
    def size_px(self) -> tuple[int, int]:
        """As unit_features takes them."""
        return 640, 640

    def network(self) -> bytes:
        """See `FeaturesSource`."""
        for repository in self._repositories:
            file = repository / self._model / "1" / "model.onnx"
            if file.is_file():
                return file.read_bytes()
        places = ", ".join(map(str, dict.fromkeys(self._repositories)))
        raise ConfigurationError(
            f"products.features is {self._model!r}: no 1/model.onnx of it in {places}"
        )

    def of(self, picture: Image) -> NDArray[np.floating[Any]]:
        """See `FeaturesSource`; about 30 ms of the server's time."""
        tensor = InferInput(INPUT, [1, *picture.shape], "UINT8")
        tensor.set_data_from_numpy(picture[None])
        try:
            answer = self._connected().infer(
                self._model,
                [tensor],
                outputs=[InferRequestedOutput(OUTPUT)],
                client_timeout=TIMEOUT_S,
                headers=login_of(self._inference),
            )
        except (InferenceServerException, grpc.RpcError) as error:
            raise InferenceUnavailableError(
                f"model {self._model} at {self._url}: {server_words(error)}"
            ) from error
        features: NDArray[np.floating[Any]] = answer.as_numpy(OUTPUT)[0]
        return features

    def _connected(self) -> Any:
        if self._client is None:
            inference = self._inference
            ca = str(inference.tls_ca) if inference.tls_ca else None
            self._client = InferenceServerClient(
                self._url, ssl=inference.tls, root_certificates=ca, channel_args=CHANNEL_OPTIONS
            )
        with suppress(InferenceServerException):  # refusals are reported by the inference
            if not self._client.is_model_ready(self._model, headers=login_of(self._inference)):
                self._client.load_model(
                    self._model,
                    headers=login_of(self._inference),
                    client_timeout=LOAD_TIMEOUT_S,
                )
        return self._client
