"""From the start until each part has answered once, nothing says that units can be inspected."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import BOARD_REGION, PICTURE, Line, wait_for
from tests.kit.redis_server import RedisServer
from tests.kit.systemd_socket import Systemd


@pytest.fixture
def silent() -> Iterator[str]:
    """Accepts, and never says a word: a camera that boots, a Triton that loads its models."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def good_parts(line: Line) -> set[str]:
    status, text = line.get("/api/status")
    parts = json.loads(text)["parts"] if status == 200 else []
    return {f"{p['part']} {p['subject']}".strip() for p in parts if p["good"]}


def seen_until_it_fails(line: Line) -> list[str]:
    """What it looked like at each look, up to the first fault of each silent part."""
    looks: list[str] = []

    def both_failed() -> bool:
        ready, detail = line.get("/readyz")
        if not ready:
            return False
        assert ready == 503, detail
        assert line.scrape().total("inspector_ready") == 0
        assert line.scrape().total("inspector_camera_up") == 0
        assert line.scrape().total("inspector_triton_up") == 0
        assert not good_parts(line) & {"camera top", "triton"}
        looks.append(detail)
        return {"camera down", "triton down"} <= {said["event"] for said in line.log()}

    wait_for(both_failed, within_s=60, what="camera and Triton are reported")
    return looks


def test_parts_that_accept_and_say_nothing_never_make_a_station_ready(
    tmp_path: Path, silent: str, redis_server: RedisServer
) -> None:
    systemd = Systemd(tmp_path)
    line = Line(
        tmp_path,
        cameras={"top": {"source": f"rtsp://{silent}/1", "size": "64x64", "connect_timeout_s": 3}},
        triton=silent,
        redis_url=redis_server.url,
        environment={"NOTIFY_SOCKET": systemd.address},
        inference={"connect_timeout_s": 3},
    )
    with contextlib.closing(systemd), line:
        looks = seen_until_it_fails(line)
        waiting = "camera top: waiting for its first picture"
        assert any(waiting in look for look in looks), looks
        assert any("triton: waiting for the first answer of the model" in look for look in looks)
        # Known to be missing: systemd must not wait for a camera that somebody switched off.
        wait_for(lambda: systemd.times("READY=1"), within_s=10, what="READY=1")
        said = [text for _, text in systemd.said]
        before = said[: said.index("READY=1")]
        assert any(waiting in text for text in before), "it said what it waited for"
        after = said[said.index("READY=1") + 1]
        assert after.startswith("STATUS=not inspecting: "), after
        assert waiting not in after
        line.stop()


def test_a_station_is_ready_once_each_part_has_answered(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    systemd = Systemd(tmp_path)
    line = Line(
        tmp_path,
        cameras={"top": {"source": "sim:?fps=4&seed=3", "size": PICTURE, "region": BOARD_REGION}},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        environment={"NOTIFY_SOCKET": systemd.address},
    )
    with contextlib.closing(systemd), line:
        line.wait_ready()
        scrape = line.scrape()
        assert scrape.total("inspector_frames_captured_total") > 0, "a picture came before"
        assert scrape.total("inspector_triton_up") == 1
        wait_for(
            lambda: systemd.times("STATUS=inspecting at test.one.aoi"),
            within_s=5,
            what="systemd hears that it inspects",
        )
        assert systemd.times("READY=1")
        wait_for(lambda: "redis" in good_parts(line), within_s=10, what="Redis has answered")
        assert {"camera top", "triton", "redis", "journal"} <= good_parts(line)
        line.stop()
