"""The line with a USB camera: an emulated one, see v4l2_emulator.py for what that shows."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from pathlib import Path

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit import v4l2_emulator
from tests.kit.line import Line, wait_for
from tests.kit.line_events import assert_accounted, entries
from tests.kit.redis_server import RedisServer

UNPLUGGED_AT = 90


@pytest.fixture
def emulator() -> list[str]:
    return emulated("--unplug-at", str(UNPLUGGED_AT))


def emulated(*options: str) -> list[str]:
    """The command that runs ours with an emulated camera."""
    if (missing := v4l2_emulator.missing()) is not None:
        pytest.skip(missing)
    program = [v4l2_emulator.SYSTEM_PYTHON, v4l2_emulator.__file__]
    return ["umockdev-wrapper", *program, *options, "--"]


def test_half_a_picture_of_a_bad_board_never_passes_and_no_verdict_comes_twice(
    tmp_path: Path, shared: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    """Seen before: the half pictures PASSED, the undecodable got the verdict before them."""
    folder = shared / "cases/cam/jpeg-damaged-with-end"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    whole = {"file": str(folder / "1_whole.jpg")}
    encoded = (folder / "1_whole.jpg").read_bytes()
    (tmp_path / "undecodable").write_bytes(encoded[::-1])
    (tmp_path / "cut").write_bytes(encoded[: len(encoded) // 2])
    damaged = [
        *({"file": str(path)} for path in sorted(folder.glob("[2-5]_*.jpg"))),
        *({"file": str(tmp_path / name)} for name in ("undecodable", "cut")),
        *({"used_bytes": 0}, {**whole, "error": True}),
    ]
    frames = [step for harm in damaged for step in (whole, harm)]
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"fourcc": "MJPG", "fps": 4, "frames": frames}))
    with (
        Line(
            tmp_path,
            # The whole picture is always the same one.
            cameras={
                "usb": {
                    "source": "v4l2:/dev/video0?fourcc=MJPG",
                    "size": "640x640",
                    "frozen_after_s": 0,
                }
            },
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            prefix=emulated("--script", str(script), "--width", "640", "--height", "640"),
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_for(
            lambda: len(entries(client, "units")) >= 3 * len(frames),
            within_s=40,
            what="three rounds of the camera's frames decided",
        )
        line.stop()
        units = [entry.event for entry in entries(client, "units")]
        assert_accounted(entries(client, "units"), line.said("stopped")["captured"])
        assert entries(client, "health") == []
    results = [unit["reason"] or unit["result"] for unit in units]
    assert "PASSED" not in results
    ours = [result for result in results if result in {"FAILED", "frame_unreadable"}]
    assert len(ours) >= 2 * len(frames)
    assert all(a != b for a, b in pairwise(ours)), ours


def test_a_usb_camera_is_inspected_and_missed_once_it_is_unplugged(
    tmp_path: Path, emulator: list[str], triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    # Some of the emulator's pictures are white all over.
    optics = {"optics.clipped": 0, "optics.least_contrast": 0}  # its pictures are evenly white
    camera = {"source": "v4l2:/dev/video0", "size": "640x480", **optics}
    with (
        Line(
            tmp_path,
            cameras={"usb": camera},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            prefix=emulator,
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_for(
            lambda: line.scrape().frames(camera="usb").inspected >= 20,
            within_s=20,
            what="20 pictures of the USB camera inspected",
        )
        wait_for(
            lambda: line.scrape().total("inspector_camera_up", camera="usb") == 0,
            within_s=20,
            what="an unplugged camera noticed",
        )
        assert line.get("/readyz")[0] == 503
        assert line.get("/healthz")[0] == 200
        line.stop()
        units = entries(client, "units")
        assert_accounted(units, line.said("stopped")["captured"])
        assert len(units) < UNPLUGGED_AT
        [lost] = entries(client, "health")
    assert (lost.event["fault"], lost.event["subject"], lost.event["state"]) == (
        *("camera", "usb", "raised"),
    )
    assert "/dev/video0" in lost.event["cause"]
