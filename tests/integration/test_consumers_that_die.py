"""Consumers killed at random, again and again: no event is lost, none is stored twice."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.integration.line import ROOT, wait_for
from tests.integration.redis_server import RedisServer, any_binary

STATION = "plant.line-1.aoi"
KEY = "inspector:{plant.line-1.aoi}:units"
EVENTS = 400
JAVA_EXAMPLE = ROOT / "docs" / "examples" / "InspectorConsumer.java"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    binary = any_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with RedisServer(binary, tmp_path / "redis") as server:
        yield server


def publish(server: RedisServer, first: int, last: int) -> None:
    with server.client() as client, client.pipeline() as pipeline:
        for seq in range(first, last + 1):
            fields = {
                "id": f"event-{seq}",
                "seq": seq,
                "schema": "inspector.unit/1",
                "time": "2026-01-02T03:04:05+00:00",
                "unit_id": f"unit-{seq}",
                "result": "PASSED",
                "data": orjson.dumps({"id": f"event-{seq}", "seq": seq}),
            }
            pipeline.xadd(KEY, fields, id=f"{seq}-0")
        pipeline.execute()


def unacknowledged(server: RedisServer) -> int:
    with server.client() as client:
        [group] = client.xinfo_groups(KEY)
        left = EVENTS - int(client.xlen(KEY))
        undelivered = client.xrange(KEY, min=f"({group['last-delivered-id']}")
        return int(group["pending"]) + len(undelivered) + left


def test_two_members_that_kill_themselves_lose_nothing_and_store_nothing_twice(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    database = tmp_path / "mes.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE units (id TEXT PRIMARY KEY, seq INTEGER, times INTEGER)")
        made.execute("CREATE TABLE seen (id TEXT)")
        made.execute("CREATE TABLE gaps (what TEXT)")
    publish(redis_server, 1, EVENTS // 2)
    running: dict[str, subprocess.Popen[bytes]] = {}
    deaths = 0

    def start(member: str) -> None:
        running[member] = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.integration.mes_consumer", redis_server.url),
                *(STATION, "mes", member, str(database), f"{member}{deaths}"),
            ],
            cwd=ROOT,
        )

    def all_done() -> bool:
        nonlocal deaths
        for member in ("first", "second"):
            if member in running and running[member].poll() is not None:
                assert running[member].returncode == -signal.SIGKILL
                deaths += 1
            elif member in running:
                continue
            start(member)
            if deaths == 3:
                publish(redis_server, EVENTS // 2 + 1, EVENTS)
        return deaths >= 3 and unacknowledged(redis_server) == 0

    try:
        wait_for(all_done, within_s=100, what="every event acknowledged")
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    with contextlib.closing(sqlite3.connect(database)) as stored:
        numbers = [seq for (seq,) in stored.execute("SELECT seq FROM units ORDER BY seq")]
        seen = stored.execute("SELECT count(*) FROM seen").fetchone()[0]
        gaps = stored.execute("SELECT what FROM gaps").fetchall()
    assert numbers == list(range(1, EVENTS + 1))
    assert seen >= EVENTS
    assert gaps == []


@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler on this machine")
def test_the_example_in_java_is_killed_and_stores_every_event_once(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    subprocess.run(
        ["javac", "-Xlint:all", "-Werror", "-d", str(tmp_path), str(JAVA_EXAMPLE)],
        check=True,
        timeout=90,
    )
    store = tmp_path / "store.txt"
    chance = random.Random(5)
    publish(redis_server, 1, EVENTS // 2)
    command = [
        *("java", "-XX:TieredStopAtLevel=1", "-cp", str(tmp_path), "InspectorConsumer"),
        *("127.0.0.1", str(redis_server.port), "-", STATION, "mes", "one", str(store)),
    ]

    def stored() -> list[str]:
        return store.read_text().splitlines() if store.exists() else []

    for kill_after in sorted(chance.sample(range(1, EVENTS // 2), 4)):
        process = subprocess.Popen(command)
        try:
            wait_for(
                lambda wanted=kill_after: len(stored()) >= wanted,  # type: ignore[misc]
                within_s=30,
                what="some events stored",
                every_s=0.002,
            )
        finally:
            process.kill()
            process.wait()
    publish(redis_server, EVENTS // 2 + 1, EVENTS)
    with redis_server.client() as client:
        client.xdel(KEY, f"{EVENTS - 1}-0")  # one is missing: it is told
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, stderr=said)
        try:
            wait_for(lambda: len(stored()) >= EVENTS - 1, within_s=60, what="the rest")
        finally:
            process.kill()
            process.wait()
    lines = [line.split(" ") for line in stored()]
    assert [int(seq) for _, seq, _ in lines] == [*range(1, EVENTS - 1), EVENTS]
    assert len({identity for identity, _, _ in lines}) == len(lines)
    assert {result for _, _, result in lines} == {"PASSED"}
    assert (tmp_path / "said").read_text() == f"gap: seq {EVENTS - 1} is missing\n"
