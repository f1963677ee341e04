from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.capture.optics import (
    OpticsGuard,
    OpticsLimits,
    area_of,
    measure,
    refusal,
)
from inspector.core.records import CameraId, FrameRef, Image, MissReason, Outline, Rect
from inspector.settings.unit_sections import OpticsSettings

DEFAULT = OpticsSettings()
LIMITS = OpticsLimits(blur_px=DEFAULT.blur_px, clipped=DEFAULT.clipped)
REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)
WHOLE = Rect(0, 0, 640, 480)


def board(*, seed: int = 1, noise: float = 2.0, low: int = 60, high: int = 120) -> Image:
    """Conductors on a board on a belt, by a camera that is in focus."""
    random = np.random.default_rng(seed)
    picture = np.full((480, 640, 3), 40, np.float32)
    picture[40:440, 60:580] = (low, high, low)
    for x_px in random.integers(80, 560, 25):
        picture[60:420, x_px : x_px + int(random.integers(4, 12))] = (high, high, low)
    return spoilt(cv2.GaussianBlur(picture, (0, 0), 0.8), noise=noise)


def spoilt(
    picture: object, *, gain: float = 1.0, sigma_px: float = 0.0, noise: float = 2.0
) -> Image:
    """The lens blurs before the sensor adds its noise and clips."""
    light = np.asarray(picture, np.float32) * gain
    if sigma_px:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sigma_px), np.float32)
    light = light + np.random.default_rng(7).normal(0, noise, light.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


def reason(picture: Image) -> MissReason | None:
    found = refusal(measure(picture, WHOLE), LIMITS)
    return found.reason if found else None


@given(
    seed=st.integers(0, 1000),
    gain=st.floats(0.4, 1.3),
    sigma_px=st.floats(0, 2.5),
    noise=st.floats(0, 8),
)
def test_a_picture_in_which_defects_are_seen_is_never_refused(
    seed: int, gain: float, sigma_px: float, noise: float
) -> None:
    assert reason(spoilt(board(seed=seed), gain=gain, sigma_px=sigma_px, noise=noise)) is None


@given(seed=st.integers(0, 1000), sigma_px=st.floats(6, 15), noise=st.floats(0, 6))
def test_a_blurred_picture_is_refused(seed: int, sigma_px: float, noise: float) -> None:
    picture = spoilt(board(seed=seed), sigma_px=sigma_px, noise=noise)
    assert reason(picture) is MissReason.CAMERA_BLURRED


@given(seed=st.integers(0, 1000), sigma_px=st.sampled_from([0.0, 8.0]))
def test_a_burnt_out_picture_is_refused(seed: int, sigma_px: float) -> None:
    bright = board(seed=seed, low=100, high=180)
    assert reason(spoilt(bright, gain=3, sigma_px=sigma_px)) is MissReason.CAMERA_BRIGHT


def test_a_white_picture_is_refused() -> None:
    assert reason(np.full((480, 640, 3), 255, np.uint8)) is MissReason.CAMERA_BRIGHT


@pytest.mark.parametrize("level", [0, 30, 128, 230])
def test_a_blank_picture_says_nothing_of_the_focus(level: int) -> None:
    assert reason(np.full((480, 640, 3), level, np.uint8)) is None
    assert reason(spoilt(np.full((480, 640, 3), level, np.uint8))) is None


def test_one_sharp_border_proves_the_focus_of_a_blank_unit() -> None:
    blank = np.full((480, 640, 3), 40, np.uint8)
    blank[20:460, 100:500] = 140
    assert reason(blank) is None
    assert reason(spoilt(blank, sigma_px=8)) is MissReason.CAMERA_BLURRED


def test_black_on_white_is_no_overexposure() -> None:
    scan = np.full((480, 640, 3), 255, np.uint8)
    scan[100:200, 100:500] = 0
    assert reason(scan) is None


@pytest.mark.parametrize(("width_px", "height_px"), [(1, 8), (4, 8), (30, 9), (640, 480)])
def test_any_area_can_be_measured(width_px: int, height_px: int) -> None:
    measure(board(), Rect(0, 0, width_px, height_px))


def test_a_unit_is_judged_where_it_lies() -> None:
    outline = Outline(centre_x_px=630, centre_y_px=100, width_px=60, height_px=40, turn_deg=0)
    ref = FrameRef(
        camera_id=CameraId("a"),
        sequence=0,
        captured_mono_ns=0,
        captured_unix_ns=0,
        outline=outline,
    )
    assert area_of(ref, board(), None) == Rect(592, 72, 48, 56)
    assert area_of(REF, board(), (10, 20, 30, 40)) == Rect(10, 20, 30, 40)
    assert area_of(REF, board(), None) == WHOLE


def test_a_cause_stands_from_the_second_refusal_to_the_second_good_picture() -> None:
    guard, blurred = OpticsGuard(LIMITS), spoilt(board(), sigma_px=8)
    causes = []
    for picture in (
        board(),
        blurred,
        board(),
        blurred,
        blurred,
        board(),
        blurred,
        board(),
        board(),
    ):
        guard.judge(REF, picture)
        causes.append(bool(guard.cause))
    assert causes == [False, False, False, False, True, True, True, True, False]


def test_limits_of_zero_never_refuse_and_end_the_cause() -> None:
    guard, blurred = OpticsGuard(LIMITS), spoilt(board(), sigma_px=8)
    for _ in range(2):
        assert guard.judge(REF, blurred) is not None
    guard.change(OpticsLimits(blur_px=0, clipped=0))
    assert guard.judge(REF, blurred) is None
    assert guard.cause == ""
