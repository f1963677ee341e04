"""The manifests: what its schemas allow; each station with names and settings of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from inspector.settings.load import load_settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
STATIONS = sorted(folder.name for folder in (FOLDER / "example").glob("aoi-*"))
VERSION = "1.33"


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def written() -> list[dict[str, Any]]:
    files = [f for f in FOLDER.rglob("*.yaml") if f.name != "kustomization.yaml"]
    return [document for file in files for document in documents(file.read_text())]


def kustomized() -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on this machine")
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "example")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


@pytest.mark.parametrize(
    "document", written(), ids=lambda d: f"{d['kind']} {d['metadata']['name']}"
)
def test_a_manifest_is_what_kubernetes_allows(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.may_skip
def test_every_station_gets_its_own_names_and_one_process() -> None:
    found = kustomized()
    for document in found:
        kubernetes_validate.validate(document, VERSION, strict=True)
    sets = {d["metadata"]["name"]: d["spec"] for d in found if d["kind"] == "StatefulSet"}
    assert sorted(sets) == [f"{station}-inspector" for station in STATIONS]
    settings = {d["metadata"]["name"] for d in found if d["kind"] == "ConfigMap"}
    for name, spec in sets.items():
        assert spec["replicas"] == 1
        assert spec["serviceName"] == name
        volumes = {v["name"]: v for v in spec["template"]["spec"]["volumes"]}
        assert volumes["credentials"]["secret"]["secretName"] == name
        assert volumes["settings"]["configMap"]["name"] in settings
        assert volumes["settings"]["configMap"]["name"].startswith(name)
        assert spec["selector"]["matchLabels"]["station"] == name.removesuffix("-inspector")
        [container] = spec["template"]["spec"]["containers"]
        assert container["image"] == "registry.plant.example/inspector:0.1.0"
    assert {d["metadata"].get("namespace", "inspection") for d in found} == {"inspection"}


def test_ready_means_inspecting_and_is_shown_without_hiding_anything() -> None:
    [station] = [d for d in written() if d["kind"] == "StatefulSet"]
    [container] = station["spec"]["template"]["spec"]["containers"]
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("readiness", "liveness")
    }
    assert paths == {"readiness": "/readyz", "liveness": "/healthz"}
    [service] = [
        d for d in written() if d["kind"] == "Service" and d["metadata"]["name"] == "inspector"
    ]
    assert service["spec"]["publishNotReadyAddresses"]


@pytest.mark.parametrize("station", STATIONS)
def test_the_settings_of_a_station_are_valid(
    station: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "http.token").write_text("a-token")
    (tmp_path / "redis.password").write_text("a-password")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = load_settings(FOLDER / "example" / station / "inspector.toml")
    assert settings.station.name == station
    service = next(d for d in written() if d["metadata"]["name"] == "triton")
    assert settings.inference.url == f"triton:{service['spec']['ports'][0]['port']}"
