"""Where frames lie on the references of their products."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from inspector.batching.placing import REFERENCES_KEPT, Placing, misfit
from inspector.core.geometry import between_centres, frame_matrix, moved
from inspector.core.records import Image, Outline
from inspector.products.registration import Pose
from tests.kit.compared_units import HEIGHT_PX, WIDTH_PX, board, damaged, frame, job, reference

LIES = Outline(centre_x_px=300, centre_y_px=240, width_px=WIDTH_PX, height_px=HEIGHT_PX, turn_deg=3)


def on_a_belt(picture: Image, lies: Outline = LIES) -> Image:
    return np.asarray(
        cv2.warpAffine(
            picture,
            np.array(between_centres(frame_matrix(lies))),
            (640, 480),
            borderValue=(60, 60, 60),
        ),
        np.uint8,
    )


def test_a_frame_is_placed_by_its_outline() -> None:
    of = reference()
    found = Outline(
        centre_x_px=302, centre_y_px=239, width_px=WIDTH_PX, height_px=HEIGHT_PX, turn_deg=3.2
    )
    one = frame(on_a_belt(board(2).picture), outline=found)
    seen, pose = Placing().placed(one, of)
    known = seen.ref.placed
    assert pose.fits(0.95)
    assert known is not None
    assert known.likeness > 0.95
    assert 1 < known.shift_px < 4
    for corner in ((0.0, 0.0), (float(WIDTH_PX), float(HEIGHT_PX))):
        back = moved(known.matrix, *moved(frame_matrix(LIES), *corner))
        assert math.dist(back, corner) < 0.3
    assert seen.lease is one.lease
    assert known.differences == (), "nobody asks for them"


def test_a_frame_that_fits_says_where_it_differs_if_somebody_asks() -> None:
    picture = damaged(board().picture, 200, 150, side_px=10)
    of = reference(board().picture)
    seen, _pose = Placing().placed(frame(picture, job(of, differences="shown")), of)
    assert seen.ref.placed is not None
    (difference,) = seen.ref.placed.differences
    assert difference.place.middle_px == pytest.approx((205, 155), abs=2)
    foreign = frame(board(product=2).picture, job(of, differences="shown"))
    other, pose = Placing().placed(foreign, of)
    assert not pose.fits(0.6)
    assert other.ref.placed is not None
    assert other.ref.placed.differences == (), "it is compared with nothing that it should be like"


def test_without_an_outline_the_frame_is_the_units_picture() -> None:
    pose = Placing().place(frame(board(2).picture), reference())
    assert pose.fits(0.95)
    assert pose.shift_px < 0.3


def test_references_used_lately_stay_prepared() -> None:
    placing = Placing()
    references = [reference(product=product) for product in range(REFERENCES_KEPT + 1)]
    for product, of in enumerate(references):
        assert placing.place(frame(board(product=product).picture), of).fits(0.95)
        placing.place(frame(board().picture), references[0])
    kept = set(placing._registrars)
    assert kept == {of.sha256 for of in [references[0], *references[2:]]}


def pose(**more: object) -> Pose:
    known: dict[str, object] = {
        "matrix": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        "likeness": 0.93,
        "shift_px": 45.4,
        "turn_deg": 7.04,
        "scale": 1.1,
        "within_limits": True,
    }
    return Pose(**(known | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            pose(likeness=0.123),
            "its likeness to reference 0/1 is 0.12, expected at least 0.6",
        ),
        (
            pose(within_limits=False),
            (
                "its likeness to reference 0/1 is 0.93, but it lies 45 pixels from where it is "
                "expected, turned by 7.0 degrees and 1.10 times as large"
            ),
        ),
        (
            pose(likeness=0.05, turned=True),
            (
                "it would fit if it were turned by 180 degrees; as it lies its likeness to "
                "reference 0/1 is 0.05"
            ),
        ),
    ],
)
def test_a_misfit_says_why(found: Pose, told: str) -> None:
    assert misfit(found, reference(), 0.6) == told


def test_a_unit_that_lies_upside_down_does_not_fit() -> None:
    of = reference()
    upside_down = np.asarray(cv2.rotate(board(2).picture, cv2.ROTATE_180), np.uint8)
    found = Placing().place(frame(upside_down, job(of)), of)
    assert not found.fits(0.6)
    assert found.turned
