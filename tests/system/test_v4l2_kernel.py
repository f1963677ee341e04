"""Our V4L2 source against the kernel's own V4L2 (driver vivid), in a virtual machine."""

import json
import sys

import pytest

from tests.system.v4l2_qemu import machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    if (missing := machine.missing()) is not None:
        pytest.skip(missing)
    exchange = tmp_path_factory.mktemp("exchange")
    script = "tests.system.v4l2_qemu.guest"
    machine.run(
        f"cd {machine.ROOT} && {sys.executable} -m {script} /mnt/report.json",
        exchange,
        timeout_s=600,
    )
    return json.loads((exchange / "report.json").read_text())


def test_the_kernels_frames_come_with_its_own_time_stamps(report):
    seen = report["normal"]
    assert "error" not in seen
    assert len(seen["levels"]) == 90
    assert sorted(seen["ages_ms"])[45] < 200  # the emulated processor is some 20 times slower
    assert seen["captured_ms"] == sorted(set(seen["captured_ms"]))
    span_ms = seen["captured_ms"][-1] - seen["captured_ms"][0]
    assert 2_500 < span_ms < 8_000
    # A busy machine loses frames, and they are told.
    assert min(level for level in seen["levels"] if level is not None) > 10


def test_a_size_the_camera_does_not_have_is_refused_with_both_sizes(report):
    assert "CameraUnavailableError" in report["other_size"]["error"]
    assert "expected 600x400" in report["other_size"]["error"]


def test_a_camera_in_use_says_so(report):
    assert "in use by another program" in report["in_use"]["error"]


def test_a_silent_driver_is_given_up_after_the_read_timeout(report):
    seen = report["silent"]
    assert "CameraUnavailableError" in seen["error"]
    assert 0.9 < seen["blocked_s"] < 3
    assert "silent for 1" in seen["error"]
    assert len(seen["levels"]) >= 10
    assert len(report["after_silence"]["levels"]) == 10
    assert 2.4 < report["silent_longer"]["blocked_s"] < 5


def test_a_frame_that_the_driver_marks_as_damaged_is_missed(report):
    seen = report["marked"]
    assert "error" not in seen
    assert any("driver marked" in why for why in seen["unreadable"])
    assert seen["levels"].count(None) == len(seen["unreadable"])


def test_frames_that_the_driver_drops_are_missed_in_their_place(report):
    seen = report["dropped"]
    assert "error" not in seen
    assert any("lost before" in why for why in seen["unreadable"])
    assert seen["captured_ms"] == sorted(seen["captured_ms"])


def test_a_streaming_error_loses_the_camera_until_it_is_opened_again(report):
    assert "CameraUnavailableError" in report["fatal"]["error"]
    assert report["fatal"]["blocked_s"] < 3
    assert len(report["after_fatal"]["levels"]) == 10


def test_an_unplugged_camera_is_noticed_and_works_when_it_is_back(report):
    gone = report["gone"]
    assert "CameraUnavailableError" in gone["unplugged"]["error"]
    assert gone["unplugged"]["blocked_s"] < 3
    assert "no such device" in gone["away"]["error"]
    assert len(gone["back"]["levels"]) == 10
