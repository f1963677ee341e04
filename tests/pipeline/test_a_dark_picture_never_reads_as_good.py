"""A picture in which nothing can be seen is not shown to the model, which would find no defect."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.fake_triton import FakeTriton, serving
from tests.kit.pipeline import WIDTH_PX, Box, frames, line, settings_for

REGION = [0, 0, WIDTH_PX // 2, 120]
INSIDE, BESIDE = (20, 20, 40, 40), (100, 20, 40, 40)


async def seen(spot: Box | None) -> set[str]:
    fake = FakeTriton()
    async with serving(fake):
        settings = settings_for(fake.url, {"a": {"region": REGION, "dark_below": 100}})
        async with line(settings, {"a": frames(6, fps=20, spot=spot)}) as run:
            await run.until(lambda: len(run.units) >= 6)
        return set(run.results()) - {"model_unavailable"}


@pytest.mark.parametrize("spot", [None, BESIDE])
def test_light_only_beside_the_region_is_dark(spot: Box | None) -> None:
    assert asyncio.run(seen(spot)) == {"camera_dark"}


def test_light_in_the_region_is_not_dark() -> None:
    assert "camera_dark" not in asyncio.run(seen(INSIDE))
