"""docker-compose.yml and what it mounts: valid, closed, and the same rules as everywhere else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from inspector.settings.load import load_settings
from tests.kit.line import wait_for
from tests.kit.watching import free_port

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
LOOPBACK = "127.0.0.1:"
PUBLISHED = {"inspector": ["127.0.0.1:8090:8090"], "grafana": ["127.0.0.1:3000:3000"]}


def services() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return content


def tool(*words: str) -> subprocess.CompletedProcess[str]:
    program, *arguments = words
    path = Path(sys.executable).with_name(program)
    return subprocess.run(
        [str(path), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_it_is_what_the_compose_specification_allows() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_has_nothing_a_linter_objects_to() -> None:
    done = tool("hadolint", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_gets_nothing_but_what_it_is_built_from() -> None:
    copied = {
        word
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert sorted(allowed) == sorted(copied)
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.may_skip
@pytest.mark.parametrize("profile", ["gpu", "cpu"])
def test_the_compose_plugin_reads_it(profile: str) -> None:
    if shutil.which("docker") is None or tool_of_docker("version").returncode != 0:
        pytest.skip("no compose plugin on this machine")
    done = tool_of_docker("--profile", profile, "config", "--quiet")
    assert done.returncode == 0, done.stderr


def tool_of_docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "compose", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_only_the_page_and_grafana_are_published_and_only_on_this_machine() -> None:
    assert {n: s["ports"] for n, s in services().items() if "ports" in s} == PUBLISHED


def test_every_service_is_watched_limited_and_cannot_gain_rights() -> None:
    for name, service in services().items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"], name
        assert limits["pids"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "healthcheck" in service or name == "inspector", name  # its image has one
        assert service["restart"] == "unless-stopped", name
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()


def test_triton_may_open_the_shared_memory_of_the_inspector() -> None:
    """Its user alone may; the segment is made with no rights for others."""
    [user] = [
        line.removeprefix("USER ")
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("USER ")
    ]
    for name in ("triton-gpu", "triton-cpu"):
        service = services()[name]
        assert service["user"] == user
        assert "shm:/dev/shm" in service["volumes"]
    assert "shm:/dev/shm" in services()["inspector"]["volumes"]


def test_what_it_mounts_is_there_and_secrets_are_files_outside_the_repository() -> None:
    for name, service in services().items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), f"{name} mounts {source}"
                assert volume.endswith(":ro"), f"{name} could change {source}"
    secrets = yaml.safe_load(COMPOSE.read_text())["secrets"]
    for secret in secrets.values():
        assert secret["file"].startswith("./secrets/")
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/secrets/" in ignored
    environments = json.dumps([service.get("environment") for service in services().values()])
    assert "PASSWORD__FILE" in environments


def test_secrets_are_made_once_and_only_for_their_owner(tmp_path: Path) -> None:
    copy = tmp_path / "deploy" / "compose" / "make-secrets.sh"
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "compose" / "make-secrets.sh", copy)

    def make() -> dict[str, str]:
        subprocess.run([str(copy)], check=True, capture_output=True)
        return {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}

    made = make()
    wanted = yaml.safe_load(COMPOSE.read_text())["secrets"]
    assert set(made) == set(wanted)
    assert len(set(made.values())) == len(made)
    assert all(len(secret) > 30 and secret.isalnum() for secret in made.values())
    assert make() == made
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_the_settings_it_mounts_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "http.token").write_text("a-token\n")
    (tmp_path / "redis.password").write_text("a-password\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = load_settings(ROOT / "config" / "compose.toml")
    prometheus = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())
    [labels] = [
        target["labels"]
        for job in prometheus["scrape_configs"]
        if job["job_name"] == "inspector"
        for target in job["static_configs"]
    ]
    assert labels == {"station": settings.station.id}
    assert f"STATION:-{settings.station.id}" in COMPOSE.read_text()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
def test_prometheus_reads_what_the_containers_mount(tmp_path: Path) -> None:
    for name in ("compose/prometheus.yml", "prometheus/recording.yml", "prometheus/alerts.yml"):
        text = (ROOT / "deploy" / name).read_text()
        token = tmp_path / "http_token"
        token.write_text("x")
        (tmp_path / Path(name).name).write_text(text.replace("/run/secrets/http_token", str(token)))
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


@pytest.mark.skipif(shutil.which("amtool") is None, reason="no amtool here")
def test_alertmanager_reads_its_configuration_and_calls_somebody() -> None:
    config = str(ROOT / "deploy" / "alertmanager" / "alertmanager.yml")
    for labels, receiver in {
        ("severity=page", "alertname=CameraDown"): "pager",
        ("severity=warning", "alertname=NoUnits"): "notes",
        ("severity=info", "alertname=SerialsUnread"): "notes",
        ("severity=none", "alertname=WatchingWorks"): "watchman",
    }.items():
        done = subprocess.run(
            ["amtool", "config", "routes", "test", f"--config.file={config}", *labels],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (0, receiver), done.stderr


def login(port: int, name: str) -> redis.Redis:
    password = f"password of {name}"
    return redis.Redis(port=port, username=name, password=password, decode_responses=True)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_redis_starts_with_the_shipped_files_and_knows_the_users(tmp_path: Path) -> None:
    """The entrypoint of the container, with its absolute paths moved into a folder."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    for folder in ("secrets", "run", "data", "etc"):
        (tmp_path / folder).mkdir()
    for name in ("inspector", "mes", "plc", "admin"):
        (tmp_path / "secrets" / f"redis_{name}").write_text(f"password of {name}\n")
    for name in ("redis.conf", "users.acl"):
        shutil.copy(ROOT / "deploy" / "redis" / name, tmp_path / "etc")
    script = (ROOT / "deploy" / "compose" / "redis-entrypoint.sh").read_text()
    port = free_port()
    for path, moved in {
        "/run/secrets": f"{tmp_path}/secrets",
        "/run/redis": f"{tmp_path}/run",
        "/etc/redis": f"{tmp_path}/etc",
        "--dir /data": f"--dir {tmp_path}/data",
        "--port 6379": f"--port {port}",
        "--bind '* -::*'": "--bind 127.0.0.1",
    }.items():
        assert path in script
        script = script.replace(path, moved)
    environment = os.environ | {"STATION": "p.l.s"}
    process = subprocess.Popen(["/bin/sh", "-c", script], env=environment, cwd=tmp_path)
    try:
        mes = login(port, "mes")
        wait_for(lambda: answers(mes), within_s=20, what="Redis answers")
        assert mes.xrange("inspector:{p.l.s}:units") == []
        with pytest.raises(redis.exceptions.NoPermissionError):
            mes.delete("inspector:{p.l.s}:units")
        with pytest.raises(redis.exceptions.NoPermissionError):
            mes.xrange("inspector:{other.l.s}:units")
        admin = login(port, "admin")
        assert admin.config_get("appendfsync", "maxmemory-policy", "port", "tls-port") == {
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "port": str(port),
            "tls-port": "0",
        }
        nobody = redis.Redis(port=port)
        with pytest.raises(redis.exceptions.AuthenticationError):
            nobody.ping()
        for client in (mes, admin, nobody):
            client.close()
    finally:
        process.kill()
        process.wait()
    digest = hashlib.sha256(b"password of mes").hexdigest()
    assert digest in (tmp_path / "run" / "users.acl").read_text()
