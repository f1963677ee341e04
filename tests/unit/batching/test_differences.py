"""Where a unit is not as its product's reference: pixels, no model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.batching.differences import MOST, Differences
from inspector.core.records import Difference, Image, Placed
from tests.kit import compared_units as compared
from tests.kit.compared_units import HEIGHT_PX, WIDTH_PX, board, reference

UPRIGHT = Placed(likeness=1.0, shift_px=0.0, matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
PLAIN = reference(board().picture)
"""Of which every unit has the same label."""


def found(picture: Image, of: object = PLAIN) -> tuple[Difference, ...]:
    return Differences().of(picture, UPRIGHT, of)  # type: ignore[arg-type]


def damaged(x_px: int = 200, y_px: int = 150, *, side_px: int = 9) -> Image:
    return compared.damaged(board().picture, x_px, y_px, side_px=side_px)


@pytest.mark.parametrize("light", [0.7, 0.9, 1.0, 1.1])
def test_the_same_board_differs_nowhere_whatever_the_light(light: float) -> None:
    noise = np.random.default_rng(1).normal(0, 3, board().picture.shape)
    picture = np.clip(board().picture * light + noise, 0, 255).astype(np.uint8)
    assert found(picture) == ()


def test_a_board_a_third_of_a_pixel_aside_differs_nowhere() -> None:
    matrix = np.array([(1, 0, 0.35), (0, 1, -0.35)], np.float64)
    shifted = cv2.warpAffine(
        board().picture, matrix, (WIDTH_PX, HEIGHT_PX), borderMode=cv2.BORDER_REPLICATE
    )
    assert found(np.asarray(shifted, np.uint8)) == ()


def test_damage_is_a_difference_at_its_place_the_larger_the_heavier() -> None:
    (small,), (large,) = found(damaged(side_px=6)), found(damaged(side_px=12))
    assert 1 < small.weight < large.weight
    assert large.place.left_px == pytest.approx(200, abs=3)
    assert large.place.top_px == pytest.approx(150, abs=3)
    assert large.place.right_px == pytest.approx(212, abs=3)
    assert large.place.bottom_px == pytest.approx(162, abs=3)


def test_the_heaviest_comes_first() -> None:
    picture = damaged(200, 150, side_px=6)
    picture = compared.damaged(picture, 60, 220, side_px=16)
    first, second = found(picture)
    assert first.weight > second.weight
    assert first.place.left_px < 100 < second.place.left_px


def varying(rows: slice, columns: slice) -> NDArray[np.uint8]:
    deviation = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    deviation[rows, columns] = 110
    return deviation


def test_where_units_differ_anyway_and_around_a_mark_nothing_is_a_difference() -> None:
    of = reference(board().picture, varying(slice(140, 180), slice(190, 230)))
    assert found(damaged(200, 150), of) == ()
    # Beside a mark of 40 pixels: on what it is printed on.
    assert found(damaged(233, 150), of) == ()
    assert found(damaged(260, 220), of) != ()


def test_what_lies_at_the_rim_may_be_the_belt() -> None:
    picture = board().picture.copy()
    picture[:, :2] = 255 - picture[:, :2]
    assert found(picture) == ()


def test_of_a_unit_that_is_damaged_everywhere_the_largest_differences_are_told() -> None:
    picture = board().picture
    for y_px in range(10, HEIGHT_PX - 14, 16):
        for x_px in range(10, WIDTH_PX - 14, 16):
            picture = compared.damaged(picture, x_px, y_px, side_px=6)
    every = found(picture)
    assert len(every) == MOST
    weights = [one.weight for one in every]
    assert weights == sorted(weights, reverse=True)
