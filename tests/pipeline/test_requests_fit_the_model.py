"""A request holds as many pictures as its model takes: few, or the number its graph is for."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.fake_triton import Deployed, FakeTriton, serving
from tests.kit.pipeline_units import live, patient, unit_line

TILES = {"crop": "tiles", "tile_overlap_px": 16}
"""160 by 120 in tiles of 64 with 16 in common: 3 by 3."""


@pytest.mark.parametrize(
    ("deployed", "requests"),
    [
        (Deployed(max_batch_size=2), 5),
        (Deployed(max_batch_size=1), 9),
        (Deployed(exactly=4), 3),
        (Deployed(exactly=6), 3),
    ],
)
def test_every_tile_is_inspected_whatever_number_a_model_takes(
    deployed: Deployed, requests: int
) -> None:
    async def main() -> None:
        async with serving(FakeTriton(deployed)) as fake:
            settings = patient(
                fake.url, {"a": TILES}, batching={"max_regions": 4, "window_ms": 0.0}
            )
            script = live(3, fps=5, spot=(50, 50, 14, 14))
            async with unit_line(settings, {"a": script}) as run:
                await asyncio.wait_for(asyncio.shield(run.ended), 10)
        assert run.results() == ["FAILED"] * 3
        assert not any(run.missed("a").values())
        assert fake.requests == 3 * requests
        for unit in run.units:
            assert [d["bbox_px"] for d in unit["defects"]] == [[50, 50, 14, 14]]

    asyncio.run(main(), debug=True)
