"""Triggers through a real Redis and a real socket, answered by the real watch, book and journal."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry
from starlette.applications import Starlette
from starlette.middleware import Middleware

from inspector.core.records import MissReason
from inspector.core.verdicts import Verdict
from inspector.page.access import Guard
from inspector.page.http import HttpServer
from inspector.page.trigger_routes import trigger_routes
from inspector.settings.sections import HttpSettings
from inspector.triggers.external.messages import TriggerOutcome
from inspector.triggers.external.worker import triggers_key
from tests.kit.redis_server import RedisServer, any_binary, binaries
from tests.kit.trigger_station import KEY, STATION, Station, outcomes, running, until


@pytest.fixture
def one_redis(tmp_path):
    binary = any_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with RedisServer(binary, tmp_path / "redis") as server:
        yield server


@pytest.fixture(params=binaries())
def each_redis(request, tmp_path):
    with RedisServer(request.param, tmp_path / "redis") as server:
        yield server


def test_the_key_is_that_of_the_contract() -> None:
    assert triggers_key(STATION) == KEY


def test_a_trigger_gets_its_verdict_and_whatever_is_no_trigger_is_counted(each_redis, tmp_path):
    async def main() -> None:
        with each_redis.client() as client:
            client.xadd(KEY, {"unit_id": "before the very first start"})
            async with running(tmp_path, each_redis.url) as station:
                station._rng.random = lambda: 0.5  # type: ignore[method-assign]
                client.xadd(KEY, {"unit_id": "u1"})
                client.xadd(KEY, {"unit_id": "u2", "camera": "top", "recipe": "x"})
                client.xadd(KEY, {"unit_id": "u2"})
                client.xadd(KEY, {"unit_id": ""})
                client.xadd(KEY, {"unit_id": "u3", "at": "yesterday"})
                client.xadd(KEY, {"unit_id": "u3", "camera": "nose"})
                client.xadd(KEY, {"unit_id": "u4", "at": "2026-01-01T00:00:00Z"})
                await until(lambda: len(station.told) == 3)
            assert outcomes(station.told) == [
                ("u1", "PASSED"),
                ("u2", "PASSED"),
                ("u4", "no_frame"),
            ]
            assert station.count(TriggerOutcome.ACCEPTED) == 3
            assert station.count(TriggerOutcome.DOUBLED) == 1
            assert station.count(TriggerOutcome.MALFORMED, "") == 2
            assert station.count(TriggerOutcome.UNKNOWN_CAMERA, "") == 1

    asyncio.run(main(), debug=True)


def test_triggers_of_one_millisecond_each_get_a_frame(one_redis, tmp_path):
    async def main() -> None:
        with one_redis.client() as client:
            async with running(tmp_path, one_redis.url) as station:
                station._rng.random = lambda: 0.5  # type: ignore[method-assign]
                for pair in range(10):
                    seconds, microseconds = client.time()
                    came_ms = seconds * 1000 + microseconds // 1000
                    with client.pipeline(transaction=True) as both:
                        both.xadd(KEY, {"unit_id": f"left {pair}"}, id=f"{came_ms}-0")
                        both.xadd(KEY, {"unit_id": f"right {pair}"}, id=f"{came_ms}-1")
                        both.execute()
                    await until(lambda: len(station.told) == 2 * (pair + 1))  # noqa: B023
            sides = [
                (f"{side} {pair}", "PASSED") for pair in range(10) for side in ("left", "right")
            ]
            assert outcomes(station.told) == sides

    asyncio.run(main(), debug=True)


def test_what_came_while_the_service_was_not_running_is_answered_as_not_inspected(
    one_redis, tmp_path
):
    async def main() -> None:
        told: list[Verdict] = []
        with one_redis.client() as client:
            async with running(tmp_path, one_redis.url, told):
                client.xadd(KEY, {"unit_id": "u1"})
                await until(lambda: len(told) == 1)
            client.xadd(KEY, {"unit_id": "u1"})  # sent again
            client.xadd(KEY, {"unit_id": "u2"})
            client.xadd(KEY, {"unit_id": "u3"})
            async with running(tmp_path, one_redis.url, told) as station:
                client.xadd(KEY, {"unit_id": "u4"})
                await until(lambda: len(told) == 4)
                assert station.count(TriggerOutcome.DOUBLED) == 1
            async with running(tmp_path, one_redis.url, told):
                client.xadd(KEY, {"unit_id": "u5"})
                await until(lambda: len(told) == 5)
        assert [v.unit.given_id for v in told] == ["u1", "u2", "u3", "u4", "u5"]
        assert [v.unit_number for v in told] == [1, 2, 3, 4, 5]
        for verdict in told[1:3]:
            assert verdict.reason == "no_frame"
            assert verdict.detail == "it came while the service was not running"

    asyncio.run(main(), debug=True)


def test_a_lost_camera_is_told_for_each_trigger(one_redis, tmp_path):
    async def main() -> None:
        async with running(tmp_path, one_redis.url) as station:
            station.camera_is_lost = True
            station.unit_trigger.interrupted(MissReason.CAMERA_LOST, "unplugged")
            with one_redis.client() as client:
                client.xadd(KEY, {"unit_id": "u1"})
                await until(lambda: len(station.told) == 1)
        assert outcomes(station.told) == [("u1", "camera_lost")]

    asyncio.run(main(), debug=True)


def test_a_stop_does_not_wait_for_redis(one_redis, tmp_path):
    async def main() -> None:
        async with running(tmp_path, one_redis.url) as station:
            one_redis.freeze()
            began_s = time.monotonic()
            station.worker.request_stop()
            await asyncio.wait_for(asyncio.shield(station.reading), 2)
            assert time.monotonic() - began_s < 1.5
            one_redis.resume()

    asyncio.run(main(), debug=True)


class Producer:
    """A PLC: adds triggers whatever happens, again where it does not know that they arrived."""

    def __init__(self, server: RedisServer, rng: random.Random) -> None:
        self._client = redis.Redis(
            port=server.port,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=0.2,
            socket_connect_timeout=0.2,
        )
        self._rng = rng
        self.sent: list[str] = []

    async def add(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0.02)
            unit_id = f"u{len(self.sent)}"
            self.sent.append(unit_id)
            for _again in range(2 if self._rng.random() < 0.1 else 1):
                await self._add_surely({"unit_id": unit_id})
            if self._rng.random() < 0.05:
                await self._add_surely({"unit": "malformed"})

    async def _add_surely(self, fields: dict[Any, Any]) -> None:
        while True:
            try:
                await asyncio.to_thread(self._client.xadd, KEY, fields)
            except (redis.ConnectionError, redis.TimeoutError):
                await asyncio.sleep(0.05)
            else:
                return

    def close(self) -> None:
        self._client.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_trigger_gets_exactly_one_verdict_whatever_goes_wrong(one_redis, tmp_path, seed):
    async def main() -> None:
        rng = random.Random(seed)
        producer = Producer(one_redis, rng)
        told: list[Verdict] = []
        async with running(tmp_path, one_redis.url, told):
            await producer.add(5)
            await until(lambda: len(told) == 5)
        for _life in range(6):
            station = Station(tmp_path, one_redis.url, told, rng=rng)
            station.start()
            adding = asyncio.create_task(producer.add(rng.randrange(10, 25)))
            await asyncio.sleep(rng.random() * 0.3)
            fault = rng.choice(["none", "freeze", "kill", "camera"])
            if fault == "freeze":
                one_redis.freeze()
                await asyncio.sleep(0.4)
                one_redis.resume()
            elif fault == "kill":
                one_redis.kill()
                await asyncio.sleep(rng.random() * 0.3)
                await asyncio.to_thread(one_redis.start)
            elif fault == "camera":
                station.camera_is_lost = True
                station.unit_trigger.interrupted(MissReason.CAMERA_LOST, "unplugged")
            if rng.random() < 0.5:
                await adding
            await (station.crash() if rng.random() < 0.5 else station.stop())
            await adding
        async with running(tmp_path, one_redis.url, told):
            await until(lambda: len({v.unit.given_id for v in told}) == len(producer.sent))
        producer.close()
        twice = {u: n for u, n in Counter(v.unit.given_id for v in told).items() if n > 1}
        assert not twice, twice
        assert {v.unit.given_id for v in told} == set(producer.sent)
        assert [v.unit_number for v in told] == list(range(1, len(told) + 1))
        reasons = Counter(v.reason or v.result.value for v in told)
        assert reasons["PASSED"] > 5, reasons
        assert reasons["no_frame"] + reasons["camera_lost"] > 0, reasons

    asyncio.run(main())


# --- over HTTP ---


def ask(url: str, body: Any, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(
            "POST", "/api/trigger", raw, {"Content-Type": "application/json", **headers}
        )
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


@asynccontextmanager
async def serving(station: Station, token: str | None = None) -> AsyncIterator[Callable[..., Any]]:
    settings = HttpSettings(port=0, token=SecretStr(token) if token else None)
    guard = Middleware(Guard, token=token)
    app = Starlette(routes=trigger_routes(station.receiver), middleware=[guard])
    server = HttpServer(app, settings)
    task = asyncio.create_task(server.run_until_cancelled())

    async def post(body: Any, **headers: str) -> tuple[int, str]:
        return await asyncio.to_thread(ask, server.url, body, **headers)

    try:
        yield post
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_a_trigger_over_http_is_accepted_with_its_number(one_redis, tmp_path):
    async def main() -> None:
        async with running(tmp_path, one_redis.url) as station, serving(station) as post:
            status, text = await post({"unit_id": "PCB-7"})
            assert (status, json.loads(text)) == (
                202,
                {"unit_id": "PCB-7", "camera": "top", "number": 1},
            )
            assert await post({"unit_id": "PCB-7"}) == (
                409,
                "unit 'PCB-7' was triggered a moment ago as unit 1\n",
            )
            await until(lambda: len(station.told) == 1)
            assert station.told[0].unit.given_id == "PCB-7"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"no json", 400, "the body is no JSON object"),
        ([1], 400, "the body is no JSON object"),
        ({}, 400, "unit_id is ''"),
        ({"unit_id": 5}, 400, "unit_id is 5, expected text"),
        ({"unit_id": "u", "at": "noon"}, 400, "at is 'noon', expected a time"),
        ({"unit_id": "u", "camera": "nose"}, 404, "there is no camera 'nose'"),
        (b"x" * 5000, 413, "the body is larger than 4096 bytes"),
    ],
)
def test_a_bad_trigger_over_http_is_refused_with_one_line(one_redis, tmp_path, body, status, said):
    async def main() -> None:
        async with running(tmp_path, one_redis.url) as station, serving(station) as post:
            answer, text = await post(body)
            assert answer == status
            assert text.startswith(said)
            assert text.count("\n") == 1
        assert station.told == []

    asyncio.run(main())


def test_a_page_of_another_site_cannot_trigger_through_a_browser(one_redis, tmp_path):
    async def main() -> None:
        async with running(tmp_path, one_redis.url) as station, serving(station) as post:
            status, _text = await post({"unit_id": "u"}, **{"Content-Type": "text/plain"})
            assert status == 415
        assert station.told == []

    asyncio.run(main())


def test_the_token_is_asked_for_here_too(one_redis, tmp_path):
    async def main() -> None:
        async with (
            running(tmp_path, one_redis.url) as station,
            serving(station, token="canary-token") as post,
        ):
            assert (await post({"unit_id": "u"}))[0] == 401
            good = {"Authorization": "Bearer canary-token"}
            assert (await post({"unit_id": "u"}, **good))[0] == 202

    asyncio.run(main())
