"""Secrets that work are seen nowhere; test_logs.py does the same where everything is away."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.kit.guarded_triton import HEADER, TOKEN, guarded_triton
from tests.kit.inspector_command import inspector
from tests.kit.line import Line, wait_for
from tests.kit.processes import arguments, descendants
from tests.kit.redis_access import ShippedRedis, password_of
from tests.kit.redis_sites import Sentinels
from tests.kit.rtsp_server import RtspServer, Serving

CANARIES = {
    "camera": "canary-camera",
    "Redis": password_of("inspector"),
    "Triton": TOKEN,
    "HTTP": "canary-http-token",
}
PATHS = ("/", "/metrics", "/healthz", "/readyz", "/api/status", "/nowhere")


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    if (missing := RtspServer.missing()) is not None:
        pytest.skip(missing)
    with RtspServer(Serving(user="viewer", password=CANARIES["camera"])) as server:
        yield server


def shown_by(line: Line) -> str:
    """Everything the HTTP side says, with the token."""
    port = re.search(r"port = (\d+)", line.config.read_text())
    assert port is not None
    shown = []
    for path in PATHS:
        connection = HTTPConnection("127.0.0.1", int(port[1]), timeout=10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {CANARIES['HTTP']}"})
        reply = connection.getresponse()
        shown.append(f"{reply.getheaders()} {reply.read().decode()}")
        assert reply.status in (200, 404, 503)
        connection.close()
    return "\n".join(shown)


def test_secrets_that_work_leave_no_trace(tmp_path: Path, camera: RtspServer) -> None:
    triton_folder = tmp_path / "triton"
    triton_folder.mkdir()
    with (
        ShippedRedis(tmp_path / "redis", station="test.one.aoi") as redis,
        guarded_triton(triton_folder) as triton,
    ):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        line = Line(
            tmp_path,
            cameras={
                "top": {
                    "source": camera.url(user="viewer", password=CANARIES["camera"]),
                    "size": "640x360",
                }
            },
            triton=triton.url,
            redis_url=redis.url,
            redis={
                "username": "inspector",
                "password": CANARIES["Redis"],
                "tls_ca": str(redis.ca),
            },
            inference={
                "model": "null_inspection",
                "tls": True,
                "tls_ca": str(triton.ca),
                "token": CANARIES["Triton"],
                "token_header": HEADER,
            },
            http={"port": port, "token": CANARIES["HTTP"]},
            log={"format": "json", "level": "debug"},
            evidence={"passed_share": 1.0},
        )
        line._port = port
        seen: dict[str, str] = {}
        with line:
            line.wait_ready()
            with redis.client() as admin:
                wait_for(
                    lambda: admin.xlen("inspector:{test.one.aoi}:units") >= 10,
                    within_s=60,
                    what="units in Redis",
                )
            camera.kill()
            wait_for(lambda: "camera top" in line.get("/readyz")[1], within_s=30, what="a fault")
            seen["HTTP"] = shown_by(line)
            ours = [line.pid, *descendants(line.pid)]
            seen["process list"] = "\n".join(map(arguments, ours))
            checked = inspector("check", "--config", line.config, "--json", timeout_s=100)
            seen["check"] = checked.stdout + checked.stderr
            assert "null_inspection" in seen["check"]
            assert '"redis"' in seen["check"]
            line.stop()
        seen["log"] = line.log_path.read_text()
        seen["state"] = "".join(
            path.read_bytes().decode("latin-1") + str(path)
            for path in line.state.rglob("*")
            if path.is_file()
        )
        with redis.client() as admin:
            streams = {
                name: admin.xrange(f"inspector:{{test.one.aoi}}:{name}")
                for name in ("units", "defects", "health")
            }
        assert streams["units"]
        assert streams["health"]
        seen["events"] = json.dumps(streams)
    for place, text in seen.items():
        assert text
        for whose, canary in CANARIES.items():
            assert canary not in text, f"the secret of {whose} in the {place}"


def test_the_sentinels_secret_is_seen_nowhere(tmp_path: Path) -> None:
    with Sentinels(tmp_path / "site", sentinel_password="canary-right") as site:
        line = Line(
            tmp_path,
            cameras={"top": {"source": "sim:?fps=5", "size": "160x128"}},
            triton="127.0.0.1:1",
            redis_url=site.url.replace("//", "//default:canary-server@"),
            redis={"sentinel_password": "canary-wrong"},
            log={"format": "json", "level": "debug"},
        )
        with line:
            wait_for(
                lambda: "redis down" in [said["event"] for said in line.log()],
                within_s=40,
                what="Redis is down",
            )
            seen = line.get("/api/status")[1] + line.get("/readyz")[1]
            line.stop()
        checked = inspector("check", "--config", line.config, timeout_s=100)
        seen += line.log_path.read_text() + checked.stdout + checked.stderr
    assert "redis" in seen
    assert "canary" not in seen
