"""What `inspector check` says of the pictures in which units are to be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.core.records import CameraId, Image
from inspector.doctor.examination import _camera as look_at_camera
from inspector.doctor.findings import Finding, Mark
from inspector.settings.sections import CameraSettings

SIZE = (640, 160)


def looked_at(source: str, **settings: Any) -> Finding:
    content = {"source": source, "size": f"{SIZE[0]}x{SIZE[1]}", "trigger": "presence"}
    camera = CameraSettings.model_validate(content | settings)
    first, pictures = look_at_camera(CameraId("top"), camera)
    assert first.what == "camera top"
    assert first.mark is not Mark.FAIL
    assert pictures.what == "presence top"
    assert bool(pictures.advice) == (pictures.mark is not Mark.OK)
    return pictures


@pytest.fixture
def recording(tmp_path: Path):
    """A folder of pictures of an empty belt, that something happens to."""

    def write(change: Any, pictures: int = 60) -> str:
        rng = np.random.default_rng(4)
        for number in range(pictures):
            view = np.full((SIZE[1], SIZE[0], 3), (46, 46, 50), np.uint8)
            change(view, number)
            noise = rng.normal(0, 1.5, view.shape).astype(np.int8)
            noisy = cv2.add(view, noise, dtype=cv2.CV_8U)
            cv2.imwrite(str(tmp_path / f"{number:03d}.png"), noisy)
        return f"file:{tmp_path}?fps=30"

    return write


def nothing(_view: Image, _number: int) -> None:
    """The belt stays as it is."""


def flicker(view: Image, number: int) -> None:
    rows = np.arange(SIZE[1]) + 7.3 * number
    view[:] = np.clip(view * (1 + 0.1 * np.sin(rows / 8))[:, None, None], 0, 255)


def clock(view: Image, number: int) -> None:
    text = f"10:00:{number // 10:02d}"
    cv2.putText(view, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)


def fast_boards(view: Image, number: int) -> None:
    for start in range(700, 9000, 300):
        left, right = max(0, start - number * 150), max(0, start + 180 - number * 150)
        view[16:-16, left:right] = (60, 120, 50)


@pytest.mark.parametrize(
    ("change", "found", "advice"),
    [
        (flicker, "light of the rows", "flicker"),
        (clock, "changes by itself (x ", "cameras.top.region"),
        (fast_boards, "from one picture to the next", "more pictures a second"),
    ],
)
def test_what_makes_pictures_doubtful_is_told(recording, change, found, advice):
    finding = looked_at(recording(change), when_full="wait")
    assert finding.mark is Mark.WARN
    assert found in finding.found
    assert advice in finding.advice


def test_an_empty_belt_is_well_and_its_speed_not_known(recording):
    finding = looked_at(recording(nothing), when_full="wait")
    assert finding.mark is Mark.OK
    assert "nothing came by" in finding.found


def test_a_recording_of_a_few_pictures_says_nothing(recording):
    finding = looked_at(recording(nothing, pictures=5), when_full="wait")
    assert finding.mark is Mark.OK
    assert "too few" in finding.found


def test_a_simulated_line_is_well():
    finding = looked_at("sim:?fps=30&speed=8&seed=3", size="640x480")
    assert finding.mark is Mark.OK
    assert "of the view from one to the next" in finding.found


def test_a_live_camera_that_seldom_sends_is_told():
    finding = looked_at("sim:?fps=2&seed=3", size="640x480")
    assert finding.mark is Mark.WARN
    assert "8 pictures a second" in finding.advice


def test_without_presence_nothing_is_looked_for(recording):
    content = {"source": recording(clock, pictures=3), "size": f"{SIZE[0]}x{SIZE[1]}"}
    [finding] = look_at_camera(CameraId("top"), CameraSettings.model_validate(content))
    assert finding.mark is Mark.OK


@pytest.mark.parametrize(
    ("video", "found"),
    [
        ("belt-osd-clock/q_osd", "changes by itself"),
        ("belt-beacon/q_beacon", "changes by itself"),
        ("belt-flicker-bands/q_band", "light of the rows"),
        ("belt-flicker-bands/q_grey_band4", "light of the rows"),
        ("belt-flicker-bands/q_grey_plain", "nothing doubtful"),
        ("belt-osd-clock/q_plain", "nothing doubtful"),
        ("belt-touching/q_touch", "nothing doubtful"),
    ],
)
def test_lines_of_the_field(shared: Path, video: str, found: str):
    file = shared / "cases/cam" / f"{video}.mp4"
    if not file.exists():
        pytest.skip(f"no {file}")
    assert found in looked_at(f"file:{file}", travel="left", when_full="wait").found
