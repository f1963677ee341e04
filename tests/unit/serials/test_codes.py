"""Codes are looked for in whatever a camera shows."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.core.records import Image, Outline
from inspector.serials.agreement import MAX_SERIAL_CHARACTERS
from inspector.serials.codes import GreyPicture, can_be_enlarged, grey_picture, read_codes
from inspector.settings.unit_sections import SerialFormat
from tests.kit.units_in_view import outlines

ALL_FORMATS: tuple[SerialFormat, ...] = ("DataMatrix", "QRCode", "Code128")
WIDTH_PX, HEIGHT_PX = 320, 240

sides_px = st.integers(1, 60)
any_outline = outlines(centre_px=(-100, 200), side_px=(0.1, 300))


@st.composite
def pictures(draw: st.DrawFn) -> Image:
    """Plain, noisy or striped, and of any size."""
    shape = (draw(sides_px), draw(sides_px), 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, 256, shape, np.uint8)
    kind = draw(st.sampled_from(["noise", "plain", "stripes"]))
    if kind == "plain":
        image[:] = image[0, 0]
    elif kind == "stripes":
        image[:] = image[:1]
    return image


@settings(max_examples=50)
@given(
    pictures(),
    st.none() | any_outline,
    st.lists(st.sampled_from(ALL_FORMATS), min_size=1, unique=True),
    st.booleans(),
)
def test_no_picture_however_small_stops_the_search(
    image: Image,
    outline: Outline | None,
    formats: list[SerialFormat],
    enlarged: bool,  # noqa: FBT001
) -> None:
    grey = grey_picture(image, outline)
    assert grey.pixels.size > 0
    assert grey.pixels.flags.c_contiguous
    assert not np.shares_memory(grey.pixels, image), "the frame can be released"
    height_px, width_px = grey.pixels.shape
    assert 0 <= grey.left_px <= image.shape[1] - width_px
    assert 0 <= grey.top_px <= image.shape[0] - height_px
    assert can_be_enlarged(grey)
    for code in read_codes(grey, formats, enlarged=enlarged):
        assert 0 < len(code.text) <= MAX_SERIAL_CHARACTERS
        assert code.text.isprintable()


@pytest.fixture(scope="module")
def label() -> Image:
    """A DataMatrix, 4 pixels per module, with its quiet zone."""
    barcode = zxingcpp.create_barcode("PCB-0815", zxingcpp.BarcodeFormat.DataMatrix)
    modules = np.asarray(zxingcpp.write_barcode_to_image(barcode, scale=4, add_quiet_zones=True))
    return cv2.cvtColor(modules, cv2.COLOR_GRAY2BGR).astype(np.uint8)


places = st.tuples(st.integers(0, WIDTH_PX - 90), st.integers(0, HEIGHT_PX - 90))


@settings(max_examples=50)
@given(
    place=places,
    turn_deg=st.floats(-45, 45),
    reach_px=st.integers(10, 60),
    away=st.sampled_from([(1.6, 0), (-1.6, 0), (0, 1.6), (0, -1.6)]),
)
def test_a_code_is_the_units_when_its_middle_lies_on_it_and_nobodys_beside_it(
    label: Any, place: tuple[int, int], turn_deg: float, reach_px: int, away: tuple[float, float]
) -> None:
    side_px = label.shape[0]
    scene = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    (x_px, y_px) = place
    scene[y_px : y_px + side_px, x_px : x_px + side_px] = label
    middle_x_px, middle_y_px = x_px + side_px / 2, y_px + side_px / 2
    unit = {"width_px": 2.0 * reach_px, "height_px": 2.0 * reach_px, "turn_deg": turn_deg}
    on_it = Outline(centre_x_px=middle_x_px, centre_y_px=middle_y_px, **unit)
    beside = Outline(
        centre_x_px=middle_x_px + away[0] * reach_px,
        centre_y_px=middle_y_px + away[1] * reach_px,
        **unit,
    )
    whole = grey_picture(scene, None)
    assert [code.text for code in read_codes(whole, ["DataMatrix"])] == ["PCB-0815"]
    for outline, expected in ((on_it, ["PCB-0815"]), (beside, [])):
        looked_at = GreyPicture(whole.pixels, 0, 0, outline)
        found = read_codes(looked_at, ["DataMatrix"])
        assert [code.text for code in found] == expected
