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
from typing import Any

import orjson
import pytest

from tests.kit.line import ROOT, wait_for
from tests.kit.redis_server import RedisServer, any_binary, binaries

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


EVENT: dict[str, Any] = {
    "id": "event",
    "seq": 1,
    "schema": "inspector.unit/1",
    "time": "2026-01-02T03:04:05+00:00",
    "unit_id": "unit",
    "result": "PASSED",
    "data": "{}",
}


def publish(server: RedisServer, first: int, last: int) -> None:
    with server.client() as client, client.pipeline() as pipeline:
        for seq in range(first, last + 1):
            fields = EVENT | {
                "id": f"event-{seq}",
                "seq": seq,
                "unit_id": f"unit-{seq}",
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
                *(sys.executable, "-m", "tests.kit.mes_consumer", redis_server.url),
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


@pytest.fixture(scope="module")
def java_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("javac") is None:
        pytest.skip("no Java compiler on this machine")
    folder = tmp_path_factory.mktemp("java")
    subprocess.run(
        ["javac", "-Xlint:all", "-Werror", "-d", str(folder), str(JAVA_EXAMPLE)],
        check=True,
        timeout=90,
    )
    return folder


def in_java(classes: Path, server: RedisServer, member: str, store: Path) -> list[str]:
    return [
        *("java", "-XX:TieredStopAtLevel=1", "-cp", str(classes), "InspectorConsumer"),
        *("127.0.0.1", str(server.port), "-", STATION, "mes", member, str(store)),
    ]


def read_in_java(command: list[str], store: Path, until: int) -> list[str]:
    """Run it until the store's last event is that one: what it said."""
    said = store.with_suffix(".said")
    with said.open("wb") as output:
        process = subprocess.Popen(command, stderr=output)
        try:
            wait_for(
                lambda: store.exists() and f" {until} " in store.read_text(),
                within_s=60,
                what=f"event {until} is stored",
            )
        finally:
            process.kill()
            process.wait()
    return said.read_text().splitlines()


GONE = "gone: 5 entries were taken, never acknowledged, and trimmed or deleted since: 1-0 to 5-0"


@pytest.mark.parametrize("binary", binaries())
@pytest.mark.parametrize("member", ["dead", "heir"])
def test_the_example_in_java_tells_what_it_lost_and_sets_aside_what_is_no_event(
    tmp_path: Path, java_classes: Path, binary: str, member: str
) -> None:
    store = tmp_path / "store.txt"
    with RedisServer(binary, tmp_path / "redis") as server:
        command = in_java(java_classes, server, member, store)
        publish(server, 1, 10)
        with server.client() as client:
            client.xgroup_create(KEY, "mes", "0")
            client.xreadgroup("mes", "dead", {KEY: ">"}, count=5)
            client.xtrim(KEY, minid="9-0", approximate=False)
            client.xadd(KEY, {"a": "\x1b[2J"}, id="10-1")
            client.xadd(KEY, {**EVENT, "schema": "\x1b]0;owned\x07"}, id="10-2")
            client.xadd(KEY, {**EVENT, "seq": "\x9b5"}, id="10-3")
        publish(server, 11, 11)
        said = read_in_java(command, store, until=11)
        assert "gap: expected 1, found 9 (8 missing)" in said
        # Before Redis 7.0 another's entries count as stale only after half a minute.
        if member == "dead" or server.counts_what_groups_read:
            assert GONE in said
        assert [line for line in said if line.startswith("set aside")] == [
            "set aside: entry 10-1 is no event: it has no field id",
            "set aside: entry 10-2 is no event: its schema is \\u001b]0;owned\\u0007",
            "set aside: entry 10-3 is no event: its seq is \\u009b5",
        ]
        publish(server, 12, 20)
        with server.client() as client:
            client.xtrim(KEY, minid="18-0", approximate=False)
        said = read_in_java(command, store, until=20)
        # Killed before it acknowledged 11, which is trimmed by now, it says that this one is gone.
        told = [line for line in said if not line.startswith("gone: 1 entries")]
        assert told == ["gap: expected 12, found 18 (6 missing)"]


def test_the_example_in_java_begins_with_what_is_stored(
    tmp_path: Path, java_classes: Path, redis_server: RedisServer
) -> None:
    publish(redis_server, 5, 10)
    store = tmp_path / "store.txt"
    command = in_java(java_classes, redis_server, "one", store)
    assert read_in_java(command, store, until=10) == []


def test_the_example_in_java_is_killed_and_stores_every_event_once(
    tmp_path: Path, java_classes: Path, redis_server: RedisServer
) -> None:
    store = tmp_path / "store.txt"
    chance = random.Random(5)
    publish(redis_server, 1, EVENTS // 2)
    command = in_java(java_classes, redis_server, "one", store)

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
    said = read_in_java(command, store, until=EVENTS)
    lines = [line.split(" ") for line in stored()]
    assert [int(seq) for _, seq, _ in lines] == [*range(1, EVENTS - 1), EVENTS]
    assert len({identity for identity, _, _ in lines}) == len(lines)
    assert {result for _, _, result in lines} == {"PASSED"}
    assert said == [f"gap: expected {EVENTS - 1}, found {EVENTS} (1 missing)"]
