"""Against an emulated device: v4l2_emulator.py says what that shows and what it cannot."""

import json
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from inspector.capture.v4l2 import V4l2Source, captured_mono_ns
from inspector.errors import CameraUnavailableError
from inspector.source_uri import V4l2Uri
from tests.integration import v4l2_emulator

CLIENT = "tests.integration.v4l2_client"
ROOT = Path(__file__).parents[2]
S = 1_000_000_000


@pytest.fixture(scope="module")
def emulator():
    if (missing := v4l2_emulator.missing()) is not None:
        pytest.skip(missing)


def seen_by_client(*options, uri="v4l2:/dev/video0", size=(640, 480), frames=60):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {CLIENT} import main; main()"
    arguments = ["--width", str(size[0]), "--height", str(size[1]), "--frames", str(frames)]
    printed = v4l2_emulator.run_with_camera(
        [sys.executable, "-c", code, uri, *arguments], *options, timeout_s=60
    )
    return json.loads(printed)


@pytest.mark.usefixtures("emulator")
def test_frames_come_in_order_with_the_drivers_time_stamps():
    seen = seen_by_client()
    assert "error" not in seen
    assert len(seen["levels"]) == 60
    assert sorted(seen["ages_ms"])[30] < 20
    assert max(map(abs, seen["wall_off_ms"])) < 500
    steps_ms = [b - a for a, b in pairwise(seen["captured_ms"])]
    assert 30 < sorted(steps_ms)[len(steps_ms) // 2] < 37
    rising = [b - a for a, b in pairwise(seen["levels"])]
    assert sum(step > 0 for step in rising) >= 55  # it wraps around at white


@pytest.mark.usefixtures("emulator")
def test_an_unplugged_camera_is_noticed_at_once():
    seen = seen_by_client("--unplug-at", "20")
    assert seen["error"].startswith("CameraUnavailableError: v4l2:/dev/video0")
    assert 15 <= len(seen["levels"]) < 20
    assert seen["blocked_s"] < 1


@pytest.mark.usefixtures("emulator")
def test_one_failed_transfer_is_survived():
    seen = seen_by_client("--fail-at", "20", frames=60)
    assert "error" not in seen  # V4L2 calls EIO possibly temporary, and OpenCV asks again
    assert len(seen["levels"]) == 60


@pytest.mark.usefixtures("emulator")
def test_a_frame_that_the_driver_held_back_shows_its_age():
    seen = seen_by_client("--late-at", "20", "--late-s", "1.5", frames=30)
    assert "error" not in seen
    assert 1500 <= max(seen["ages_ms"]) < 2500


@pytest.mark.usefixtures("emulator")
def test_a_camera_without_the_expected_size_is_refused_with_both_sizes():
    seen = seen_by_client(size=(1280, 720))
    assert "640x480" in seen["error"]
    assert "1280x720" in seen["error"]


@pytest.mark.usefixtures("emulator")
def test_a_camera_without_the_expected_format_is_refused_with_both_formats():
    seen = seen_by_client(uri="v4l2:/dev/video0?fourcc=MJPG")
    assert "YUYV" in seen["error"]
    assert "MJPG" in seen["error"]


@pytest.mark.usefixtures("emulator")
def test_format_and_rate_can_be_asked_for():
    seen = seen_by_client(uri="v4l2:/dev/video0?fourcc=YUYV&fps=30", frames=5)
    assert len(seen["levels"]) == 5


def test_a_device_that_is_not_there_is_named(tmp_path):
    def opened(device):
        V4l2Source(
            V4l2Uri(device=device), size=(640, 480), read_timeout_s=1.0, stop=threading.Event()
        ).open()

    with pytest.raises(CameraUnavailableError, match="no such device"):
        opened(tmp_path / "video9")
    (tmp_path / "video8").touch()
    with pytest.raises(CameraUnavailableError, match="no camera"):
        opened(tmp_path / "video8")


@pytest.mark.parametrize(
    ("position_ms", "captured_ns"),
    [
        (99_990.0, 99_990_000_000),  # ten milliseconds ago on our clock
        (100_000.0, 100 * S),
        (0.0, 100 * S),  # no time stamp
        (1_700_000_000_000.0, 100 * S),  # the wall clock
        (100_001.0, 100 * S),  # in the future
        (60_000.0, 100 * S),  # 40 s ago: some other clock
    ],
)
def test_a_time_stamp_of_another_clock_is_not_believed(position_ms, captured_ns):
    assert captured_mono_ns(position_ms, 100 * S) == captured_ns
