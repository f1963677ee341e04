from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.core.geometry import between_centres, frame_matrix
from inspector.core.records import Image, Outline
from inspector.simulation.board import draw_board
from inspector.triggers.presence.occupancy import lay_grid
from inspector.triggers.presence.outline import Place, find_outline

WIDTH_PX, HEIGHT_PX = 900, 640
BELT = (52, 48, 46)
BOARD = draw_board(1, seed=3, width_px=420, height_px=380).picture


def outline(x_px: float, y_px: float, turn_deg: float) -> Outline:
    return Outline(
        centre_x_px=x_px, centre_y_px=y_px, width_px=420, height_px=380, turn_deg=turn_deg
    )


def painted(true: Outline, *, shadow: bool = False, noise: float = 3.0) -> Image:
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), BELT, np.uint8)
    matrix = np.array(between_centres(frame_matrix(true)))
    size = (WIDTH_PX, HEIGHT_PX)
    if shadow:
        shade = np.full((380, 420), 255, np.uint8)
        moved = matrix + np.array([[0, 0, 10], [0, 0, 12]])
        soft = cv2.GaussianBlur(cv2.warpAffine(shade, moved, size), (0, 0), 5)
        image = (image * (1 - 0.3 * soft[..., None] / 255)).astype(np.uint8)
    cv2.warpAffine(BOARD, matrix, size, dst=image, borderMode=cv2.BORDER_TRANSPARENT)
    rng = np.random.default_rng(8)
    grainy = cv2.blur(image, (3, 1)) + rng.normal(0, noise, image.shape)
    return np.clip(grainy, 0, 255).astype(np.uint8)


def place(true: Outline, cell_px: tuple[int, int] = (4, 16), grow_px: float = 0) -> Place:
    """The cells whose middle lies in the true outline."""
    x, y = np.meshgrid(
        np.arange(0, WIDTH_PX, cell_px[0]) + cell_px[0] / 2,
        np.arange(0, HEIGHT_PX, cell_px[1]) + cell_px[1] / 2,
    )
    turn = math.radians(true.turn_deg)
    dx, dy = x - true.centre_x_px, y - true.centre_y_px
    across = np.abs(dx * math.cos(turn) + dy * math.sin(turn)) <= true.width_px / 2 + grow_px
    down = np.abs(dy * math.cos(turn) - dx * math.sin(turn)) <= true.height_px / 2 + grow_px
    inside = across & down
    return Place(
        points=np.stack([x[inside], y[inside]], axis=-1),
        cell_px=cell_px,
        belt=np.full((40, 225, 3), BELT, np.float32),
        belt_px=(0, 0, WIDTH_PX, HEIGHT_PX),
        free_px=(0, 0, WIDTH_PX, HEIGHT_PX),
    )


def corner_error_px(found: Outline, true: Outline) -> float:
    def corner(at: Outline, x: float, y: float) -> tuple[float, float]:
        turn = math.radians(at.turn_deg)
        dx, dy = x * at.width_px / 2, y * at.height_px / 2
        return (
            at.centre_x_px + dx * math.cos(turn) - dy * math.sin(turn),
            at.centre_y_px + dx * math.sin(turn) + dy * math.cos(turn),
        )

    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return max(math.dist(corner(found, *c), corner(true, *c)) for c in corners)


@settings(max_examples=40, deadline=None)
@given(st.floats(-40, 40), st.floats(330, 570), st.floats(300, 340))
def test_corners_are_found_within_a_pixel_whatever_the_turn(
    turn_deg: float, x_px: float, y_px: float
) -> None:
    true = outline(x_px, y_px, turn_deg)
    found = find_outline(painted(true), place(true))
    assert found is not None
    assert corner_error_px(found, true) < 1
    assert abs(found.turn_deg - turn_deg) < 0.1


@pytest.mark.parametrize("grow_px", [-20, 0, 25])
def test_a_coarse_place_may_be_far_off(grow_px: float) -> None:
    true = outline(450, 320, 1.3)
    found = find_outline(painted(true), place(true, grow_px=grow_px))
    assert found is not None
    assert corner_error_px(found, true) < 1


def test_a_shadow_is_no_part_of_the_unit() -> None:
    true = outline(450, 320, -0.8)
    found = find_outline(painted(true, shadow=True), place(true, grow_px=8))
    assert found is not None
    assert corner_error_px(found, true) < 2


def test_strong_noise_costs_little() -> None:
    true = outline(450, 320, 2.0)
    found = find_outline(painted(true, noise=14), place(true))
    assert found is not None
    assert corner_error_px(found, true) < 2


def test_where_nothing_is_nothing_is_found() -> None:
    true = outline(450, 320, 0.0)
    belt = np.full((HEIGHT_PX, WIDTH_PX, 3), BELT, np.uint8)
    assert find_outline(belt, place(true)) is None


def test_too_few_places_are_no_unit() -> None:
    true = outline(-2000, 320, 0.0)
    belt = np.full((HEIGHT_PX, WIDTH_PX, 3), BELT, np.uint8)
    assert find_outline(belt, place(true)) is None


@pytest.mark.parametrize(("travel", "centre"), [
    ("left", (60.0, 50.0)), ("right", (140.0, 50.0)), ("up", (100.0, 10.0)),
    ("down", (100.0, 90.0)),
])  # fmt: skip
def test_an_outline_goes_on_with_its_unit_where_units_go(travel, centre):
    grid = lay_grid(0, 0, 640, 480, travel)
    before = Outline(centre_x_px=100, centre_y_px=50, width_px=30, height_px=20, turn_deg=2.0)
    after = grid.moved(before, 40.0)
    assert (after.centre_x_px, after.centre_y_px) == centre
    assert (after.width_px, after.height_px, after.turn_deg) == (30, 20, 2.0)
