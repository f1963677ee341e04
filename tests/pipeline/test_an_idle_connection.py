"""A line that stands for an hour, and a firewall that forgets idle connections: no unit is lost."""

from __future__ import annotations

import asyncio

import pytest

from inspector.core.recipes import ModelName
from inspector.inference import triton
from tests.kit.fake_triton import FakeTriton, serving
from tests.kit.forgetful_firewall import behind_firewall
from tests.kit.inference_stage import inference_stage

STATION = ModelName(name="pcb_inspection")
FORGETS_AFTER_S = 1.2


@pytest.mark.parametrize("transport", ["stream", "unary"])
def test_a_connection_that_is_idle_is_kept_known_to_a_firewall(
    monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setattr(triton, "SIGN_OF_LIFE_S", FORGETS_AFTER_S / 6)

    async def main() -> None:
        fake = FakeTriton()
        async with (
            serving(fake),
            behind_firewall(fake.url, forgets_after_s=FORGETS_AFTER_S) as wall,
            inference_stage(wall.url, transport=transport, tensors="inline") as made,
        ):
            assert (await made.outcome(await made.send(STATION))).outputs is not None
            await asyncio.sleep(2 * FORGETS_AFTER_S)  # nothing comes by: that is what is tried
            assert (await made.outcome(await made.send(STATION))).outputs is not None
            assert wall.forgotten == 0

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("transport", ["stream", "unary"])
def test_a_connection_that_was_forgotten_is_made_anew_before_a_unit_needs_it(
    monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setattr(triton, "SIGN_OF_LIFE_S", 1.5 * FORGETS_AFTER_S)

    async def main() -> None:
        fake = FakeTriton()
        async with (
            serving(fake),
            behind_firewall(fake.url, forgets_after_s=FORGETS_AFTER_S) as wall,
            inference_stage(
                wall.url, transport=transport, tensors="inline", connect_timeout_s=1.5
            ) as made,
        ):
            assert (await made.outcome(await made.send(STATION))).outputs is not None
            await made.until(lambda: wall.connections >= 2)
            await made.until(lambda: made.told[-1][0] and len(made.told) > 1)
            assert any("no sign of life" in cause for _up, cause in made.told)
            assert (await made.outcome(await made.send(STATION))).outputs is not None

    asyncio.run(main(), debug=True)
