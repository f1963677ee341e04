"""Triggers from outside, through the real service: each gets exactly one verdict."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import redis

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import Line, Scrape, needs_redis, wait_for
from tests.kit.line_events import STREAM_KEY, Entry, assert_gapless, entries
from tests.kit.redis_server import RedisServer

TOKEN = "let-me-in"
TRIGGERS = STREAM_KEY.format("triggers")
STROBED = {
    "source": "sim:?view=strobe&takt_s=0.1",
    "size": "320x240",
    "trigger": "external",
    "trigger_wait_ms": 1500.0,
}
FREE_RUNNING = {"source": "sim:?view=strobe&takt_s=1", "size": "320x240"}


class Station:
    """The service as a PLC and an MES see it."""

    def __init__(self, line: Line, client: redis.Redis) -> None:
        self.line, self.client = line, client
        port = re.search(r"port = (\d+)", line.config.read_text())
        assert port is not None
        self._port = int(port[1])

    def add(self, unit_id: str, **fields: str) -> None:
        entry: Any = {"unit_id": unit_id, **fields}
        self.client.xadd(TRIGGERS, entry)

    def post(
        self, body: object, *, token: str = TOKEN, kind: str = "application/json"
    ) -> tuple[int, str]:
        text = body if isinstance(body, str) else json.dumps(body)
        return self._ask("POST", "/api/trigger", text, {"Content-Type": kind}, token)

    def scrape(self) -> Scrape:
        status, text = self._ask("GET", "/metrics", None, {}, TOKEN)
        assert status == 200
        return Scrape(text)

    def _ask(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str], token: str
    ) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            authorised = {"Authorization": f"Bearer {token}", **headers}
            connection.request(method, path, body, authorised)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def units(self) -> list[Entry]:
        return [u for u in entries(self.client, "units") if u.event["camera"] == "plc"]

    def wait_for_verdicts(self, count: int) -> None:
        wait_for(lambda: len(self.units()) >= count, within_s=20, what=f"{count} verdicts")


@needs_redis
def test_each_trigger_gets_one_verdict_over_redis_http_restarts_and_a_kill(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    line = Line(
        tmp_path,
        cameras={"plc": STROBED, "free": FREE_RUNNING},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        environment={"INSPECTOR_HTTP__TOKEN": TOKEN},
        inspection={"deadline_ms": 5000.0},
    )
    with line, contextlib.closing(redis_server.client()) as client:
        station = Station(line, client)
        line.wait_ready()
        expected = trigger_both_ways(station)
        assert_refusals(station)
        assert_reconciled(station, expected)
        line.stop()

        expected += [trigger(station, f"away-{n}") for n in range(3)]
        line.start()
        line.wait_ready()
        station.wait_for_verdicts(len(expected))
        told = {u.event["unit"]["id"]: u.event for u in station.units()}
        for n in range(3):
            assert told[f"away-{n}"]["reason"] == "no_frame"
            assert "not running" in told[f"away-{n}"]["detail"]

        expected += [trigger(station, f"killed-{n}") for n in range(4)]
        line.kill()
        line.start()
        line.wait_ready()
        station.wait_for_verdicts(len(expected))
        expected.append(trigger(station, "after"))
        station.wait_for_verdicts(len(expected))
        line.stop()
        assert_gapless(entries(client, "units"))
        assert [u.event["unit"]["id"] for u in station.units()] == expected
        assert [u.number for u in station.units()] == list(range(1, len(expected) + 1))
        results = Counter(u.event["reason"] or u.event["result"] for u in station.units())
        assert results["PASSED"] + results["FAILED"] >= 8, results


def trigger(station: Station, unit_id: str) -> str:
    station.add(unit_id)
    return unit_id


def trigger_both_ways(station: Station) -> list[str]:
    expected = []
    for number in range(4):
        expected.append(trigger(station, f"redis-{number}"))
        station.add(f"redis-{number}")
        station.wait_for_verdicts(len(expected))
        expected.append(f"http-{number}")
        status, text = station.post({"unit_id": f"http-{number}", "camera": "plc"})
        assert status == 202, text
        assert json.loads(text)["number"] == len(expected)
        assert station.post({"unit_id": f"http-{number}"})[0] == 409
        station.wait_for_verdicts(len(expected))
    units = station.units()
    assert [u.event["unit"]["id"] for u in units] == expected
    for unit in units:
        event = unit.event
        assert event["unit"]["id_source"] == "trigger"
        assert event["trigger"]["kind"] == "external"
        assert event["result"] in ("PASSED", "FAILED"), event
        assert event["counts"]["frames_inspected"] == 1
    return expected


def assert_refusals(station: Station) -> None:
    refused: list[tuple[int, Any, dict[str, str]]] = [
        (401, {"unit_id": "x"}, {"token": "wrong"}),
        (415, '{"unit_id": "x"}', {"kind": "text/plain"}),
        (400, "no JSON", {}),
        (400, {"unit_id": ""}, {}),
        (400, {"unit_id": "x", "at": "yesterday"}, {}),
        (404, {"unit_id": "x", "camera": "none"}, {}),
        (409, {"unit_id": "x", "camera": "free"}, {}),
        (413, {"unit_id": "x" * 5000}, {}),
    ]
    for status, body, how in refused:
        assert station.post(body, **how)[0] == status, body
    station.add("", at="never")  # and over Redis: counted, and no unit


def assert_reconciled(station: Station, expected: list[str]) -> None:
    def malformed() -> bool:
        count = station.scrape().total("inspector_triggers_total", outcome="malformed")
        return count == 3  # two by HTTP, one by Redis

    wait_for(malformed, within_s=10, what="the malformed entry counted")
    scrape = station.scrape()
    total = scrape.total
    assert total("inspector_triggers_total", outcome="accepted") == len(expected)
    assert total("inspector_triggers_total", outcome="doubled") == len(expected)
    assert total("inspector_triggers_total", outcome="unknown_camera") == 1
    assert total("inspector_triggers_total", outcome="not_external") == 1
    frames = scrape.frames(camera="plc")
    assert frames.inspected == len(expected)
    # What the watch still holds is not settled yet.
    assert frames.captured - frames.settled <= 3


@needs_redis
def test_a_station_whose_triggered_footage_is_over_ends_by_itself(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    stills = tmp_path / "stills"
    stills.mkdir()
    for number in range(5):
        picture = np.full((240, 320, 3), 40 + number, np.uint8)
        assert cv2.imwrite(str(stills / f"{number}.png"), picture)
    footage = {"source": f"file:{stills}?fps=2", "size": "320x240", "trigger": "external"}
    with Line(
        tmp_path,
        cameras={"plc": footage},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
    ) as line:
        assert line.wait_end(30) == 0
        assert line.said("stopped")["captured"] == 5
