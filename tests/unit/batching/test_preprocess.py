from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.batching.preprocess import Preprocessor
from inspector.batching.regions import refitted, regions_of
from inspector.core.geometry import (
    Affine,
    back,
    between_centres,
    fit,
    frame_matrix,
    moved,
    upright_size_px,
)
from inspector.core.recipes import Cropping, Reference
from inspector.core.records import (
    PADDING_GREY,
    CameraId,
    Frame,
    FrameRef,
    Image,
    Letterbox,
    ModelInput,
    Outline,
    Placed,
    Rect,
    Region,
)
from tests.kit import compared_units as compared

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
    unfitted = Region(
        frame=Frame(ref=REF, lease=Picture(image)), rect=rect, letterbox=Letterbox(1.0, 0, 0)
    )
    return refitted(unfitted, spec)


def written(image: Image, spec: ModelInput, rect: Rect | None = None) -> Any:
    shape = (spec.height_px, spec.width_px, 3)
    row: Any = np.full(
        (3, *shape[:2]) if spec.channels_first else shape,
        99,
        np.uint8 if spec.dtype == "UINT8" else np.float32,
    )
    Preprocessor(spec).write(region_of(image, spec, rect), row)
    return row


def upright_of(image: Image, spec: ModelInput, outline: Outline) -> Region:
    rect = Rect(0, 0, *upright_size_px(outline))
    box = fit(rect, width_px=spec.width_px, height_px=spec.height_px)
    frame = Frame(ref=REF, lease=Picture(image))
    return Region(frame=frame, rect=rect, letterbox=box, upright=outline)


def turned(image: Image, spec: ModelInput, outline: Outline) -> Any:
    row = np.full((spec.height_px, spec.width_px, 3), 99, np.uint8)
    Preprocessor(spec).write(upright_of(image, spec, outline), row)
    return row


def outline(centre: tuple[float, float], size: tuple[float, float], turn_deg: float = 0) -> Outline:
    return Outline(
        centre_x_px=centre[0],
        centre_y_px=centre[1],
        width_px=size[0],
        height_px=size[1],
        turn_deg=turn_deg,
    )


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


def test_a_float_model_may_want_0_to_255() -> None:
    image = noise(50, 64)
    row = written(image, replace(model(64, dtype="FP32"), white=255.0))
    assert np.allclose(row, letterboxed(image, 64), rtol=0, atol=1e-4)


def test_a_model_that_enlarges_sees_a_small_region_at_the_size_of_its_input() -> None:
    image = np.full((16, 32, 3), 200, np.uint8)
    row = written(image, replace(model(64), enlarges=True))
    expected = np.full((64, 64, 3), 114, np.uint8)
    expected[16:48] = 200
    assert np.array_equal(row, expected)


def test_a_model_that_stretches_sees_nothing_but_the_region() -> None:
    """As OpenCV draws a picture to other sides; nothing of the grey that is around others."""
    image = noise(24, 96)
    spec = replace(model(48), stretches=True)
    expected = cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.array_equal(written(image, spec), expected)
    small = noise(12, 40)
    expected = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(written(small, spec), expected)


@pytest.mark.parametrize("size", [(1200, 300), (300, 1200), (640, 600)])
@pytest.mark.parametrize("turn_deg", [0.0, 20.0])
def test_small_bright_specks_survive_stretching(size: tuple[int, int], turn_deg: float) -> None:
    """Also in the direction that shrinks more, and on a unit that lies turned."""
    spec = replace(model(256), stretches=True)
    where = outline((700, 700), size, turn_deg)
    region = refitted(upright_of(np.zeros((1, 1, 3), np.uint8), spec, where), spec)
    box = region.letterbox
    for number in range(12):
        on_unit = size[0] * (0.1 + 0.07 * number), size[1] * (0.9 - 0.063 * number)
        x, y = moved(frame_matrix(where), *on_unit)
        image = np.zeros((1400, 1400, 3), np.uint8)
        image[round(y) : round(y) + 3, round(x) : round(x) + 3] = 255
        row = np.zeros((256, 256, 3), np.uint8)
        frame = Frame(ref=REF, lease=Picture(image))
        Preprocessor(spec).write(replace(region, frame=frame), row)
        light = row[..., 0].astype(np.float64)
        assert light.max() >= 20
        middle = np.array(
            [
                (light.sum(axis=0) * np.arange(0.5, 256)).sum() / light.sum(),
                (light.sum(axis=1) * np.arange(0.5, 256)).sum() / light.sum(),
            ]
        )
        wanted = np.array([on_unit[0] * box.scale, on_unit[1] * box.scale_down])
        assert np.abs(middle - wanted).max() < 2.5


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


def test_a_unit_that_lies_straight_is_cut_out_with_its_surroundings() -> None:
    image = noise(200, 300)
    row = turned(image, model(64), outline((150, 100), (60, 40)))
    # The unit's 60 x 40 pixels lie at 2, 12 in the input: its corner at 120, 80 in the frame.
    assert np.array_equal(row, image[68:132, 118:182])


def test_what_lies_outside_the_frame_is_grey() -> None:
    image = noise(64, 64)
    row = turned(image, model(64), outline((0, 32), (64, 64)))
    assert np.array_equal(row[:, 32:], image[:, :32])
    assert (row[:, :32] == PADDING_GREY).all()


def test_a_unit_far_outside_the_frame_is_no_error() -> None:
    assert (turned(noise(64, 64), model(64), outline((900, 900), (30, 30))) == PADDING_GREY).all()


@pytest.mark.parametrize("turn_deg", [-45.0, -10.0, -0.5, 0.0, 3.0, 30.0, 45.0])
@pytest.mark.parametrize(
    ("frame_size", "size"),
    [
        ((480, 640), (50, 40)),  # at its own scale
        ((720, 1280), (742, 676)),  # shrunk a little
        ((1400, 1600), (900, 800)),  # halved
        ((2048, 2448), (1600, 1300)),  # halved and averaged
    ],
)
def test_a_mark_on_a_turned_unit_is_where_it_is_on_the_upright_one(
    frame_size: tuple[int, int], size: tuple[int, int], turn_deg: float
) -> None:
    spec = model(320)
    where = outline((frame_size[1] / 2 + 3.3, frame_size[0] / 2 - 2.6), size, turn_deg)
    region = upright_of(np.zeros((1, 1, 3), np.uint8), spec, where)
    box, radius_px = region.letterbox, max(4, round(3 / region.letterbox.scale))
    for share_x, share_y in ((0.5, 0.5), (0.2, 0.3), (0.85, 0.75)):
        on_unit = size[0] * share_x, size[1] * share_y
        x, y = moved(frame_matrix(where), *on_unit)
        image = np.zeros((*frame_size, 3), np.uint8)
        rows, columns = np.ogrid[: frame_size[0], : frame_size[1]]
        disc = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius_px**2
        image[disc] = 255
        # The disc's own centre: its pixels are not spread evenly about x, y.
        seen_y, seen_x = (np.argwhere(disc).mean(axis=0) + 0.5).tolist()
        expected_x = (on_unit[0] + seen_x - x) * box.scale + box.left_px
        expected_y = (on_unit[1] + seen_y - y) * box.scale + box.top_px
        left, top = round(expected_x) - 12, round(expected_y) - 12
        light = turned(image, spec, where)[top : top + 24, left : left + 24, 0].astype(np.float64)
        centre_x = (light.sum(axis=0) * (np.arange(24) + 0.5)).sum() / light.sum() + left
        centre_y = (light.sum(axis=1) * (np.arange(24) + 0.5)).sum() / light.sum() + top
        assert centre_x == pytest.approx(expected_x, abs=0.1)
        assert centre_y == pytest.approx(expected_y, abs=0.1)


@pytest.mark.parametrize("turn_deg", [0.0, 2.0, -17.0])
@pytest.mark.parametrize("size", [(1200, 1100), (1900, 1500), (2300, 1900)])
def test_small_bright_specks_on_a_large_unit_survive_turning(
    size: tuple[int, int], turn_deg: float
) -> None:
    spec = model(640)
    image = np.zeros((2048, 2448, 3), np.uint8)
    where = outline((1224, 1024), size, turn_deg)
    box = upright_of(image, spec, where).letterbox
    marks = []
    for share_x in np.linspace(0.2, 0.8, 11):
        for share_y in np.linspace(0.2, 0.8, 9):
            on_unit = size[0] * float(share_x), size[1] * float(share_y)
            left, top = (round(value) for value in moved(frame_matrix(where), *on_unit))
            image[top : top + 2, left : left + 2] = 255
            marks.append(on_unit)
    row = turned(image, spec, where)
    faintest = min(16, 255 * box.scale**2 / 2)
    lost = []
    for x, y in marks:
        u, v = round(x * box.scale + box.left_px), round(y * box.scale + box.top_px)
        if row[v - 3 : v + 4, u - 3 : u + 4].max() < faintest:
            lost.append((x, y))
    assert not lost, f"{len(lost)} of {len(marks)} specks lost"


@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("dtype", ["UINT8", "FP32"])
def test_every_form_holds_the_same_upright_picture(dtype: str, first: bool, rgb: bool) -> None:  # noqa: FBT001
    image, where = noise(100, 120), outline((60, 50), (70, 66), 12)
    expected = turned(image, model(64), where)[..., :: -1 if rgb else 1]
    spec = model(64, dtype=dtype, first=first, rgb=rgb)
    shape = (3, 64, 64) if first else (64, 64, 3)
    row: Any = np.full(shape, 99, np.uint8 if dtype == "UINT8" else np.float32)
    Preprocessor(spec).write(upright_of(image, spec, where), row)
    seen = row.transpose(1, 2, 0) if first else row
    assert np.allclose(seen, expected / (255 if dtype == "FP32" else 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(742, 676), (1900, 1700)])
def test_turning_allocates_no_picture_per_frame_whatever_the_outline(size: tuple[int, int]) -> None:
    spec = model(640)
    image = np.zeros((2048, 2448, 3), np.uint8)
    row: Any = np.zeros((640, 640, 3), np.uint8)
    before = row.__array_interface__["data"]
    writer = Preprocessor(spec)
    regions = [
        upright_of(image, spec, outline((1200 + n, 1000 - n), (size[0] + n, size[1] - n), n / 2))
        for n in range(6)
    ]
    writer.write(regions[0], row)
    tracemalloc.start()
    try:
        for region in regions[1:]:
            writer.write(region, row)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100_000
    assert row.__array_interface__["data"] == before


BESIDE = ModelInput(
    name="image",
    width_px=256,
    height_px=256,
    channels_first=False,
    channels=2,
    dtype="UINT8",
    rgb=False,
)


def lies(turn_deg: float = 2.0, scale: float = 1.0) -> Affine:
    """From a frame of 640x480 to a reference of 320x300."""
    turn = math.radians(turn_deg)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    return (
        (cos, sin, 160 - cos * 310 - sin * 250),
        (-sin, cos, 150 + sin * 310 - cos * 250),
    )


def frame_with(picture: Image, matrix: Affine) -> Image:
    """A frame in which a board lies as the matrix says, on a belt."""
    frame = np.full((480, 640, 3), 60, np.uint8)
    there = np.array(between_centres(back(matrix)))
    cv2.warpAffine(picture, there, (640, 480), dst=frame, borderMode=cv2.BORDER_TRANSPARENT)
    return frame


def beside(
    image: Image, matrix: Affine, spec: ModelInput = BESIDE, *, of: Reference | None = None
) -> Any:
    """Every piece of a frame as the model sees it: (pieces, *shape)."""
    view = Cropping(rect=Rect(0, 0, 640, 480), crop="tiles", tile_overlap_px=32)
    one = compared.frame(image, compared.job(of, cropping=view))
    known = Placed(likeness=1.0, shift_px=0.0, matrix=matrix)
    one = replace(one, ref=replace(one.ref, placed=known))
    dtype = np.uint8 if spec.dtype == "UINT8" else np.float32
    writer, regions = Preprocessor(spec), regions_of(view, one, spec)
    rows: Any = np.full((len(regions), *spec.shape), 99, dtype)
    for row, region in zip(rows, regions, strict=True):
        writer.write(region, row)
    return rows


WHOLE_UNIT = replace(BESIDE, width_px=384, height_px=384)


@pytest.mark.parametrize("turn_deg", [0.0, 2.0, -3.0])
def test_a_unit_lies_on_its_reference_beside_it(turn_deg: float) -> None:
    picture = compared.board().picture
    (row,) = beside(frame_with(picture, lies(turn_deg)), lies(turn_deg), WHOLE_UNIT)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    shown = row[42 : 42 + 300, 32 : 32 + 320]
    assert np.array_equal(shown[..., 1], grey)
    inner = (slice(2, -2), slice(2, -2))
    assert np.abs(shown[..., 0][inner].astype(int) - grey[inner]).mean() < 2
    around = np.ones(row.shape[:2], np.bool_)
    around[41:343, 31:353] = False
    assert (row[around] == PADDING_GREY).all(), "beside the unit both are grey"


def test_a_unit_without_its_registration_would_differ() -> None:
    picture = compared.board().picture
    (row,) = beside(frame_with(picture, lies(0.0)), lies(2.0), WHOLE_UNIT)
    differs = np.abs(row[44:340, 34:350, 0].astype(int) - row[44:340, 34:350, 1])
    assert differs.mean() > 5


def test_each_tile_of_a_unit_lies_on_its_part_of_the_reference() -> None:
    picture = compared.board().picture
    rows = beside(frame_with(picture, lies()), lies())
    assert len(rows) == 4
    for row in rows:
        differs = np.abs(row[3:-3, 3:-3, 0].astype(int) - row[3:-3, 3:-3, 1])
        assert differs.mean() < 2
        assert row[..., 1].std() > 20
    assert not np.array_equal(rows[0][..., 1], rows[1][..., 1])


@pytest.mark.parametrize("dtype", ["UINT8", "FP32"])
@pytest.mark.parametrize("first", [False, True])
def test_every_form_holds_the_same_comparison(dtype: str, first: bool) -> None:  # noqa: FBT001
    frame = frame_with(compared.board(2).picture, lies())
    (expected,) = beside(frame, lies(), WHOLE_UNIT)
    spec = replace(WHOLE_UNIT, dtype=dtype, channels_first=first)
    (row,) = beside(frame, lies(), spec)
    found = row.transpose(1, 2, 0) if first else row
    if dtype == "FP32":
        found = np.round(found * 255)
    assert np.array_equal(found, expected)


def test_what_differs_naturally_is_not_shown() -> None:
    deviation = np.zeros((300, 320), np.uint8)
    deviation[100:150, 120:180] = 110
    of = compared.reference(deviation=deviation)
    picture = compared.board().picture.copy()
    picture[100:150, 120:180] = 250
    (row,) = beside(frame_with(picture, lies()), lies(), WHOLE_UNIT, of=of)
    (plain,) = beside(frame_with(picture, lies()), lies(), WHOLE_UNIT)
    inside = (slice(42 + 104, 42 + 146), slice(32 + 124, 32 + 176))
    for shown, differs in ((row, False), (plain, True)):
        levels = np.abs(shown[(*inside, 0)].astype(int) - shown[(*inside, 1)]).mean()
        assert (levels > 60) == differs
        assert (levels < 10) != differs


def test_a_large_unit_that_is_shrunk_is_shrunk_as_its_reference_is() -> None:
    small = replace(BESIDE, width_px=128, height_px=128)
    view = Cropping(rect=Rect(0, 0, 640, 480), crop="unit")
    picture = compared.board().picture
    one = compared.frame(frame_with(picture, lies(0.0)), compared.job(cropping=view))
    known = Placed(likeness=1.0, shift_px=0.0, matrix=lies(0.0))
    one = replace(one, ref=replace(one.ref, placed=known))
    (region,) = regions_of(view, one, small)
    assert region.letterbox.scale == 0.4
    row = np.empty(small.shape, np.uint8)
    Preprocessor(small).write(region, row)
    assert np.abs(row[..., 0].astype(int) - row[..., 1]).mean() < 2


def test_a_frame_that_shows_nothing_of_the_reference_is_no_error() -> None:
    far: Affine = ((1.0, 0.0, 5000.0), (0.0, 1.0, 5000.0))
    (row,) = beside(np.zeros((480, 640, 3), np.uint8), far, WHOLE_UNIT)
    assert (row[60:300, 60:300, 0] == PADDING_GREY).all()


@pytest.mark.parametrize("rgb", [True, False])
def test_a_float_input_gets_its_mean_taken_off_and_is_divided_by_its_deviation(rgb):
    spec = replace(
        model(64, dtype="FP32", first=True, rgb=rgb),
        mean=(0.485, 0.456, 0.406),
        deviation=(0.229, 0.224, 0.225),
    )
    image = np.zeros((64, 64, 3), np.uint8)
    image[:] = (10, 100, 250)  # blue, green, red
    row = written(image, spec)
    red, green = (250 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224
    blue = (10 / 255 - 0.406) / 0.225
    expected = [red, green, blue] if rgb else [blue, green, red]
    for plane, value in zip(row, expected, strict=True):
        assert plane == pytest.approx(value, abs=1e-5)


def test_what_lies_beside_a_region_is_what_the_model_was_trained_with():
    spec = replace(model(64), padding=0)
    row = written(np.full((32, 64, 3), 9, np.uint8), spec)
    assert (row[:16] == 0).all()
    assert (row[16:48] == 9).all()
    assert (row[48:] == 0).all()


REGISTERED = replace(WHOLE_UNIT, channels=3, registered=True)


@pytest.mark.parametrize("turn_deg", [0.0, 2.0, -3.0])
def test_a_registered_unit_lies_as_its_reference_does_and_alone(turn_deg: float) -> None:
    picture = compared.board().picture
    (row,) = beside(frame_with(picture, lies(turn_deg)), lies(turn_deg), REGISTERED)
    shown, inner = row[42 : 42 + 300, 32 : 32 + 320], (slice(2, -2), slice(2, -2))
    assert np.abs(shown[inner].astype(int) - picture[inner]).mean() < 2
    around = np.ones(row.shape[:2], np.bool_)
    around[42:342, 32:352] = False
    assert (row[around] == PADDING_GREY).all(), "nothing of the belt is seen"


@pytest.mark.parametrize(("dtype", "first"), [("UINT8", True), ("FP32", True), ("FP32", False)])
def test_every_form_holds_the_same_registered_unit(dtype: str, first: bool) -> None:  # noqa: FBT001
    image = frame_with(compared.board().picture, lies())
    plain = beside(image, lies(), REGISTERED)
    other = beside(image, lies(), replace(REGISTERED, dtype=dtype, channels_first=first, rgb=True))
    if first:
        other = other.transpose(0, 2, 3, 1)
    scale = 255 if dtype == "FP32" else 1
    assert np.array_equal(np.rint(other * scale).astype(np.uint8), plain[..., ::-1])
