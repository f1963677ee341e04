from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.capture.optics import (
    LEARNED_FROM,
    SETTLED_AFTER,
    Departure,
    OpticsGuard,
    OpticsLimits,
    area_of,
    blank,
    departures,
    measure,
    refusal,
)
from inspector.core.faults import PICTURE_REFUSED, PICTURES_CHANGE
from inspector.core.optics import Measure, OpticsBaseline, baseline_of
from inspector.core.recipes import Reference
from inspector.core.records import (
    CameraId,
    FrameRef,
    Image,
    MissReason,
    Outline,
    Rect,
    TriggerKind,
    UnitRef,
)
from inspector.settings.unit_sections import OpticsSettings
from tests.kit import jobs

DEFAULT = OpticsSettings()
LIMITS = OpticsLimits(**DEFAULT.model_dump())
REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)
WHOLE = Rect(0, 0, 640, 480)


def board(
    *, seed: int = 1, noise: float = 2.0, low: int = 60, high: int = 120, belt: int = 40
) -> Image:
    """Conductors on a board on a belt, by a camera that is in focus."""
    random = np.random.default_rng(seed)
    picture = np.full((480, 640, 3), belt, np.float32)
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
@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0, 4.0, 6.0])
def test_evenly_grey_is_blank_before_anything_is_known_of_the_camera(
    level: int, noise: float
) -> None:
    grey = np.full((480, 640, 3), level, np.uint8)
    refused = OpticsGuard(LIMITS).judge(REF, spoilt(grey, noise=noise))
    assert refused is not None
    assert refused.reason is MissReason.CAMERA_BLANK
    assert refused.detail.startswith(f"{PICTURE_REFUSED}blank: nothing in it rises by more than ")


def test_light_that_falls_off_towards_the_corners_is_no_structure_where_edges_are_expected() -> (
    None
):
    across, down = np.meshgrid(np.linspace(-1, 1, 640), np.linspace(-1, 1, 480))
    vignette = 180 * (1 - 0.25 * (across**2 + down**2))
    covered = spoilt(np.dstack([vignette] * 3))
    expecting = OpticsGuard(replace(LIMITS, least_contrast=12)).judge(REF, covered)
    assert expecting is not None
    assert expecting.reason is MissReason.CAMERA_BLANK
    # A very plain product looks the same.
    assert reason(covered) is None


def test_a_texture_that_is_all_grain_is_no_nothing() -> None:
    grain = np.random.default_rng(4).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    assert reason(grain) is None


@pytest.mark.parametrize("turned", [False, True])
def test_a_brushed_surface_without_an_edge_is_not_blank(*, turned: bool) -> None:
    lines = np.random.default_rng(3).normal(0, 1, (480, 640)).astype(np.float32)
    brushed = 150 + cv2.blur(lines, (1, 61) if turned else (61, 1)) * 42
    picture = spoilt(np.dstack([brushed] * 3))
    assert reason(picture) is None
    assert measure(picture, WHOLE).structure >= 2 * DEFAULT.least_contrast or turned


def test_what_is_plain_is_inspected_where_the_settings_say_that_it_is() -> None:
    plain = spoilt(np.full((480, 640, 3), 128, np.uint8))
    guard = OpticsGuard(replace(LIMITS, least_contrast=0))
    assert guard.judge(REF, plain) is None
    guard.change(LIMITS)
    assert guard.judge(REF, plain) is not None


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


def usual(*, vouched: bool = True, light: tuple[float, ...] = (1.0,)) -> OpticsBaseline:
    """What good boards are like, the lamp at each of these shares of its light."""
    shown = [
        measure(spoilt(board(seed=seed), gain=gain), WHOLE) for seed in range(8) for gain in light
    ]
    found = baseline_of(shown, camera="a", vouched=vouched)
    assert found is not None
    return found


USUAL = usual()
GOOD = board(seed=200)


def found_in(
    picture: Image, than: OpticsBaseline = USUAL, *, compared: bool = False
) -> dict[Measure, Departure]:
    return departures(measure(picture, WHOLE), than, LIMITS, compared=compared)


@settings(max_examples=20)
@given(seed=st.integers(100, 1000), gain=st.floats(0.9, 1.3), noise=st.floats(0, 8))
def test_of_pictures_as_usual_nothing_is_refused_or_warned_of(
    seed: int, gain: float, noise: float
) -> None:
    picture = spoilt(board(seed=seed), gain=gain, noise=noise)
    assert not any(one.warns or one.reason for one in found_in(picture).values())
    assert blank(measure(picture, WHOLE), USUAL, LIMITS) is None


@settings(max_examples=20)
@given(seed=st.integers(100, 1000), gain=st.floats(0.63, 0.7))
def test_30_per_cent_less_light_is_refused_where_somebody_vouched_else_warned_of(
    seed: int, gain: float
) -> None:
    picture = spoilt(board(seed=seed), gain=gain)
    light = found_in(picture)[Measure.LIGHT]
    assert (light.warns, light.reason) == (True, MissReason.CAMERA_DARK)
    assert "less light than usual" in light.words
    first_ones = replace(USUAL, vouched=False)
    unknown = found_in(picture, first_ones)[Measure.LIGHT]
    assert (unknown.warns, unknown.reason) == (True, None)


@pytest.mark.parametrize(("darker", "refused"), [(0.25, True), (0.35, False), (0.5, False)])
def test_settings_say_how_much_light_may_be_missing(*, darker: float, refused: bool) -> None:
    limits = replace(LIMITS, darker=darker)
    dim = measure(spoilt(board(seed=200), gain=0.7), WHOLE)
    assert (departures(dim, USUAL, limits)[Measure.LIGHT].reason is not None) is refused


@settings(max_examples=20)
@given(seed=st.integers(100, 1000), gain=st.floats(0.2, 0.55))
def test_half_the_light_is_refused_where_somebody_vouched_for_what_is_usual(
    seed: int, gain: float
) -> None:
    picture = spoilt(board(seed=seed), gain=gain)
    assert found_in(picture)[Measure.LIGHT].reason is MissReason.CAMERA_DARK
    first_ones = replace(USUAL, vouched=False)
    unknown = found_in(picture, first_ones)[Measure.LIGHT]
    assert (unknown.reason, unknown.warns) == (None, True)


def test_light_that_drifts_while_the_product_is_taught_is_usual() -> None:
    drifting = usual(light=(0.8, 0.9, 1.0, 1.1, 1.2))
    dim = spoilt(board(seed=200), gain=0.7)
    assert not found_in(dim, drifting)[Measure.LIGHT].warns
    assert found_in(spoilt(board(seed=200), gain=0.3), drifting)[Measure.LIGHT].reason is not None


def test_a_network_that_compares_bears_more_blur_than_one_that_does_not() -> None:
    picture = spoilt(board(seed=200), sigma_px=3)
    assert found_in(picture)[Measure.FOCUS].reason is MissReason.CAMERA_BLURRED
    compared = found_in(picture, compared=True)[Measure.FOCUS]
    assert (compared.reason, compared.warns) == (None, True)
    softer = spoilt(board(seed=200), sigma_px=5)
    assert found_in(softer, compared=True)[Measure.FOCUS].reason is MissReason.CAMERA_BLURRED
    first_ones = replace(USUAL, vouched=False)
    assert found_in(picture, first_ones)[Measure.FOCUS].reason is None


def test_another_tint_and_much_noise_are_warned_of_only() -> None:
    reddish = np.clip(board(seed=200) * np.array([0.5, 1.0, 1.3]), 0, 255).astype(np.uint8)
    colour = found_in(reddish)[Measure.COLOUR]
    assert (colour.warns, colour.reason) == (True, None)
    noisy = found_in(spoilt(board(seed=200), noise=40))[Measure.NOISE]
    assert (noisy.warns, noisy.reason) == (True, None)


FAINT = board(seed=99, belt=81)
"""Its edges are 17 grey levels high, those of the others at least 57."""


def test_much_fainter_edges_are_refused_only_once_they_are_known_to_be_unusual() -> None:
    guard = learned()
    assert [guard.judge(REF, picture) for picture in (FAINT, FAINT)] == [None, None]
    assert guard.cause.startswith(f"{PICTURES_CHANGE}blank: its edges are ")

    settled = learned()
    assert [settled.judge(REF, GOOD) for _ in range(SETTLED_AFTER)] == [None] * SETTLED_AFTER
    assert settled.memory.usual[""].settled
    refused = settled.judge(REF, FAINT)
    assert refused is not None
    assert refused.reason is MissReason.CAMERA_BLANK


def test_a_line_that_shows_other_things_than_at_its_start_is_never_refused_for_it() -> None:
    guard = learned()
    for _ in range(2):
        for _ in range(SETTLED_AFTER - 1):
            guard.judge(REF, GOOD)
        assert guard.judge(REF, FAINT) is None
    assert not guard.memory.usual[""].settled


def learned() -> OpticsGuard:
    guard = OpticsGuard(LIMITS, camera="a")
    for seed in range(LEARNED_FROM):
        guard.judge(REF, board(seed=seed))
    assert guard.memory.usual.keys() == {""}
    return guard


def test_a_warning_comes_with_the_second_picture_and_ends_after_eight_good_ones() -> None:
    guard, dim = learned(), spoilt(board(seed=99), gain=0.66)
    told = []
    for picture in [dim, board(seed=98), dim, dim, *[board(seed=97)] * 9]:
        guard.judge(REF, picture)
        told.append(guard.cause.startswith(PICTURES_CHANGE))
    assert told == [False] * 3 + [True] * 8 + [False] * 2


def test_what_is_usual_is_learned_anew_when_somebody_says_so() -> None:
    guard, dim = learned(), [spoilt(board(seed=seed), gain=0.6) for seed in range(LEARNED_FROM)]
    guard.judge(REF, dim[0])
    guard.judge(REF, dim[1])
    assert guard.cause
    guard.renew()
    for picture in dim:
        assert guard.judge(REF, picture) is None
        assert guard.cause == ""
    assert guard.memory.usual[""].vouched
    guard.judge(REF, dim[0])
    assert guard.cause == ""
    refused = guard.judge(REF, spoilt(board(seed=5), gain=0.3))
    assert refused is not None
    assert refused.reason is MissReason.CAMERA_DARK


def test_what_was_learned_goes_on_in_another_guard() -> None:
    guard = OpticsGuard(LIMITS, camera="a", memory=learned().memory)
    assert guard.judge(REF, np.full((480, 640, 3), 128, np.uint8)) is not None


def under_taught(*, seen_unix_s: float = 0.0, camera: str = "a") -> FrameRef:
    optics = replace(USUAL, camera=camera, since_unix_s=seen_unix_s)
    reference = Reference(
        id="b/1",
        sha256="0",
        mean=np.zeros((4, 4, 3), np.uint8),
        deviation=np.zeros((4, 4), np.uint8),
        optics=optics,
    )
    job = jobs.job()
    unit = UnitRef(
        camera_id=CameraId("a"),
        index=0,
        kind=TriggerKind.EVERY_FRAME,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
        job=replace(job, recipe=replace(job.recipe, reference=reference)),
    )
    return replace(REF, unit=unit, captured_unix_ns=50_000_000_000)


def test_a_taught_product_is_compared_with_its_lesson_from_the_first_picture_on() -> None:
    blurred = spoilt(board(seed=50), sigma_px=3)
    assert OpticsGuard(LIMITS, camera="a").judge(under_taught(), blurred) is not None
    # Another camera's lesson says nothing of this one's pictures.
    assert OpticsGuard(LIMITS, camera="a").judge(under_taught(camera="b"), blurred) is None


def test_a_lesson_before_a_renewal_is_out_of_date() -> None:
    guard, blurred = OpticsGuard(LIMITS, camera="a"), spoilt(board(seed=50), sigma_px=3)
    guard.renew()
    assert guard.judge(under_taught(seen_unix_s=10), blurred) is None
    assert guard.judge(under_taught(seen_unix_s=60), blurred) is not None


MARKED = replace(LIMITS, mark=(10, 10, 30, 24))


def marked(*, seed: int, right: int = 0) -> Image:
    """A board beside a mark on the rail, before a camera that was moved to the left."""
    picture = np.asarray(board(seed=seed), np.float32)
    picture[:39] = 40
    picture[12:32, 12:38] = 200
    picture[18:28, 18:28] = 20
    return spoilt(np.roll(picture, right, axis=1))


def test_a_camera_that_was_moved_is_noticed_by_its_mark() -> None:
    guard = OpticsGuard(MARKED, camera="a")
    for seed in range(LEARNED_FROM):
        assert guard.judge(REF, marked(seed=seed)) is None
    assert guard.judge(REF, marked(seed=60, right=2)) is None
    refused = guard.judge(REF, marked(seed=61, right=10))
    assert refused is not None
    assert refused.reason is MissReason.CAMERA_MOVED
    assert refused.detail == "the picture is moved: its fixed mark lies 10.0 pixels from its place"
    gone = guard.judge(REF, marked(seed=62, right=100))
    assert gone is not None
    assert gone.reason is MissReason.CAMERA_MOVED
    # Another mark is learned anew.
    guard.change(replace(MARKED, mark=(20, 10, 30, 24)))
    assert guard.judge(REF, marked(seed=63, right=10)) is None
