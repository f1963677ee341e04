"""Where a unit's picture lies on its reference, on boards that are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from inspector.core.geometry import Affine, between_centres, moved, upright_matrix
from inspector.core.records import Image, Outline
from inspector.products.registration import Limits, Pose, Registrar
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode

WIDTH_PX, HEIGHT_PX = 676, 640
FITS = 0.95
FOREIGN = 0.25
"""The drawn designs have the edge connector and the place of the label in common."""


def board(number: int = 1, *, product: int = 0, bad: bool = False) -> Image:
    defects = (DefectCode.OPEN, DefectCode.SHORT, DefectCode.COPPER) if bad else ()
    return draw_board(
        number,
        seed=7,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        defects=defects,
        product=product,
    ).picture


@pytest.fixture(scope="module")
def registrar() -> Registrar:
    return Registrar(board())


def placed(x_px: float, y_px: float, turn_deg: float = 0.0, scale: float = 1.0) -> Affine:
    """Moved by so much, turned and enlarged around the middle of the board."""
    turn = math.radians(turn_deg)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    mid_x, mid_y = WIDTH_PX / 2, HEIGHT_PX / 2
    return (
        (cos, -sin, mid_x + x_px - cos * mid_x + sin * mid_y),
        (sin, cos, mid_y + y_px - sin * mid_x - cos * mid_y),
    )


def shown(picture: Image, matrix: Affine, size: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)) -> Image:
    """What a camera sees of a board that lies so, on a grey belt."""
    return np.asarray(
        cv2.warpAffine(picture, np.array(between_centres(matrix)), size, borderValue=(90, 88, 86)),
        np.uint8,
    )


def error_px(pose: Pose, truth: Affine) -> float:
    """How far a corner of the board is put beside its place, at most."""
    corners = [(x, y) for x in (0, WIDTH_PX) for y in (0, HEIGHT_PX)]
    back = [moved(pose.matrix, *moved(truth, *corner)) for corner in corners]
    return max(math.dist(*pair) for pair in zip(corners, back, strict=True))


@pytest.mark.parametrize(
    "matrix",
    [
        placed(0, 0),
        placed(0.4, -0.3, 0.1),
        placed(9, -12, 1.2, 1.015),
        placed(-15, 10, -1.5, 0.985),
    ],
)
def test_a_board_is_found_to_a_fraction_of_a_pixel(registrar: Registrar, matrix: Affine) -> None:
    pose = registrar.register(shown(board(2), matrix))
    assert error_px(pose, matrix) < 0.3
    assert pose.fits(FITS)


@pytest.mark.parametrize("matrix", [placed(40, -35, 3.1, 1.03), placed(-50, 20, -4.2, 0.96)])
def test_a_board_far_from_where_it_was_expected_is_found_too(
    registrar: Registrar, matrix: Affine
) -> None:
    seen = shown(board(2), matrix)
    pose = registrar.register(seen)
    assert error_px(pose, matrix) < 0.5
    assert pose.fits(FITS)
    back = np.linalg.inv(np.array((*matrix, (0, 0, 1)), np.float64)).tolist()
    again = registrar.register(seen, start=(tuple(back[0]), tuple(back[1])))
    assert error_px(again, matrix) < 0.5
    assert again.shift_px == pytest.approx(pose.shift_px, abs=0.2)


def test_what_is_reported_of_the_place_is_what_it_is(registrar: Registrar) -> None:
    pose = registrar.register(shown(board(), placed(6, 8, 2, 1.02)))
    # The way back: from the picture to the reference.
    assert pose.shift_px == pytest.approx(10 / 1.02, abs=0.2)
    assert pose.turn_deg == pytest.approx(-2, abs=0.03)
    assert pose.scale == pytest.approx(1 / 1.02, abs=0.0005)


def lit_from_the_side(picture: Image) -> Image:
    light = np.linspace(0.65, 1.2, WIDTH_PX)[None, :, None]
    return np.clip(picture * light, 0, 255).astype(np.uint8)


def noisy(picture: Image) -> Image:
    noise = np.random.default_rng(1).normal(0, 12, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: (picture * 0.7).astype(np.uint8),
        lambda picture: np.clip(picture * 1.3, 0, 255).astype(np.uint8),
        lambda picture: (255 * (picture / 255.0) ** 1.8).astype(np.uint8),
        lit_from_the_side,
        noisy,
        lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 2), np.uint8),
        lambda picture: np.asarray(cv2.blur(picture, (9, 1)), np.uint8),
    ],
    ids=["darker", "brighter", "tone", "from the side", "noise", "blur", "smear"],
)
def test_a_bad_board_in_another_light_is_the_same_design(
    registrar: Registrar, change: Callable[[Image], Image]
) -> None:
    matrix = placed(3, -4, 0.5)
    pose = registrar.register(change(shown(board(5, bad=True), matrix)))
    assert error_px(pose, matrix) < 0.6
    assert pose.fits(FITS)


@pytest.mark.parametrize("product", range(1, 9))
def test_another_design_is_unlike(registrar: Registrar, product: int) -> None:
    pose = registrar.register(board(product=product))
    assert pose.likeness < FOREIGN
    assert not pose.turned


def test_another_laminate_is_the_same_design() -> None:
    grey = cv2.cvtColor(board(), cv2.COLOR_BGR2GRAY)
    bluish = np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_BONE), np.uint8)
    assert Registrar(board()).register(bluish).fits(FITS)


def test_a_board_upside_down_does_not_fit_and_is_said_to_be_turned(registrar: Registrar) -> None:
    upside_down = np.asarray(cv2.rotate(board(2), cv2.ROTATE_180), np.uint8)
    pose = registrar.register(upside_down)
    assert pose.turned
    assert not pose.fits(0.6)


def test_a_board_beyond_the_limits_does_not_fit() -> None:
    matrix = placed(14, 0)
    seen = shown(board(2), matrix)
    near = Registrar(board(), limits=Limits(shift_share=0.01)).register(seen)
    assert near.likeness >= FITS
    assert not near.fits(0.6)
    assert Registrar(board(), limits=Limits(shift_share=0.03)).register(seen).fits(FITS)
    turned = shown(board(2), placed(0, 0, 2))
    assert not Registrar(board(), limits=Limits(turn_deg=1)).register(turned).fits(0.6)
    larger = shown(board(2), placed(0, 0, 0, 1.02))
    assert not Registrar(board(), limits=Limits(size_share=0.01)).register(larger).fits(0.6)


def test_a_board_is_found_in_a_whole_frame_by_its_outline(registrar: Registrar) -> None:
    there: Affine = placed(300, 150, 4.0)
    frame = shown(board(3, bad=True), there, (1400, 1000))
    x_px, y_px = moved(there, WIDTH_PX / 2, HEIGHT_PX / 2)
    outline = Outline(
        centre_x_px=x_px + 1.5,
        centre_y_px=y_px - 2,
        width_px=WIDTH_PX + 1.2,
        height_px=HEIGHT_PX - 0.7,
        turn_deg=4.1,
    )
    pose = registrar.register(frame, upright_matrix(outline))
    assert error_px(pose, there) < 0.3
    assert pose.fits(FITS)
    assert 1 < pose.shift_px < 4


def test_a_label_that_differs_moves_no_board() -> None:
    reference = board()
    deviation = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    deviation[200:420, 250:500] = 80
    plain, knowing = Registrar(reference), Registrar(reference, deviation)
    labelled = board(2)
    noise = np.random.default_rng(3).integers(0, 255, (22, 25), np.uint8)
    labelled[200:420, 250:500] = cv2.resize(noise, (250, 220))[..., None]
    one, other = plain.register(labelled), knowing.register(labelled)
    assert other.likeness > max(one.likeness, FITS)
    assert error_px(other, placed(0, 0)) < 0.3


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_picture_is_like_nothing(registrar: Registrar, level: int) -> None:
    plain = np.full((HEIGHT_PX, WIDTH_PX, 3), level, np.uint8)
    assert registrar.register(plain).likeness < FOREIGN
    assert Registrar(plain).register(board()).likeness < FOREIGN


def test_a_board_that_is_not_in_the_picture_does_not_fit(registrar: Registrar) -> None:
    away: Affine = ((1.0, 0.0, 2000.0), (0.0, 1.0, 0.0))
    assert registrar.register(board(), away).likeness == 0
    half_out: Affine = ((1.0, 0.0, 400.0), (0.0, 1.0, 0.0))
    assert not registrar.register(board(), half_out).fits(0.6)


@pytest.mark.parametrize("size", [(150, 120), (300, 200), (1500, 1300)])
def test_small_and_large_units_are_found(size: tuple[int, int]) -> None:
    small = np.asarray(cv2.resize(board(), size, interpolation=cv2.INTER_AREA), np.uint8)
    matrix = np.array([[1, 0, size[0] * 0.01], [0, 1, -size[1] * 0.01]])
    seen = cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    pose = Registrar(small).register(np.asarray(seen, np.uint8))
    assert pose.fits(FITS)
    assert pose.shift_px == pytest.approx(math.hypot(*size) * 0.01, rel=0.1, abs=0.15)


def test_one_registrar_serves_several_threads(registrar: Registrar) -> None:
    seen = [shown(board(2), placed(x_px, 3, 0.4)) for x_px in range(-8, 8)]
    alone = [registrar.register(picture) for picture in seen]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(registrar.register, seen)) == alone


def strange(kind: int, height_px: int, width_px: int, rng: np.random.Generator) -> Image:
    """What a camera might show on a bad day."""
    picture = np.zeros((height_px, width_px, 3), np.uint8)
    if kind == 0:
        picture = rng.integers(0, 256, picture.shape, np.uint8)
    elif kind == 1:
        picture[:] = rng.integers(0, 256)
    elif kind == 2:
        picture[rng.integers(0, height_px), rng.integers(0, width_px)] = 255
    elif kind == 3:
        picture[:: int(rng.integers(2, 20))] = 255
    elif kind == 4:
        small = rng.integers(0, 256, (2, 2, 3), np.uint8)
        picture = np.asarray(cv2.resize(small, (width_px, height_px)), np.uint8)
    else:
        picture = np.asarray(cv2.resize(board(), (width_px, height_px)), np.uint8)
    return picture


@pytest.mark.parametrize("seed", range(60))
def test_no_picture_of_any_shape_is_more_than_unlike(seed: int) -> None:
    """An exception would end the station's inspection."""
    rng = np.random.default_rng(seed)
    height_px, width_px = rng.integers(8, 420, 2).tolist()
    one = Registrar(strange(int(rng.integers(0, 6)), height_px, width_px, rng))
    for far in (False, True):
        high_px, wide_px = rng.integers(4, 500, 2).tolist()
        seen = strange(int(rng.integers(0, 6)), high_px, wide_px, rng)
        turn, scale = rng.uniform(-3, 3), math.exp(rng.uniform(-2, 2))
        cos, sin = float(scale * math.cos(turn)), float(scale * math.sin(turn))
        x_px, y_px = rng.uniform(-300, 300, 2).tolist()
        at: Affine = ((cos, -sin, x_px), (sin, cos, y_px))
        pose = one.register(seen, at if far else None)
        assert -1.001 <= pose.likeness <= 1.001
        assert np.isfinite(pose.matrix).all()
