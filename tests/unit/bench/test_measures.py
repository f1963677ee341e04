from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.bench import measures
from inspector.bench.load import Server
from inspector.bench.measures import DensityStep

SERVER = Server(url="127.0.0.1:9", model="m", max_regions=3)


@given(st.integers(0, 300))
def test_the_number_of_cameras_is_found_whatever_it_is(true: int) -> None:
    tried: list[int] = []

    async def belts(_server: Server, cameras: int, _seconds: float) -> DensityStep:
        tried.append(cameras)
        return DensityStep(
            cameras=cameras, units=9, age_p95_ms=1, held=cameras <= true, why_not="", cores=1
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "_belts", belts)
        held = asyncio.run(measures.density(SERVER, 10))
    assert held == min(true, 256)
    assert len(tried) <= 18
