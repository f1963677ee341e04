"""A watched plant: real Prometheus, real Alertmanager, a person who is called; the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import PICTURE, Line, wait_for
from tests.kit.redis_server import RedisServer, any_binary
from tests.kit.rtsp_server import RtspServer
from tests.kit.watching import DEPLOY, Watching, Webhook, missing

STATION = "test.one.aoi"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "line.json"
BELT = {
    "source": "sim:?speed=20&gap=200&seed=8&fps=15",
    "size": PICTURE,
    "trigger": "presence",
    "serial.formats": ["DataMatrix"],
}


@dataclass(frozen=True)
class Plant:
    line: Line
    cut: RtspServer
    watching: Watching
    webhook: Webhook


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, triton: EmbeddedTriton) -> Iterator[Plant]:
    """A line with a camera that can be cut and a belt with boards, and who watches it."""
    for absent in (missing(), RtspServer.missing()):
        if absent is not None:
            pytest.skip(absent)
    redis_binary = any_binary()
    if redis_binary is None:
        pytest.skip("no redis-server on this machine")
    folder = tmp_path_factory.mktemp("plant")
    with RtspServer() as camera, RedisServer(redis_binary, folder / "redis") as redis:
        external = {"source": camera.url(), "size": "640x360", "trigger": "external"}
        line = Line(
            folder,
            cameras={"gate": external, "belt": BELT},
            triton=triton.grpc_url,
            redis_url=redis.url,
        )
        jobs = {"inspector": line.address, "triton": triton.metrics_url.split("/")[2]}
        with (
            line,
            Webhook() as webhook,
            Watching(folder, jobs, station=STATION, webhook=webhook.url) as watching,
        ):
            line.wait_ready()
            yield Plant(line, camera, watching, webhook)
            line.stop()


def expressions(board: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every query of the dashboard, with its panel."""
    return [
        (panel["title"], target["expr"])
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]


def test_a_person_is_called_when_a_camera_is_cut_and_told_when_it_is_back(plant: Plant) -> None:
    wait_for(
        lambda: plant.watching.ask('inspector_camera_up{camera="gate"} == 1'),
        within_s=30,
        what="Prometheus sees the camera",
    )
    called = plant.webhook.alerts
    assert not called("/page", "firing")
    plant.cut.kill()
    wait_for(lambda: called("/page", "firing"), within_s=60, what="a call")
    [alert] = called("/page", "firing")[:1]
    assert alert["labels"] | {"instance": ""} == {
        "alertname": "CameraDown",
        "severity": "page",
        "camera": "gate",
        "station": STATION,
        "job": "inspector",
        "instance": "",
    }
    assert alert["annotations"] == {
        "summary": f"Station {STATION}: camera gate sends no pictures. "
        "Its units are not inspected.",
        "runbook": "docs/operations.md#cameradown",
    }
    plant.cut.start()
    wait_for(lambda: called("/page", "resolved"), within_s=60, what="the all-clear")
    assert {a["labels"]["alertname"] for a in called("/page", "resolved")} == {"CameraDown"}
    wait_for(lambda: called("/alive", "firing"), within_s=30, what="a sign of life")


def test_every_query_of_the_dashboard_has_an_answer(plant: Plant) -> None:
    asked = expressions(json.loads(DASHBOARD.read_text()))
    assert len(asked) > 35
    wait_for(
        lambda: plant.watching.ask('inspector_units_total{result="FAILED"} > 0'),
        within_s=60,
        what="a bad unit on the belt",
    )
    for panel, expression in asked:
        concrete = re.sub(r"\$(station|camera)", ".*", expression).replace("$__rate_interval", "1m")
        # Histograms and rates need two scrapes with something in between.
        wait_for(
            partial(has_numbers, plant.watching, concrete),
            within_s=40,
            what=f"numbers for panel {panel!r}: {concrete}",
        )


def has_numbers(watching: Watching, expression: str) -> bool:
    return any(sample["value"][1] != "NaN" for sample in watching.ask(expression))


def test_queries_are_promql_and_ask_for_what_is_measured(plant: Plant) -> None:
    known = {sample["metric"]["__name__"] for sample in plant.watching.ask('{job=~".+"}')}
    for panel, expression in expressions(json.loads(DASHBOARD.read_text())):
        promql_parser.parse(expression.replace("$__rate_interval", "1m"))
        named = set(re.findall(r"\b(?:inspector|nv|process|instance:inspector)_[\w:]+", expression))
        assert named, panel
        assert named <= known, f"{panel}: {named - known}"


def test_the_dashboard_is_what_grafana_understands() -> None:
    """What its own models do not know they drop, and what they cannot read they refuse."""
    board = json.loads(DASHBOARD.read_text())
    understood = JSONEncoder(sort_keys=True).encode(Dashboard.from_json(board))
    assert json.loads(understood) == board
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [panel["gridPos"] for panel in board["panels"]]
    for index, one in enumerate(places):
        assert one["x"] + one["w"] <= 24
        assert not any(_overlap(one, other) for other in places[:index])
    sources = {
        target["datasource"]["uid"]
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }
    assert sources == {"prometheus"}, "provisioned under this uid"


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )
