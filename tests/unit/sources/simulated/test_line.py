"""The simulated line, as its capture thread sees it."""

import math
import time
from collections.abc import Mapping
from dataclasses import fields
from threading import Event

import numpy as np
import pytest

from inspector.core.errors import EndOfFootageError
from inspector.core.ports import FrameSource
from inspector.core.records import CameraId, Grabbed, Image
from inspector.simulation.options import SimulationOptions, View, parse_options
from inspector.sources.simulated.line import SimulatedLine

SIZE = (320, 240)
FAST = {"pace": "max", "speed": "40", "gap": "40"}


def line(options: Mapping[str, str], *, stop: Event | None = None) -> SimulatedLine:
    return SimulatedLine(CameraId("top"), options, SIZE, stop or Event())


def blank() -> Image:
    return np.zeros((SIZE[1], SIZE[0], 3), np.uint8)


def take(source: FrameSource, frames: int) -> tuple[list[Grabbed], list[bytes]]:
    grabbed, pictures = [], []
    image = blank()
    source.open()
    for _ in range(frames):
        grabbed.append(source.grab())
        source.retrieve_into(image)
        pictures.append(image.tobytes())
    source.close()
    return grabbed, pictures


@pytest.mark.parametrize("view", ["belt", "strobe"])
def test_the_same_options_give_the_same_frames(view):
    options = {**FAST, "view": view, "defect_rate": "1"}
    _, first = take(line(options), 20)
    _, second = take(line(options), 20)
    assert first == second
    assert len(set(first)) == 20, "every frame has noise of its own"


def test_another_seed_gives_another_line():
    assert take(line({**FAST, "seed": "1"}), 3)[1] != take(line({**FAST, "seed": "2"}), 3)[1]


def test_a_line_opened_again_starts_from_its_beginning():
    source = line(FAST)
    assert take(source, 10)[1] == take(source, 10)[1]


def test_a_frame_that_was_not_retrieved_still_counts():
    source, image = line(FAST), blank()
    _, pictures = take(line(FAST), 5)
    source.open()
    for _ in range(5):
        source.grab()
    source.retrieve_into(image)
    assert image.tobytes() == pictures[4]


def test_retrieving_without_a_grabbed_frame_is_a_bug():
    source = line(FAST)
    source.open()
    with pytest.raises(RuntimeError, match="grabbed"):
        source.retrieve_into(blank())


def test_strobed_frames_carry_the_serial_of_their_board():
    grabbed, _ = take(line({"view": "strobe", "pace": "max"}), 3)
    assert [one.label for one in grabbed] == ["SIM-000001", "SIM-000002", "SIM-000003"]


def test_a_free_running_frame_has_no_label():
    grabbed, _ = take(line(FAST), 2)
    assert [one.label for one in grabbed] == [None, None]


@pytest.mark.parametrize("view", ["belt", "strobe"])
def test_a_line_with_so_many_boards_ends(view):
    source = line({**FAST, "view": view, "boards": "3"})
    source.open()
    frames = 3 if view == "strobe" else 1 + math.ceil((320 + 3 * (300 + 40)) / 40)
    for _ in range(frames):
        source.grab()
    with pytest.raises(EndOfFootageError, match="camera top ended"):
        source.grab()


def test_recorded_pace_delivers_as_a_camera_would():
    started_ns = time.monotonic_ns()
    grabbed, _ = take(line({"fps": "50"}), 6)
    stamps = [one.captured_mono_ns for one in grabbed]
    assert stamps == sorted(stamps)
    assert stamps[-1] - started_ns >= 5 * 20_000_000


def test_a_reader_that_was_away_does_not_get_a_burst():
    source = line({"fps": "50"})
    source.open()
    source.grab()
    source._due_ns -= 10_000_000_000  # as if ten seconds had passed
    source.grab()
    resumed_ns = time.monotonic_ns()
    source.grab()
    source.grab()
    assert time.monotonic_ns() - resumed_ns >= 30_000_000


def test_stop_ends_the_wait_for_a_frame():
    stop = Event()
    stop.set()
    source = line({"view": "strobe", "takt_s": "3600"}, stop=stop)
    source.open()
    before = time.monotonic()
    source.grab()
    source.grab()
    assert time.monotonic() - before < 60


def test_pixels_are_written_in_place_and_nowhere_else():
    source = line(FAST)
    around = np.full((SIZE[1] + 2, SIZE[0], 3), 7, np.uint8)
    source.open()
    source.grab()
    source.retrieve_into(around[1:-1])
    assert (around[0] == 7).all()
    assert (around[-1] == 7).all()
    assert (around[1:-1] != 7).any()


def test_every_option_is_understood():
    given = {
        "seed": "3", "view": "strobe", "fps": "12.5", "speed": "9", "gap": "100",
        "direction": "right", "takt_s": "0.5", "defect_rate": "0.9", "boards": "4",
        "products": "2", "change_every": "5", "pause": "1", "good_first": "6", "quirks": "2",
        "variation": "0.5", "pace": "max",
    }  # fmt: skip
    assert set(given) == {field.name for field in fields(SimulationOptions)}
    options = parse_options(given)
    assert options.view is View.STROBE
    assert (options.fps, options.boards, options.products) == (12.5, 4, 2)
    assert parse_options({}) == SimulationOptions()


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no option 'sped'; accepted are seed, view, .*, pace$"):
        line({"sped": "3"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "-1"), ("seed", "x"), ("view", "side"), ("fps", "0"), ("fps", "nan"),
        ("speed", "inf"), ("gap", "1"), ("gap", "2.5"), ("direction", "up"), ("takt_s", ""),
        ("defect_rate", "1.01"), ("boards", "-3"), ("products", "0"), ("pace", "slow"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_one_sentence(name, value):
    with pytest.raises(ValueError, match=rf"^option '{name}' .* is '{value}'; it must be .+$"):
        parse_options({name: value})


def test_a_picture_too_small_for_a_board_is_refused():
    with pytest.raises(ValueError, match="64x240 pixels is too small"):
        SimulatedLine(CameraId("top"), {}, (64, 240), Event())
