"""What one alert holds back of others: a real Alertmanager with the shipped configuration."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.kit.line import wait_for
from tests.kit.watching import DEPLOY, free_port

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None, reason="no Alertmanager on this machine"
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [
            "prometheus-alertmanager",
            f"--config.file={DEPLOY}/alertmanager/alertmanager.yml",
            f"--storage.path={tmp_path}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}/api/v2/alerts"
    finally:
        process.kill()
        process.wait()


def ask(url: str, alerts: list[dict[str, Any]] | None = None) -> Any:
    body = None if alerts is None else json.dumps(alerts).encode()
    request = Request(url, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=5) as answer:
            text = answer.read()
    except URLError:
        return None
    return json.loads(text) if text else True


def assert_told(url: str, *alerts: tuple[str, str], of: set[tuple[str, str]]) -> None:
    """Somebody is told of the alerts in `of` (by name and camera), and of no other."""
    labels = [
        {"alertname": name, "station": "s"} | ({"camera": camera} if camera else {})
        for name, camera in alerts
    ]
    wait_for(
        lambda: ask(url, [{"labels": one} for one in labels]), within_s=20, what="it takes them"
    )

    def told() -> set[tuple[str, str]]:
        found: list[dict[str, Any]] = ask(url) or []
        return {
            (one["labels"]["alertname"], one["labels"].get("camera", ""))
            for one in found
            if not one["status"]["inhibitedBy"]
        }

    # What holds others back is learned beside the question: at first nothing is held back.
    wait_for(lambda: told() == of, within_s=30, what=f"told of {sorted(of)} and no other")


def test_a_camera_that_is_down_holds_back_nothing_of_another_camera(url: str) -> None:
    down, others = ("CameraDown", "top"), {("NoUnits", "bottom"), ("UnitsNotInspected", "bottom")}
    caused = [("NoUnits", "top"), ("UnitsNotInspected", "top"), ("InspectorNotReady", "")]
    assert_told(url, down, *others, *caused, of={down, *others})


def test_a_model_that_is_away_explains_all_cameras(url: str) -> None:
    down = ("TritonDown", "")
    assert_told(url, down, ("UnitsNotInspected", "top"), ("InspectorNotReady", ""), of={down})
