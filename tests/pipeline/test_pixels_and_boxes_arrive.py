"""The pixels a camera took reach the model, and the boxes it finds come back to the same place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from inspector.core.errors import ConfigurationError
from tests.kit.fake_triton import Deployed, FakeTriton, serving
from tests.kit.pipeline import HEIGHT_PX, WIDTH_PX, Line, Picture, frames, line, recording
from tests.kit.pipeline import settings_for as settings_with

pytestmark = pytest.mark.usefixtures("eager_captures")

SPOTS = [(40, 30, 20, 10), (0, 0, 16, 16), (WIDTH_PX - 24, HEIGHT_PX - 12, 24, 12), (70, 50, 8, 40)]
WITHIN_PX = WIDTH_PX / 64 + 1
"""One pixel of the model's input, at the scale of these tests, and rounding."""


def inspect(
    fake: FakeTriton, *, region: list[int] | None = None, **inference: Any
) -> tuple[Line, FakeTriton]:
    async def main() -> Line:
        async with serving(fake):
            camera = recording() if region is None else recording(region=region)
            settings = settings_with(fake.url, {"a": camera}, inference=inference)
            steps = [Picture(spot=spot) for spot in SPOTS] * 4 + list(frames(4))
            async with line(settings, {"a": steps}) as run:
                await asyncio.wait_for(run.ended, 10)
        return run

    return asyncio.run(main(), debug=True), fake


def check_boxes(run: Line) -> None:
    assert run.results() == ["FAILED"] * (4 * len(SPOTS)) + ["PASSED"] * 4
    for unit, (x, y, width, height) in zip(run.units, SPOTS * 4, strict=False):
        (defect,) = unit["defects"]
        assert defect["code"] == "mousebite"
        assert defect["confidence"] == pytest.approx(0.9, abs=0.01)
        left, top, wide, high = defect["bbox_px"]
        assert left == pytest.approx(x, abs=WITHIN_PX)
        assert top == pytest.approx(y, abs=WITHIN_PX)
        assert left + wide == pytest.approx(x + width, abs=WITHIN_PX)
        assert top + high == pytest.approx(y + height, abs=WITHIN_PX)


@pytest.mark.parametrize("transport", ["stream", "unary"])
@pytest.mark.parametrize("tensors", ["inline", "shared_memory", "auto"])
def test_every_way_to_the_server_carries_the_same_pixels(transport: str, tensors: str) -> None:
    run, fake = inspect(FakeTriton(), transport=transport, tensors=tensors)
    check_boxes(run)
    assert fake.shared_requests == (0 if tensors == "inline" else fake.requests)
    assert not fake.regions, "a region was left registered"


@pytest.mark.parametrize("dtype", ["UINT8", "FP32"])
@pytest.mark.parametrize("layout", ["detections", "objectness", "transposed"])
def test_every_kind_of_model_finds_the_spot_where_it_is(layout: str, dtype: str) -> None:
    run, _ = inspect(FakeTriton(Deployed(layout=layout, dtype=dtype)))
    check_boxes(run)


def test_a_model_of_the_pictures_own_scale_is_shown_tiles_where_nobody_chose_a_crop() -> None:
    run, _ = inspect(FakeTriton(Deployed(parameters={"scale": "own"})))
    check_boxes(run)
    for unit, (x, y, _, _) in zip(run.units, SPOTS * 4, strict=False):
        left, top = unit["defects"][0]["bbox_px"][:2]
        assert (left, top) == (pytest.approx(x, abs=1), pytest.approx(y, abs=1)), "unshrunk"


def test_boxes_found_in_a_region_are_told_in_pixels_of_the_frame() -> None:
    run, _ = inspect(FakeTriton(), region=[32, 24, 96, 80])
    x, y, width, height = SPOTS[0]
    left, top, wide, high = run.units[0]["defects"][0]["bbox_px"]
    assert left == pytest.approx(x, abs=2.5)
    assert top == pytest.approx(y, abs=2.5)
    assert left + wide == pytest.approx(x + width, abs=2.5)
    assert top + high == pytest.approx(y + height, abs=2.5)
    # What lies outside of the region was not looked at.
    assert run.results()[1:3] == ["PASSED", "PASSED"]


def test_a_server_that_cannot_open_our_memory_gets_the_bytes() -> None:
    run, fake = inspect(FakeTriton(shares=False))
    check_boxes(run)
    assert fake.shared_requests == 0


def test_shared_memory_that_was_asked_for_and_refused_is_a_configuration_error() -> None:
    async def main() -> None:
        async with serving(FakeTriton(shares=False)) as fake:
            settings = settings_with(
                fake.url, {"a": recording()}, inference={"tensors": "shared_memory"}
            )
            async with line(settings, {"a": frames(10)}) as run:
                with pytest.raises(ExceptionGroup) as caught:
                    await run.ended
        assert caught.group_contains(
            ConfigurationError, match=r"inference\.tensors is shared_memory.*cannot open ours"
        )

    asyncio.run(main(), debug=True)


def test_more_cameras_share_requests_and_keep_their_boxes() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = settings_with(fake.url, {"a": recording(), "b": recording()})
            scripts = {
                "a": [Picture(spot=(40, 30, 20, 10))] * 20,
                "b": [Picture(spot=(100, 70, 20, 10))] * 20,
            }
            async with line(settings, scripts) as run:
                await run.ended
            assert fake.requests < 40
        for camera, x in (("a", 40), ("b", 100)):
            boxes = [u["defects"][0]["bbox_px"] for u in run.units if u["camera"] == camera]
            assert len(boxes) == 20
            assert all(abs(box[0] - x) <= WITHIN_PX for box in boxes)

    asyncio.run(main(), debug=True)
