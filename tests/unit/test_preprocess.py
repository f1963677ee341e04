from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from inspector.batching.preprocess import PADDING_GREY, Preprocessor
from inspector.geometry import fit
from inspector.records import CameraId, Frame, FrameRef, Image, ModelInput, Rect, Region

REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)


class Picture:
    """A lease nobody takes back."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def release(self) -> None:
        pass


def model(side_px: int, *, dtype: str = "UINT8", first: bool = False, rgb: bool = False) -> Any:
    return ModelInput(
        name="image",
        width_px=side_px,
        height_px=side_px,
        channels_first=first,
        dtype=dtype,
        rgb=rgb,
    )


def region_of(image: Image, spec: ModelInput, rect: Rect | None = None) -> Region:
    rect = rect or Rect(0, 0, image.shape[1], image.shape[0])
    box = fit(rect, width_px=spec.width_px, height_px=spec.height_px)
    return Region(frame=Frame(ref=REF, lease=Picture(image)), rect=rect, letterbox=box)


def written(image: Image, spec: ModelInput, rect: Rect | None = None) -> Any:
    shape = (spec.height_px, spec.width_px, 3)
    row: Any = np.full(
        (3, *shape[:2]) if spec.channels_first else shape,
        99,
        np.uint8 if spec.dtype == "UINT8" else np.float32,
    )
    Preprocessor(spec).write(region_of(image, spec, rect), row)
    return row


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def letterboxed(image: Image, side_px: int) -> Image:
    """What a picture that needs no scaling must look like."""
    expected = np.full((side_px, side_px, 3), 114, np.uint8)
    top, left = (side_px - image.shape[0]) // 2, (side_px - image.shape[1]) // 2
    expected[top : top + image.shape[0], left : left + image.shape[1]] = image
    return expected


@pytest.mark.parametrize("size", [(64, 64), (40, 64), (64, 30), (41, 63), (5, 7)])
def test_pixels_arrive_unchanged_where_nothing_is_scaled(size: tuple[int, int]) -> None:
    image = noise(*size)
    assert np.array_equal(written(image, model(64)), letterboxed(image, 64))


def test_a_model_that_wants_rgb_gets_rgb_padding_and_all() -> None:
    image = noise(40, 64)
    expected = letterboxed(image, 64)[..., ::-1]
    assert np.array_equal(written(image, model(64, rgb=True)), expected)


@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("dtype", ["UINT8", "FP32"])
def test_every_form_holds_the_same_picture(dtype: str, first: bool, rgb: bool) -> None:  # noqa: FBT001
    image = noise(50, 64)
    expected = letterboxed(image, 64)[..., :: -1 if rgb else 1]
    row = written(image, model(64, dtype=dtype, first=first, rgb=rgb))
    seen = row.transpose(1, 2, 0) if first else row
    if dtype == "FP32":
        assert row.dtype == np.float32
        assert np.allclose(seen, expected / 255, rtol=0, atol=1e-6)
        assert row.max() <= 1.0
    else:
        assert np.array_equal(seen, expected)


def test_the_padding_is_what_detectors_were_trained_with() -> None:
    row = written(np.zeros((20, 64, 3), np.uint8), model(64))
    assert PADDING_GREY == 114
    assert (row[:22] == 114).all()
    assert (row[42:] == 114).all()
    assert (row[22:42] == 0).all()


def test_only_the_region_is_looked_at() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    inside = Rect(30, 20, 60, 50)
    image[20:70, 30:90] = noise(50, 60)
    row = written(image, model(64), inside)
    assert np.array_equal(row, letterboxed(image[20:70, 30:90], 64))


def test_halving_averages_exactly() -> None:
    image = noise(128, 128)
    row = written(image, model(64))
    blocks = image.reshape(64, 2, 64, 2, 3).astype(np.int32).sum(axis=(1, 3))
    assert np.abs(row.astype(np.int32) - blocks / 4).max() <= 0.5


def test_quartering_averages_to_within_rounding() -> None:
    image = noise(256, 256)
    blocks = image.reshape(64, 4, 64, 4, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(written(image, model(64)) - blocks).max() <= 1.0


@pytest.mark.parametrize(
    ("width", "height"),
    [(800, 600), (1200, 900), (1280, 720), (1920, 1080), (2448, 2048), (2540, 1400), (5000, 4000)],
)
def test_small_bright_specks_survive_shrinking(width: int, height: int) -> None:
    spec = model(640)
    image = np.zeros((height, width, 3), np.uint8)
    specks = [
        (x, y)
        for y in range(37, height - 40, height // 13)
        for x in range(41, width - 40, width // 17)
    ]
    for x, y in specks:
        image[y : y + 2, x : x + 2] = 255
    row, box = written(image, spec), region_of(image, spec).letterbox
    # Were its light spread over four pixels evenly, a speck would show as 255 * scale ** 2.
    faintest = 255 * box.scale**2 / 2
    lost = []
    for x, y in specks:
        u, v = round(x * box.scale + box.left_px), round(y * box.scale + box.top_px)
        if row[v - 2 : v + 4, u - 2 : u + 4].max() < min(16, faintest):
            lost.append((x, y))
    assert not lost, f"{len(lost)} of {len(specks)} specks lost"


def test_a_row_is_written_where_it_lies_and_its_neighbours_are_left_alone() -> None:
    spec = model(64)
    tensor = np.full((3, 64, 64, 3), 99, np.uint8)
    before = tensor.__array_interface__["data"]
    Preprocessor(spec).write(region_of(noise(100, 100), spec), tensor[1])
    assert tensor.__array_interface__["data"] == before
    assert (tensor[0] == 99).all()
    assert (tensor[2] == 99).all()
    assert not (tensor[1] == 99).all()


def test_nothing_of_the_last_picture_shows_through() -> None:
    spec = model(64)
    writer, row = Preprocessor(spec), np.zeros((64, 64, 3), np.uint8)
    tall, wide = noise(120, 40), noise(30, 64)
    writer.write(region_of(tall, spec), row)
    writer.write(region_of(wide, spec), row)
    assert np.array_equal(row, letterboxed(wide, 64))


@pytest.mark.parametrize("size", [(720, 1280), (2048, 2448), (1300, 2600), (640, 640)])
@pytest.mark.parametrize("dtype", ["UINT8", "FP32"])
def test_no_picture_sized_memory_is_allocated_per_frame(size: tuple[int, int], dtype: str) -> None:
    spec = model(640, dtype=dtype, first=dtype == "FP32")
    image = np.zeros((*size, 3), np.uint8)
    shape = (3, 640, 640) if dtype == "FP32" else (640, 640, 3)
    row: Any = np.zeros(shape, np.float32 if dtype == "FP32" else np.uint8)
    writer, region = Preprocessor(spec), region_of(image, spec)
    writer.write(region, row)
    tracemalloc.start()
    try:
        for _ in range(3):
            writer.write(region, row)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100_000


def test_extreme_shapes_are_written_too() -> None:
    for height, width in ((16, 4000), (4000, 16), (16, 16)):
        row = written(np.full((height, width, 3), 255, np.uint8), model(64))
        assert row.max() == 255
