"""The HTTP side, asked by a real client over a real socket."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from inspector.core.errors import ConfigurationError
from inspector.core.records import CameraId
from inspector.ops.metrics import Metrics
from inspector.page.http import HttpServer, StatusSources, build_app
from inspector.settings.sections import HttpSettings

TOKEN = "canary-token"
CODES = ("open", "short")

# Of the contract; evidence has no code yet, and so no metric.
CONTRACT = {
    "inspector_frames_captured_total": {"camera"},
    "inspector_frames_inspected_total": {"camera"},
    "inspector_frames_idle_total": {"camera"},
    "inspector_frames_missed_total": {"camera", "reason"},
    "inspector_units_total": {"result"},
    "inspector_defects_total": {"code"},
    "inspector_stage_seconds_bucket": {"stage", "le"},
    "inspector_verdict_seconds_bucket": {"le"},
    "inspector_deadline_missed_total": set(),
    "inspector_batch_regions_bucket": {"le"},
    "inspector_requests_in_flight": set(),
    "inspector_frame_buffers_free": {"camera"},
    "inspector_camera_up": {"camera"},
    "inspector_camera_reconnects_total": {"camera"},
    "inspector_camera_last_frame_timestamp_seconds": {"camera"},
    "inspector_triton_up": set(),
    "inspector_triton_reconnects_total": set(),
    "inspector_redis_up": set(),
    "inspector_journal_pending_events": set(),
    "inspector_journal_oldest_pending_seconds": set(),
    "inspector_events_published_total": {"stream"},
    "inspector_reviews_total": {"judgement"},
    "inspector_live_pictures_total": {"camera"},
    "inspector_build_info": {"version", "model"},
}


class Station:
    """What the views show; a test changes it."""

    def __init__(self) -> None:
        self.metrics = Metrics([CameraId("top")], CODES)
        self.metrics.build_info.labels("1.2.3", "pcb_inspection").set(1)
        self.metrics.stage("inference", 2_000_000)
        self.healthy = True
        self.ready = True
        self.name = "plant1.smt2.aoi"

    def views(self) -> StatusSources:
        return StatusSources(
            metrics=self.metrics.exposition,
            health=lambda: (self.healthy, {"healthy": self.healthy}),
            readiness=lambda: (self.ready, {"ready": self.ready, "blocked_by": ["triton: away"]}),
            status=lambda: {"station": self.name, "version": "1.2.3"},
        )


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection, kept open."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        credentials = {"Authorization": f"Bearer {token}"} if token is not None else {}
        self._connection.request(method, path, headers={**(headers or {}), **credentials})
        reply = self._connection.getresponse()
        names = {name.lower(): text for name, text in reply.getheaders()}
        return Answer(reply.status, names, reply.read())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def serving(station: Station, settings: HttpSettings | None = None) -> Iterator[Client]:
    """The server in a loop of its own; on leaving it is gone, the client's connection still open.

    Everything it leaves behind is a warning, and so a failure.
    """
    settings = settings or HttpSettings(port=0)
    token = settings.token.get_secret_value() if settings.token else None
    up: Future[str] = Future()
    end: Future[None] = Future()

    async def serve() -> None:
        server = HttpServer(build_app(station.views(), token), settings)
        up.set_result(server.url)
        running = asyncio.create_task(server.run_until_cancelled())
        await asyncio.wrap_future(end)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve(), debug=True), name="http")
    thread.start()
    client = Client(up.result(10))
    try:
        yield client
    finally:
        end.set_result(None)
        thread.join(10)
        client.close()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def station():
    return Station()


@pytest.fixture(scope="module")
def client(station):
    with serving(station) as connected:
        yield connected


# --- what it shows ---


def test_prometheus_can_read_the_metrics_and_finds_all_of_the_contract(client):
    answer = client.ask("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.body.decode())
    samples = [sample for family in families for sample in family.samples]
    labels = {sample.name: set(sample.labels) for sample in samples}
    assert {name: labels.get(name) for name in CONTRACT} == CONTRACT


def test_what_has_not_happened_yet_is_zero_and_not_absent(client):
    families = text_string_to_metric_families(client.ask("/metrics").body.decode())
    samples = [sample for family in families for sample in family.samples]
    reasons = {s.labels["reason"] for s in samples if s.name == "inspector_frames_missed_total"}
    assert {"lane_full", "no_buffer", "stale", "model_unavailable"} <= reasons
    codes = {s.labels["code"]: s.value for s in samples if s.name == "inspector_defects_total"}
    assert codes == dict.fromkeys(CODES, 0.0)


def test_health_is_200_while_verdicts_make_progress_and_503_when_not(client, station):
    assert client.ask("/healthz").status == 200
    station.healthy = False
    sick = client.ask("/healthz")
    station.healthy = True
    assert (sick.status, sick.json) == (503, {"healthy": False})
    assert client.ask("/healthz").json == {"healthy": True}


def test_readiness_is_503_with_what_blocks_it(client, station):
    assert client.ask("/readyz").status == 200
    station.ready = False
    blocked = client.ask("/readyz")
    station.ready = True
    assert blocked.status == 503
    assert blocked.json["blocked_by"] == ["triton: away"]


def test_a_load_balancer_may_ask_for_the_head_alone(client, station):
    head = client.ask("/healthz", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    station.healthy = False
    assert client.ask("/healthz", method="HEAD").status == 503
    station.healthy = True


def test_status_is_json(client):
    answer = client.ask("/api/status")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["station"] == "plant1.smt2.aoi"


def test_the_first_page_is_the_operators_and_knows_nothing_of_the_station_itself(client, station):
    station.name = "<script>alert(1)</script>"
    page = client.ask("/")
    station.name = "plant1.smt2.aoi"
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert b"alert(1)" not in page.body
    assert b"<script>" not in page.body


def test_the_pages_files_are_served_by_exact_name_and_asked_for_once(client):
    style = client.ask("/static/style.css")
    assert (style.status, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    again = client.ask("/static/style.css", headers={"If-None-Match": style.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    squeezed = client.ask("/static/style.css", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(squeezed.body) == style.body
    for path in ("", "nowhere.js", "../app.py", "..%2fapp.py", "vendor", "vendor/", "./style.css"):
        assert client.ask(f"/static/{path}").status == 404
    assert b"Permission is hereby granted" in client.ask("/static/vendor/uPlot-LICENSE.txt").body


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nowhere", 404), ("GET", "/metrics/../etc/passwd", 404),
    ("POST", "/metrics", 405), ("DELETE", "/api/status", 405),
])  # fmt: skip
def test_what_it_does_not_serve_it_refuses(client, method, path, status):
    assert client.ask(path, method=method).status == status


# --- who may look ---


@pytest.fixture(scope="module")
def guarded():
    with serving(Station(), HttpSettings(port=0, token=SecretStr(TOKEN))) as connected:
        yield connected


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/status", "/nowhere"])
def test_without_the_token_nothing_is_shown(guarded, path):
    for wrong in (None, "", "wrong", TOKEN + "x", TOKEN.upper(), "t\xf6ken"):
        answer = guarded.ask(path, token=wrong)
        assert (answer.status, answer.body) == (401, b"a token is needed\n")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.ask(path, token=TOKEN).status in (200, 404)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_needs_no_token(guarded, method, path):
    assert guarded.ask(path, method=method).status == 200


@pytest.mark.parametrize("path", ["/healthz/", "//healthz", "/healthz/../metrics", "/HEALTHZ"])
def test_nothing_else_passes_for_health(guarded, path):
    assert guarded.ask(path).status == 401


# --- where it listens ---


def test_a_port_in_use_is_a_wrong_setting():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"http\.port: .*:{port}: Address already"):
            HttpServer(build_app(Station().views(), None), HttpSettings(port=port))


def test_two_servers_cannot_have_the_same_port_even_before_they_serve():
    app = build_app(Station().views(), None)
    first = HttpServer(app, HttpSettings(port=0))
    port = int(first.url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match="Address already in use"):
        HttpServer(app, HttpSettings(port=port))

    async def end() -> None:
        task = asyncio.create_task(first.run_until_cancelled())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(end(), debug=True)


def test_an_address_of_another_machine_is_a_wrong_setting():
    settings = HttpSettings(host="192.0.2.1", port=0, token=SecretStr(TOKEN))
    with pytest.raises(ConfigurationError, match=r"http\.host: cannot listen on 192\.0\.2\.1:0"):
        HttpServer(build_app(Station().views(), TOKEN), settings)


def test_the_same_port_can_be_served_again_at_once():
    with serving(Station()) as client:
        assert client.ask("/healthz").status == 200
        port = client._connection.port
    with serving(Station(), HttpSettings(port=port)) as client:
        assert client.ask("/healthz").status == 200


def test_it_listens_where_ipv6_is_spoken():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with serving(Station(), HttpSettings(host="::1", port=0)) as client:
        assert client.ask("/healthz").status == 200
