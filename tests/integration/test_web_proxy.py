"""A web proxy in the environment, as on many company PCs: nothing of the line goes through it."""

from __future__ import annotations

from pathlib import Path

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.inspector_command import inspector
from tests.kit.rtsp_server import RtspServer, Serving, make_certificate

NOBODY = "http://127.0.0.1:9"
PROXIES = {
    name: NOBODY
    for lower in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")
    for name in (lower, lower.upper())
}


def test_triton_and_a_camera_with_tls_are_reached_without_the_web_proxy(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    config = tmp_path / "line.toml"
    certificate = make_certificate(tmp_path)
    serving = Serving(certificate=certificate, user="cam", password="secret")
    with RtspServer(serving) as camera:
        source = camera.url(user="cam", password="secret")
        config.write_text(
            '[station]\nsite = "plant1"\nline = "smt2"\nname = "aoi"\n'
            f'[cameras.top]\nsource = "{source}"\nsize = "640x360"\n'
            f'[inference]\nurl = "{triton.grpc_url}"\n'
            '[redis]\nurl = "redis://127.0.0.1:9/0"\n'
            f'[journal]\ndirectory = "{tmp_path / "state"}"\n'
        )
        told = inspector("check", "-c", config, env=PROXIES).stdout.splitlines()
    marks = {line[4:].strip().partition(":")[0]: line[:4].strip() for line in told}
    assert marks["camera top"] == "ok", told
    assert marks["triton"] == "ok", told
