"""The model finds nothing in a picture that shows nothing: such a unit must not be called good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from inspector.core.records import Image
from tests.kit.compared_units import board
from tests.kit.fake_triton import FakeTriton, serving
from tests.kit.pipeline import (
    HEIGHT_PX,
    WIDTH_PX,
    Line,
    Step,
    frames,
    line,
    recording,
    settings_for,
)
from tests.pipeline.test_units_beside_a_reference import inspect, moved, under

WHITE = (0, 0, WIDTH_PX, HEIGHT_PX)
PARTLY_WHITE = (0, 0, WIDTH_PX // 2, HEIGHT_PX)


def shown_white(camera: Mapping[str, Any]) -> Line:
    return shown([*frames(3, spot=PARTLY_WHITE), *frames(5, spot=WHITE)], camera)


def shown(steps: Sequence[Step], camera: Mapping[str, Any]) -> Line:
    async def main() -> Line:
        async with serving(FakeTriton()) as server:
            async with line(
                settings_for(server.url, {"a": recording(**camera)}), {"a": steps}
            ) as run:
                await run.until(lambda: len(run.units) >= len(steps))
            return run

    return asyncio.run(main())


def test_a_white_picture_is_not_inspected() -> None:
    assert shown_white({}).results()[3:] == ["camera_bright"] * 5


def test_with_a_limit_of_0_it_is() -> None:
    assert "camera_bright" not in shown_white({"optics": {"clipped": 0}}).results()


def test_the_very_first_pictures_are_not_passed_where_they_are_evenly_grey() -> None:
    grey = list(frames(5))
    run = shown(grey, {"optics": {"least_contrast": 12}})
    assert run.results() == ["camera_blank"] * 5
    # A product of which the settings say that it is plain.
    assert "camera_blank" not in shown(grey, {"optics": {"least_contrast": 0}}).results()


def blurred(picture: Image, sigma_px: float) -> Image:
    return np.asarray(cv2.GaussianBlur(moved(picture, 0, 0), (0, 0), sigma_px), np.uint8)


def test_of_200_blurred_boards_none_is_passed() -> None:
    shown = [blurred(board(number).picture, 6 + number % 5) for number in range(200)]
    run = inspect(shown, under())
    assert run.tally() == {"camera_blurred": 200}
