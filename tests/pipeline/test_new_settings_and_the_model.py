"""Settings that change live are compared with the model, also where its server is away."""

from __future__ import annotations

import asyncio

import pytest

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.inference.triton import TritonModel
from inspector.pipeline.buffers import tensor_pool
from inspector.pipeline.terms import model_terms
from inspector.settings.settings import Settings
from tests.kit.fake_triton import Deployed, FakeTriton, serving
from tests.kit.pipeline import settings_for


def with_threshold(url: str, threshold: float) -> Settings:
    inspection = {"threshold": threshold}
    return settings_for(url, {"a": {}}, inspection=inspection, inference={"tensors": "inline"})


def floor_of(threshold: float) -> Deployed:
    return Deployed(parameters={"score_threshold": str(threshold)})


def test_the_model_is_asked_for_each_change_and_remembered_while_it_is_away() -> None:
    async def main() -> None:
        async with serving(FakeTriton(floor_of(0.25))) as fake:
            running = with_threshold(fake.url, 0.5)
            model = TritonModel(fake.url, model_terms(running), tensor_pool(running))
            await model.connect()
            await model.compare(model_terms(with_threshold(fake.url, 0.3)))
            too_low = with_threshold(fake.url, 0.1)
            with pytest.raises(ConfigurationError, match=r"down to 0\.1, .* below 0\.25"):
                await model.compare(model_terms(too_low))
            await model.close()
            await fake.stop()
            with pytest.raises(ConfigurationError, match=r"down to 0\.1, .* below 0\.25"):
                await model.compare(model_terms(too_low))
            await model.compare(model_terms(with_threshold(fake.url, 0.3)))
            # Somebody lets the model report more; its version stays.
            fake.model = floor_of(0.05)
            await fake.restart()
            await model.compare(model_terms(too_low))

    asyncio.run(main(), debug=True)


def test_a_new_connection_compares_with_what_was_accepted_and_not_with_the_old() -> None:
    async def main() -> None:
        async with serving(FakeTriton(floor_of(0.25))) as fake:
            running = with_threshold(fake.url, 0.5)
            model = TritonModel(fake.url, model_terms(running), tensor_pool(running))
            await model.connect()
            model.change(model_terms(with_threshold(fake.url, 0.3)))
            fake.model = floor_of(0.4)
            with pytest.raises(ConfigurationError, match=r"down to 0\.3, .* below 0\.4"):
                await model.connect()
            model.change(model_terms(with_threshold(fake.url, 0.45)))
            await model.connect()
            await model.close()

    asyncio.run(main(), debug=True)


def test_nothing_can_be_compared_with_a_model_that_was_never_seen() -> None:
    async def main() -> None:
        async with serving(FakeTriton(), from_start=False) as fake:
            running = with_threshold(fake.url, 0.5)
            model = TritonModel(fake.url, model_terms(running), tensor_pool(running))
            with pytest.raises(InferenceUnavailableError):
                await model.compare(model_terms(with_threshold(fake.url, 0.6)))

    asyncio.run(main(), debug=True)
