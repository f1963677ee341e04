"""Asks a Triton server about one model: whether it is ready, and its description."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.recipes import ModelName
from inspector.inference.connection import login_of
from inspector.inference.description import ModelDescription, TensorDescription
from inspector.inference.file_notes import notes_in_files
from inspector.inference.model_check import configured_model, no_such_model
from inspector.settings.sections import InferenceSettings

LOAD_TIMEOUT_S = 60.0
"""The time-out for a server that loads a model on request."""
DEEPEST_ENSEMBLE = 8
"""How deep ensembles may be nested: one that contained itself would never end."""


async def describe_model(
    client: Any, inference: InferenceSettings, model: ModelName
) -> ModelDescription:
    """The model, if it and every step of it are ready.

    The readiness of the whole server is not used: with strict readiness it is not ready while any
    other model, which is not needed here, cannot be loaded.

    Raises:
        ConfigurationError: the server has no such model, or no such version of it.
        InferenceUnavailableError: it has, and it is not ready.
        InferenceServerException, grpc.RpcError: the server does not answer.

    """
    asked = _Asked(client, inference, model)
    await asked.require_ready()
    return await asked.describe()


_NOT_LOADED = ("", "UNAVAILABLE")
"""States of a model that was not requested yet, or could not be loaded so far."""
_UNLOADED = "unloaded"
"""Triton's reason for a model that was unloaded on purpose, which must not be undone."""


class _Asked:
    """One round of questions."""

    def __init__(self, client: Any, inference: InferenceSettings, model: ModelName) -> None:
        self._client = client
        self._inference = inference
        self._model, self._version = model.name, model.version
        self._is_configured = model == configured_model(inference)
        self._call = {
            "headers": login_of(inference),
            "client_timeout": inference.connect_timeout_s,
        }

    async def require_ready(self) -> None:
        model, version = self._model, self._version
        if await self._client.is_model_ready(model, version, **self._call):
            return
        index, states = await self._states()
        if not states:
            available = sorted({entry.name for entry in index if entry.state == "READY"})
            asked_by = "inference.model" if self._is_configured else "a recipe's model"
            raise ConfigurationError(no_such_model(model, available, asked_by=asked_by))
        if all(s.state in _NOT_LOADED and s.reason != _UNLOADED for s in states):
            if await self._loaded_on_request():
                return
            _, states = await self._states()
        if version and version not in [entry.version for entry in states]:
            deployed = ", ".join(entry.version for entry in states)
            asked_by = "inference.version" if self._is_configured else "the version in a recipe"
            raise ConfigurationError(
                f'{asked_by} is "{version}", but model {model} has: {deployed}'
            )
        reason = "; ".join(f"{s.state} {s.reason}".strip() for s in states)
        raise InferenceUnavailableError(f"model {model} is not ready: {reason or 'not loaded'}")

    async def _states(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """The server's index of all models, and of each version of ours."""
        index = (await self._client.get_model_repository_index(**self._call)).models
        return index, [entry for entry in index if entry.name == self._model]

    async def _loaded_on_request(self) -> bool:
        """Load the model on the server; returns whether it did.

        The embedded server starts with the station's model only: every other one takes memory, and
        time at the start. A server that loads all its models at the start refuses.
        """
        call = {**self._call, "client_timeout": LOAD_TIMEOUT_S}
        with suppress(InferenceServerException):  # its reason stands in the index
            await self._client.load_model(self._model, **call)
        ready = await self._client.is_model_ready(self._model, self._version, **self._call)
        return bool(ready)

    async def describe(self) -> ModelDescription:
        model, version = self._model, self._version
        metadata = await self._client.get_model_metadata(model, version, **self._call)
        config = (await self._client.get_model_config(model, version, **self._call)).config

        def tensors(listed: Any) -> list[TensorDescription]:
            return [
                TensorDescription(name=t.name, dtype=t.datatype, shape=tuple(t.shape))
                for t in listed
            ]

        return ModelDescription(
            name=model,
            version=version or (max(metadata.versions, key=int) if metadata.versions else ""),
            inputs=tensors(metadata.inputs),
            outputs=tensors(metadata.outputs),
            max_batch_size=config.max_batch_size,
            decoupled=config.model_transaction_policy.decoupled,
            sequences=config.HasField("sequence_batching"),
            parameters={k: v.string_value for k, v in config.parameters.items()},
            files=await asyncio.to_thread(
                notes_in_files, self._inference.known_repository, model, version
            ),
            instances=await self._instances_of(config, DEEPEST_ENSEMBLE),
        )

    async def _instances_of(self, config: Any, depth: int) -> int:
        """How many requests are processed at once; for an ensemble, those of its narrowest step."""
        steps = {step.model_name for step in config.ensemble_scheduling.step}
        if not steps or not depth:
            return sum(group.count * max(1, len(group.gpus)) for group in config.instance_group)
        instances = []
        for name in sorted(steps):
            if not await self._client.is_model_ready(name, **self._call):
                raise InferenceUnavailableError(
                    f"model {self._model} is not ready: its step {name} is not"
                )
            answer = await self._client.get_model_config(name, **self._call)
            instances.append(await self._instances_of(answer.config, depth - 1))
        return min(instances)
