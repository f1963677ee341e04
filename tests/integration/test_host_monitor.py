"""Room on disks and the end of certificates, as metrics: real files, a real TLS server."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from inspector.ops.metrics import Metrics
from inspector.service.certificates import Peer, shown_until_s, trusted_until_s
from inspector.service.host_monitor import HostMonitor, folders_of, peers_of
from inspector.settings.settings import Settings
from tests.kit.line import wait_for
from tests.kit.redis_server import RedisServer
from tests.kit.rtsp_server import make_certificate
from tests.kit.watching import free_port

DAYS_2_S = 2 * 86_400
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


def settings(folder: Path, **sections: Any) -> Settings:
    content = {
        "station": {"site": "p", "line": "l", "name": "s"},
        "cameras": {"top": {"source": "sim:", "size": "640x480"}},
        "journal": {"directory": folder},
    }
    return Settings.model_validate(content | sections)


def test_room_is_measured_where_a_folder_will_be_made(tmp_path: Path) -> None:
    metrics = Metrics([], [])
    watch = HostMonitor(settings(tmp_path / "not" / "yet"), metrics)
    try:
        for folder in ("journal", "evidence"):
            labels = {"folder": folder}
            look = partial(metrics.registry.get_sample_value, "inspector_disk_free_bytes", labels)
            free = wait_for(look, within_s=10, what="room")
            assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)
    finally:
        watch.close()


def test_evidence_that_is_not_kept_needs_no_room(tmp_path: Path) -> None:
    assert set(folders_of(settings(tmp_path, evidence={"enabled": False}))) == {"journal"}


@needs_openssl
def test_the_end_of_a_certificate_is_read_from_its_file_and_from_its_server(tmp_path: Path) -> None:
    redis_binary = shutil.which("redis-server")
    if redis_binary is None:
        pytest.skip("no redis-server with TLS on this machine")
    both = make_certificate(tmp_path)
    tls_port = free_port()
    options: tuple[str, ...] = ("--tls-port", str(tls_port), "--tls-cert-file", str(both))
    options += ("--tls-key-file", str(both), "--tls-ca-cert-file", str(both))
    options += ("--tls-auth-clients", "no")
    with RedisServer(redis_binary, tmp_path / "redis", *options):
        redis = {"url": f"rediss://127.0.0.1:{tls_port}/0", "tls_ca": both}
        [peer] = peers_of(settings(tmp_path, redis=redis))
        ends_s = time.time() + DAYS_2_S
        assert trusted_until_s(both) == pytest.approx(ends_s, abs=120)
        assert shown_until_s(peer) == pytest.approx(ends_s, abs=120)
        stranger = Peer(subject="redis", host="127.0.0.1", port=tls_port, trusted=None)
        with pytest.raises(ssl.SSLError):
            shown_until_s(stranger)
    with pytest.raises(OSError, match="refused"):
        shown_until_s(peer)


@needs_openssl
def test_a_file_without_certificates_is_an_error(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    with pytest.raises(OSError, match="certificate"):
        trusted_until_s(key)


def test_only_who_is_checked_is_asked(tmp_path: Path) -> None:
    cameras = {
        "top": {"source": "rtsps://10.0.0.9/x", "size": "640x480", "tls_ca": "/ca.pem"},
        "side": {"source": "rtsps://10.0.0.8/x", "size": "640x480"},
    }
    inference = {"url": "triton.plant:8001", "tls": True}
    found = list(peers_of(settings(tmp_path, cameras=cameras, inference=inference)))
    assert [(p.subject, p.host, p.port) for p in found] == [
        ("triton", "triton.plant", 8001),
        ("top", "10.0.0.9", 322),
    ]
    assert not list(peers_of(settings(tmp_path)))
