"""The line with a USB camera: an emulated one, see v4l2_emulator.py for what that shows."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from inspector.inference.embedded import EmbeddedTriton
from tests.integration import v4l2_emulator
from tests.integration.line import Line, wait_for
from tests.integration.line_events import assert_accounted, entries
from tests.integration.redis_server import RedisServer

UNPLUGGED_AT = 90


@pytest.fixture
def emulator() -> list[str]:
    if (missing := v4l2_emulator.missing()) is not None:
        pytest.skip(missing)
    program = [v4l2_emulator.SYSTEM_PYTHON, v4l2_emulator.__file__]
    return ["umockdev-wrapper", *program, "--unplug-at", str(UNPLUGGED_AT), "--"]


def test_a_usb_camera_is_inspected_and_missed_once_it_is_unplugged(
    tmp_path: Path, emulator: list[str], triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    with (
        Line(
            tmp_path,
            cameras={"usb": {"source": "v4l2:/dev/video0", "size": "640x480"}},
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
