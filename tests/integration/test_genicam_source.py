"""An industrial camera that speaks real GigE Vision, in a network of the test's own."""

import json
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.core.records import CameraId
from inspector.doctor.examination import _camera as examine_camera
from inspector.doctor.findings import Finding, Mark
from inspector.settings.sections import CameraSettings
from inspector.sources.genicam.camera import GenicamSource
from inspector.sources.genicam.library import aravis
from inspector.sources.opening import FeatureValue, Opening
from inspector.sources.registry import parse_source
from tests.kit.fake_triton import FakeTriton, serving
from tests.kit.genicam_camera import FakeCamera, needs_aravis
from tests.kit.own_network import in_own_network
from tests.kit.pipeline import line, settings_for
from tests.kit.pipeline_units import patient, unit_line

pytestmark = needs_aravis

SIZE = (640, 480)


def source(
    written: str = "genicam:127.0.0.1",
    size: tuple[int, int] | None = SIZE,
    **features: FeatureValue,
) -> GenicamSource:
    made = parse_source(written).make_source(
        Opening(size=size, read_timeout_s=1.0, features=features)
    )
    assert isinstance(made, GenicamSource)
    return made


def picture(camera: GenicamSource) -> np.ndarray:
    assert camera.size is not None
    image = np.zeros((camera.size[1], camera.size[0], 3), np.uint8)
    camera.grab()
    camera.retrieve_into(image)
    return image


def grab_for_ever(camera: GenicamSource) -> None:
    while True:
        camera.grab()


def show_many(camera: GenicamSource) -> None:
    for _ in range(40):
        picture(camera)


def lose(camera: GenicamSource) -> None:
    """Read until the camera is said to be gone."""
    asked_ns = time.monotonic_ns()
    with pytest.raises(CameraUnavailableError, match=r"does not answer|is silent"):
        grab_for_ever(camera)
    assert time.monotonic_ns() - asked_ns < 8e9


def reopen(camera: GenicamSource) -> None:
    """Open it as the capture worker does: again until it is there."""
    until_ns = time.monotonic_ns() + 10_000_000_000
    while True:
        try:
            camera.open()
        except CameraUnavailableError:
            assert time.monotonic_ns() < until_ns, "the camera does not come back"
        else:
            return


def refusal(camera: GenicamSource) -> str:
    with pytest.raises(CameraUnavailableError) as refused:
        camera.open()
    return str(refused.value)


@in_own_network
def test_it_is_found_by_its_serial_its_address_and_its_id():
    with FakeCamera(serial="GV77"):
        for name in ("127.0.0.1", "GV77", "gv77", "Aravis-Fake-GV77"):
            camera = source(f"genicam:{name}")
            camera.open()
            assert picture(camera).std() > 10
            camera.close()
        assert refusal(source("genicam:GV78")) == (
            "genicam:GV78: no such camera answers (found: GV77)"
        )


@in_own_network
def test_frames_come_in_order_with_the_cameras_own_times():
    with FakeCamera():
        camera = source()
        camera.open()
        grabbed = [camera.grab() for _ in range(20)]
        camera.close()
        times = [g.captured_mono_ns for g in grabbed]
        assert times == sorted(set(times))
        assert times[-1] <= time.monotonic_ns()
        stamps = [g.stamp_ns for g in grabbed]
        assert None not in stamps
        assert len(set(stamps)) == len(stamps)


@in_own_network
def test_every_kind_of_picture_it_sends_is_read():
    with FakeCamera():
        means = {}
        for name in ("Mono8", "Mono16", "RGB8", "BayerRG8", "BayerGB8", "BayerGR8", "BayerBG8"):
            camera = source(PixelFormat=name)
            camera.open()
            means[name] = picture(camera).reshape(-1, 3).std(axis=0)
            camera.close()
        assert all((spread > 5).all() for spread in means.values()), means


@in_own_network
def test_features_are_written_again_after_a_power_cut():
    with FakeCamera() as power:
        camera = source(ExposureTimeAbs=5000.0, PixelFormat="BayerRG8")
        camera.open()
        power.power_off()
        lose(camera)
        camera.close()
        power.power_on()
        library = aravis()
        fresh = library.camera("127.0.0.1")
        exposure = library.feature(library.device_of(fresh), "ExposureTimeAbs")
        assert exposure is not None
        assert library.value(exposure) == "10000"
        library.release(fresh)
        reopen(camera)
        assert picture(camera).std() > 10
        watching = library.camera("127.0.0.1")
        exposure = library.feature(library.device_of(watching), "ExposureTimeAbs")
        assert exposure is not None
        assert library.value(exposure) == "5000"
        library.release(watching)
        camera.close()


@in_own_network
def test_what_the_camera_cannot_do_is_refused_with_what_it_can():
    with FakeCamera():
        told = "genicam:127.0.0.1: the camera"
        assert refusal(source(Nope=1)) == f"{told} has no feature Nope"
        assert refusal(source(ExposureTimeAbs=1e9)) == (
            f"{told}'s ExposureTimeAbs is 10000, expected 1000000000; it accepts 10 to 10000000"
        )
        assert refusal(source(size=(4000, 480))) == (
            f"{told}'s Width is 512, expected 4000; it accepts 1 to 2048"
        )
        assert refusal(source(PixelFormat="Mono3")).startswith(
            f"{told}'s PixelFormat is Mono8, expected Mono3; it accepts BayerBG8, BayerGB8,"
        )
        assert refusal(source(Width=320)) == (
            "genicam:127.0.0.1: features.Width is 320, but size says 640"
        )


@in_own_network
def test_a_camera_that_somebody_else_controls_is_said_to_be():
    with FakeCamera():
        first, second = source(), source()
        first.open()
        assert "controlled by another program" in refusal(second)
        assert picture(first).std() > 10
        first.close()
        second.open()
        second.close()


@in_own_network
def test_one_that_hangs_is_lost_within_three_seconds_and_comes_back():
    with FakeCamera() as power:
        camera = source()
        camera.open()
        picture(camera)
        power.hang()
        lose(camera)
        camera.close()
        power.go_on()
        reopen(camera)
        assert picture(camera).std() > 10
        camera.close()


@in_own_network
def test_one_that_waits_for_triggers_is_up_while_none_comes():
    with FakeCamera():
        camera = source(TriggerMode="On", TriggerSource="Software")
        camera.open()

        def shoot() -> None:
            time.sleep(2.5)
            camera.ask_for(1)

        shooter = Thread(target=shoot)
        shooter.start()
        asked_ns = time.monotonic_ns()
        camera.grab()  # longer than the read timeout: no trigger is no loss
        shooter.join()
        assert time.monotonic_ns() - asked_ns > 2_000_000_000
        assert camera.heard_mono_ns is not None
        assert time.monotonic_ns() - camera.heard_mono_ns < 1_000_000_000
        camera.close()


@in_own_network
def test_a_frame_that_lost_packets_is_never_shown():
    with FakeCamera(lost_per_mille=2):
        camera = source()
        camera.open()
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        shown, lost, untouched, reasons = 0, 0, True, set[str]()
        while shown + lost < 60:
            camera.grab()
            image[:] = 77
            try:
                camera.retrieve_into(image)
                shown += 1
            except FrameUnreadableError as unreadable:
                reasons.add(str(unreadable))
                untouched = untouched and bool((image == 77).all())
                lost += 1
        camera.close()
        assert shown
        assert lost
        assert untouched
        # Of one whose first packet is lost nothing arrives.
        known = ("a frame is not whole: ", "the camera counted a frame that did not arrive")
        assert all(any(said in reason for said in known) for reason in reasons), reasons


@in_own_network
def test_a_format_or_size_that_changes_on_the_way_is_never_shown_and_is_set_back():
    changes = {"PixelFormat": ("Mono8", "640x480 pixels Mono8"), "Width": ("320", "320x480")}
    with FakeCamera():
        for name, (value, found) in changes.items():
            camera = source(PixelFormat="BayerRG8")
            camera.open()
            picture(camera)
            # As a program would that writes over the same connection: no other one may.
            library, device = aravis(), aravis().device_of(camera._camera)  # type: ignore[arg-type]
            feature = library.feature(device, name)
            assert feature is not None
            library.set_value(feature, value)
            with pytest.raises(CameraUnavailableError, match=f"delivers {found}"):
                show_many(camera)
            camera.open()
            assert picture(camera).std() > 10
            camera.close()


@in_own_network
def test_opened_and_closed_again_and_again_nothing_is_left_behind():
    def held() -> tuple[int, int, int]:
        process = Path("/proc/self")
        resident_pages = int((process / "statm").read_text(encoding="ascii").split()[1])
        files, threads = (len(list((process / what).iterdir())) for what in ("fd", "task"))
        return files, threads, resident_pages * 4 // 1024

    with FakeCamera():
        camera = source()
        for _ in range(10):
            camera.open()
            camera.close()
        before = held()
        for _ in range(40):
            camera.open()
            camera.close()
        after = held()
        assert after[:2] == before[:2]
        assert after[2] - before[2] < 8, f"{before} to {after}"


@in_own_network
async def test_every_frame_counts_on_the_line_through_a_power_cut():
    with FakeCamera() as power:
        async with serving(FakeTriton()) as triton:
            settings = settings_for(
                triton.url,
                {
                    "cam": {
                        "source": "genicam:127.0.0.1",
                        "size": "160x120",
                        "silent_after_s": 2.0,
                        "frozen_after_s": 0,
                        "optics": {"blur_px": 0, "clipped": 0},
                        "features": {"PixelFormat": "BayerRG8"},
                    }
                },
            )
            async with line(settings, {}) as running:
                await running.until(lambda: len(running.units) > 20, within_s=20)
                power.power_off()
                await running.until(
                    lambda: any(
                        kind == "camera" and state == "raised" for kind, state, *_ in running.health
                    ),
                    within_s=4,
                )
                seen = len(running.units)
                power.power_on()
                await running.until(lambda: len(running.units) > seen + 20, within_s=15)
                inspected = running.tally()["PASSED"] + running.tally()["FAILED"]
                assert inspected > 40


@in_own_network
async def test_a_trigger_from_outside_fires_the_camera_and_its_frame_is_the_units():
    with FakeCamera():
        async with serving(FakeTriton()) as triton:
            settings = patient(
                triton.url,
                {
                    "cam": {
                        "source": "genicam:127.0.0.1",
                        "size": "160x120",
                        "trigger": "external",
                        "frames_per_unit": 2,
                        "trigger_wait_ms": 6000.0,
                        "silent_after_s": 2.0,
                        "frozen_after_s": 0,
                        "optics": {"blur_px": 0, "clipped": 0},
                        "features": {"TriggerMode": "On", "TriggerSource": "Software"},
                    }
                },
            )
            async with unit_line(settings, {}) as running:
                up = {"camera": "cam"}
                await running.until(lambda: running.count("inspector_camera_up", **up), 20)
                for number in range(1, 6):
                    running.trigger(f"U{number}", camera="cam")
                    await running.until(lambda n=number: len(running.units) == n, 10)  # type: ignore[misc]
                assert [unit["unit"]["id"] for unit in running.units] == [
                    "U1",
                    "U2",
                    "U3",
                    "U4",
                    "U5",
                ]
                counts = [unit["counts"] for unit in running.units]
                assert [c["frames_inspected"] for c in counts] == [2] * 5, running.units
                # Nothing is taken that nobody asked for.
                assert running.count("inspector_frames_captured_total", **up) == 10


@in_own_network
def test_the_command_lists_what_answers_and_says_who_is_held():
    def listed(*addresses: str) -> list[dict[str, Any]]:
        printed = subprocess.run(
            [sys.executable, "-m", "inspector", "cameras", "--json", *addresses],
            capture_output=True,
            text=True,
            check=True,
        )
        return [c for c in json.loads(printed.stdout) if not c["source"].startswith("v4l2:")]

    with FakeCamera(serial="GV77"):
        (found,) = listed()
        assert found["source"] == "genicam:GV77"
        assert (found["vendor"], found["model"], found["state"]) == ("Aravis", "Fake", "free")
        assert {"Mono8", "BayerRG8"} <= set(found["formats"])
        assert found["size"] == [512, 512]
        camera = source(found["source"])
        camera.open()
        held, nobody = listed("127.0.0.1")
        assert held["state"].startswith("held by another program")
        assert picture(camera).std() > 10
        camera.close()
        assert nobody["state"] == "does not answer RTSP"


@in_own_network
def test_the_doctor_counts_pictures_that_are_not_whole_and_waits_for_no_trigger():
    def examined(**features: FeatureValue) -> list[Finding]:
        said = {"source": "genicam:127.0.0.1", "size": "160x120", "features": features}
        return examine_camera(CameraId("top"), CameraSettings.model_validate(said))

    with FakeCamera(lost_per_mille=20):
        *_, packets = examined()
        assert (packets.what, packets.mark) == ("packets top", Mark.FAIL)
        assert "pictures not whole" in packets.found
    with FakeCamera():
        *_, packets = examined()
        assert packets.mark is Mark.OK
        (silent,) = examined(TriggerMode="On", TriggerSource="Line0")
        assert silent.found == "it answers, and sent no picture within 5 s"
