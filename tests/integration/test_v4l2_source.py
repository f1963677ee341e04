"""Against an emulated device: v4l2_emulator.py says what that shows and what it cannot."""

import json
import sys
import threading
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from inspector.core.errors import CameraUnavailableError
from inspector.sources.v4l2.camera import V4l2Source
from inspector.sources.v4l2.gaps import SequenceGaps
from inspector.sources.v4l2.uri import V4l2Uri
from tests.kit import v4l2_emulator

CLIENT = "tests.kit.v4l2_client"
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
def test_the_command_lists_it_with_what_it_offers():
    command = [sys.executable, "-m", "inspector", "cameras", "--json"]
    printed = v4l2_emulator.run_with_camera(command, timeout_s=60)
    (found,) = [c for c in json.loads(printed) if c["source"] == "v4l2:/dev/video0"]
    assert found["state"] == "free"
    assert found["model"]
    assert found["formats"]
    assert len(found["size"]) == 2


@pytest.mark.usefixtures("emulator")
def test_an_unplugged_camera_is_noticed_at_once():
    seen = seen_by_client("--unplug-at", "20")
    assert seen["error"].startswith("CameraUnavailableError: v4l2:/dev/video0")
    assert 15 <= len(seen["levels"]) < 20
    assert seen["blocked_s"] < 1


@pytest.mark.usefixtures("emulator")
def test_one_failed_transfer_is_survived_and_its_frame_is_missed():
    seen = seen_by_client("--fail-at", "20", frames=60)
    assert "error" not in seen  # V4L2 calls EIO possibly temporary
    assert len(seen["levels"]) == 60
    assert seen["levels"].count(None) == 1
    assert "lost" in seen["unreadable"][0]


def scripted(tmp_path, frames, *, fourcc="YUYV", size=(640, 480), count=None, **more):
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"fourcc": fourcc, "frames": frames} | more))
    options = ("--script", str(script), "--width", str(size[0]), "--height", str(size[1]))
    uri = f"v4l2:/dev/video0?fourcc={quote(fourcc)}"
    return seen_by_client(*options, uri=uri, size=size, frames=count or len(frames) - 1)


def whole_or_not(seen):
    return [level is not None for level in seen["levels"]]


@pytest.mark.usefixtures("emulator")
def test_half_a_frame_is_missed_and_shows_nothing_of_the_one_before(tmp_path):
    whole = 640 * 480 * 2
    good = {"level": 120}
    seen = scripted(
        tmp_path,
        [
            *(good, good, {"level": 200, "used_bytes": whole // 2}, good, {"used_bytes": 0}),
            *(good, {"level": 200, "used_bytes": whole - 1}, good, {"error": True}, good),
        ],
    )
    assert "error" not in seen
    assert whole_or_not(seen) == [True, False, True, False, True, False, True, False, True]
    half, nothing, short, marked = seen["unreadable"]
    assert f"{whole // 2} of {whole} bytes" in half
    assert "without a single byte" in nothing
    assert f"{whole - 1} of {whole} bytes" in short
    assert "driver marked" in marked


@pytest.mark.usefixtures("emulator")
def test_frames_that_the_driver_dropped_are_missed_one_by_one(tmp_path):
    frames = [{"level": 100}] * 6 + [{"level": 100, "skipped": 3}] + [{"level": 100}] * 4
    seen = scripted(tmp_path, frames, count=12)
    assert whole_or_not(seen) == [True] * 5 + [False] * 3 + [True] * 4
    assert seen["captured_ms"] == sorted(seen["captured_ms"])


@pytest.fixture
def jpegs(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", noise)[1].tobytes()
    begin = encoded.index(b"\xff\xda") + 14
    made = {
        "whole": encoded + bytes(300),
        "half": encoded[: len(encoded) // 2],
        "half and an end": encoded[: len(encoded) // 2] + b"\xff\xd9",
        "packet lost": encoded[: begin + 5000] + encoded[begin + 6024 :],
        "no jpeg": b"\x12\x34" * 4000,
        "another size": cv2.imencode(".jpg", noise[:240, :320])[1].tobytes(),
    }
    for name, content in made.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    return {name: {"file": str(tmp_path / f"{name}.jpg")} for name in made}


@pytest.mark.usefixtures("emulator")
def test_of_motion_jpeg_only_whole_pictures_are_shown(tmp_path, jpegs):
    whole = jpegs.pop("whole")
    frames = [whole]
    for damaged in jpegs.values():
        frames += [damaged, whole]
    frames += [{"used_bytes": 0}, whole]
    seen = scripted(tmp_path, frames, fourcc="MJPG")
    assert "error" not in seen
    assert whole_or_not(seen) == [False, True] * (len(jpegs) + 1)
    assert len({level for level in seen["levels"] if level is not None}) == 1


@pytest.mark.usefixtures("emulator")
def test_a_camera_that_begins_with_half_frames_is_waited_for(tmp_path, jpegs):
    seen = scripted(tmp_path, [jpegs["half"]] * 4 + [jpegs["whole"]] * 10, fourcc="MJPG", count=5)
    assert whole_or_not(seen) == [True] * 5


@pytest.mark.usefixtures("emulator")
def test_a_camera_that_sends_nothing_whole_is_a_fault(tmp_path, jpegs):
    seen = scripted(tmp_path, [jpegs["half and an end"]], fourcc="MJPG", count=5)
    assert "none of its first 10 frames is whole" in seen["error"]
    later = scripted(tmp_path, [jpegs["whole"]] * 5 + [jpegs["half"]] * 99, fourcc="MJPG", count=90)
    assert "30 such frames in a row" in later["error"]
    assert later["levels"].count(None) == 29


LEVELS = {"YUYV": 2, "UYVY": 2, "YVYU": 2, "GREY": 1, "RGB3": 3, "BGR3": 3, "XR24": 4, "Y16 ": 2}


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("fourcc", [*LEVELS, "NV12", "NV21", "YU12", "YV12", "BA81", "RGGB"])
def test_every_format_is_read_with_its_own_number_of_bytes(tmp_path, fourcc):
    rows, row_bytes = 480, 640 * LEVELS.get(fourcc, 1)
    if fourcc in {"NV12", "NV21", "YU12", "YV12"}:
        rows = 720
    picture = tmp_path / "picture"
    picture.write_bytes(bytes((128,)) * rows * row_bytes)
    short = tmp_path / "short"
    short.write_bytes(bytes((128,)) * (rows * row_bytes - 1))
    frames = [{"file": str(picture)}, {"file": str(picture)}, {"file": str(short)}]
    seen = scripted(tmp_path, frames, fourcc=fourcc, row_bytes=row_bytes, count=2)
    assert "error" not in seen
    assert seen["levels"][0] == pytest.approx(129, abs=2)  # limited range: 128 is 130
    assert seen["levels"][1] is None


@pytest.mark.usefixtures("emulator")
def test_rows_with_padding_are_read_without_it(tmp_path):
    row = bytes((128,)) * 1280 + bytes((255,)) * 128
    picture = tmp_path / "picture"
    picture.write_bytes(row * 480)
    seen = scripted(tmp_path, [{"file": str(picture)}], row_bytes=1408, count=2)
    assert "error" not in seen, seen["error"]
    assert seen["levels"] == pytest.approx([130, 130], abs=1)


@pytest.mark.usefixtures("emulator")
def test_a_format_that_nobody_reads_is_named(tmp_path):
    seen = scripted(tmp_path, [{"level": 100}], fourcc="H264", count=1)
    assert "delivers H264, expected one of" in seen["error"]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([5, 6, 7, 8, 9], 0),
        ([5, 6, 7, 8, 11], 2),
        ([0, 0, 0, 0, 0], 0),  # no counter
        ([0, 2, 4, 6, 8], 0),  # counts fields
        ([5, 6, 7, 8, 0], 0),  # began again
        ([5, 6, 7, 8, 9_000_000], 0),
        ([2**32 - 4, 2**32 - 3, 2**32 - 2, 2**32 - 1, 1], 1),  # wraps around
        ([5, 9, 10, 11, 12], 0),  # not trusted yet
    ],
)
def test_gaps_count_where_a_driver_counts_by_one(numbers, missing):
    gaps = SequenceGaps()
    found = [gaps.missing_before(number, 100 * nth) for nth, number in enumerate(numbers)]
    assert sum(map(len, found)) == missing


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
