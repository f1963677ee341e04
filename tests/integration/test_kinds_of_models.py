"""Models of several kinds inspect the same units on a real Triton, and there is one verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit import small_graphs
from tests.kit.pipeline import Line, Picture, line, recording, settings_for
from tests.kit.triton_server import embedded_triton_in_background

SPOT = (48, 36, 60, 40)
"""x, y, width, height in a picture of 160x120; a whole number of pixels of the models' inputs."""
CODES_OF = {
    "classes": ["stain", "good"],
    "surface": ["anomaly"],
    "pixels": ["stain"],
}


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """The detector with masks is the station's; the others say of themselves how they are meant."""
    repository = tmp_path_factory.mktemp("kinds")
    small_graphs.yolo_with_masks(repository, "masks")
    small_graphs.classifier(repository, "classes", head="classification", good="good")
    small_graphs.anomaly_model(repository, "surface")
    small_graphs.pixel_classifier(repository, "pixels", head="segmentation_logits", stretch="true")
    with embedded_triton_in_background(repository) as server:
        yield server


def inspect(triton: EmbeddedTriton, pictures: list[Picture], **inference: Any) -> Line:
    async def main() -> Line:
        settings = settings_for(
            triton.grpc_url,
            {"a": recording()},
            inference={"model": "masks", "golden": "", "also": list(CODES_OF), **inference},
            inspection={"codes": ["blob"], "codes_of": CODES_OF, "threshold": 0.6},
        )
        async with line(settings, {"a": pictures}) as run:
            await asyncio.wait_for(run.ended, 60)
        return run

    return asyncio.run(main())


def test_each_kind_says_what_and_where_and_a_good_unit_needs_them_all(
    triton: EmbeddedTriton,
) -> None:
    run = inspect(triton, [Picture(), Picture(spot=SPOT), Picture()])
    assert [unit["result"] for unit in run.units] == ["PASSED", "FAILED", "PASSED"]
    good, bad, _ = run.units
    assert [model["name"] for model in good["models"]] == ["masks", *CODES_OF]
    assert all(model["version"] == "1" for model in good["models"])
    found = {defect["model"]: defect for defect in bad["defects"]}
    assert {model: one["code"] for model, one in found.items()} == {
        "masks": "blob",
        "classes": "stain",
        "surface": "anomaly",
        "pixels": "stain",
    }
    assert found["classes"]["bbox_px"] is None
    assert found["classes"]["polygon_px"] is None
    for model in ("masks", "surface", "pixels"):
        one = found[model]
        # A pixel of an input is 2.5 of the picture; a prototype's, 10.
        assert one["bbox_px"] == pytest.approx(SPOT, abs=6), model
        assert one["area_px"] == pytest.approx(SPOT[2] * SPOT[3], rel=0.2), model
        assert len(one["polygon_px"]) >= 4, model
        assert one["confidence"] > 0.9, model
