"""`inspector events`, the reader to copy from, as a process of its own, with a real Redis."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.kit.inspector_command import inspector, settings_file, started
from tests.kit.line import wait_for
from tests.kit.redis_server import RedisServer, any_binary, binaries

KEY = "inspector:{plant1.smt2.aoi}:units"
NASTY = "t\x1b[2J\x1b]0;owned\x07\x9b8m\u202e"


def start_redis(binary: str, folder: Path) -> RedisServer:
    return RedisServer(binary, folder / "redis")


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    binary = any_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with start_redis(binary, tmp_path) as server:
        yield server


def publish(server: RedisServer, *seqs: int, **fields: Any) -> None:
    with server.client() as client:
        for seq in seqs:
            usual: dict[str, Any] = {
                "id": f"event-{seq}",
                "seq": seq,
                "schema": "inspector.unit/1",
                "time": "2026-01-02T03:04:05+00:00",
                "unit_id": f"unit-{seq}",
                "result": "FAILED",
                "data": orjson.dumps(
                    {"seq": seq, "reason": None, "defects": [{"code": "open"}, {"code": "short"}]}
                ),
            }
            client.xadd(KEY, usual | fields, id=f"{seq}-0")


def read(server: RedisServer, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return inspector(
        *("events", "--config", settings_file(folder), "--redis-url", server.url), *options
    )


def members(server: RedisServer, group: str = "mes") -> list[str]:
    with server.client() as client:
        return [consumer["name"] for consumer in client.xinfo_consumers(KEY, group)]


def pending(server: RedisServer, group: str = "mes") -> int:
    with server.client() as client:
        return int(client.xpending(KEY, group)["pending"])


def test_events_stand_under_a_header(redis_server: RedisServer, tmp_path: Path) -> None:
    publish(redis_server, 1)
    ended = read(redis_server, tmp_path)
    header, line = ended.stdout.splitlines()
    assert header.split() == ["SEQ", "TIME", "UNIT", "RESULT", "WHAT"]
    assert line.split(maxsplit=4) == [
        *("1", "2026-01-02T03:04:05+00:00", "unit-1", "FAILED", "open, short")
    ]
    for column in ("TIME", "UNIT", "RESULT", "WHAT"):
        at = header.index(column)
        assert line[at - 1] == " "
        assert line[at] != " "
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_empty_stream_is_said_to_be_empty(redis_server: RedisServer, tmp_path: Path) -> None:
    ended = read(redis_server, tmp_path, "--stream", "health")
    assert ended.returncode == 0
    assert ended.stderr == "no event in inspector:{plant1.smt2.aoi}:health\n"
    publish(redis_server, 1)
    read(redis_server, tmp_path, "--group", "mes", "--consumer", "one")
    ended = read(redis_server, tmp_path, "--group", "mes", "--consumer", "one", "--json")
    assert ended.stderr == f"nothing new in {KEY} as 'one' of group 'mes'\n"
    assert ended.stdout == ""


@pytest.mark.parametrize("binary", binaries())
def test_the_events_that_were_trimmed_meanwhile_are_told(binary: str, tmp_path: Path) -> None:
    """Ten events, five taken by a member that died; then the oldest eight were trimmed."""
    with start_redis(binary, tmp_path) as server:
        publish(server, *range(1, 11))
        with server.client() as client:
            client.xgroup_create(KEY, "mes", "0")
            client.xreadgroup("mes", "dead", {KEY: ">"}, count=5)
            client.xtrim(KEY, minid="9-0", approximate=False)
        ended = read(server, tmp_path, "--group", "mes", "--json")
        assert [orjson.loads(line)["seq"] for line in ended.stdout.splitlines()] == [9, 10]
        said = ended.stderr.splitlines()
        assert said[0].startswith("gone: 5 entries were taken, never acknowledged, and trimmed")
        assert said[1] == "gap: expected 1, found 9 (8 missing)"
        assert pending(server) == 0


def test_a_reader_keeps_its_name(redis_server: RedisServer, tmp_path: Path) -> None:
    publish(redis_server, 1)
    for _ in range(3):
        read(redis_server, tmp_path, "--group", "mes")
    [mine] = members(redis_server)
    read(redis_server, tmp_path, "--group", "mes", "--consumer", "station-7")
    assert set(members(redis_server)) == {mine, "station-7"}


def test_two_readers_at_a_time_have_two_names_and_a_killed_one_gets_its_own_back(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    options = ("--redis-url", redis_server.url, "--group", "mes", "--follow")
    config = settings_file(tmp_path)
    first = started("events", "--config", config, *options)
    readers = [first]
    try:
        wait_for(lambda: _has_members(redis_server, 1), within_s=30, what="the first reads")
        readers.append(started("events", "--config", config, *options))
        wait_for(lambda: _has_members(redis_server, 2), within_s=30, what="the second too")
        names = set(members(redis_server))
        for reader in readers:
            reader.send_signal(signal.SIGKILL)
            reader.communicate()
        read(redis_server, tmp_path, "--group", "mes")
        assert set(members(redis_server)) == names
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()


def _has_members(server: RedisServer, number: int) -> bool:
    with server.client() as client:
        if not client.exists(KEY) or not client.xinfo_groups(KEY):
            return False
    return len(members(server)) == number


@pytest.mark.parametrize("form", [(), ("--json",), ("--cfx",)])
@pytest.mark.parametrize("group", [(), ("--group", "mes")])
def test_nothing_foreign_ends_the_reader_or_reaches_the_terminal_raw(
    redis_server: RedisServer, tmp_path: Path, form: tuple[str, ...], group: tuple[str, ...]
) -> None:
    deep = b'{"reason":' + b"[" * 600 + b"]" * 600 + b"}"
    body = {"reason": NASTY, "defects": [{"code": NASTY}], NASTY: NASTY}
    publish(redis_server, 1, 2, time=NASTY, unit_id=NASTY, result=NASTY, data=orjson.dumps(body))
    publish(redis_server, 3, data=b"{}")
    publish(redis_server, 4, data=deep)
    publish(redis_server, 5, data=b'{"reason":7,"defects":{"a":1},"fault":[]}')
    publish(redis_server, 6, schema=NASTY)
    with redis_server.client() as client:
        client.xadd(KEY, {"a": NASTY, NASTY: "b"}, id="7-0")
        client.xadd(KEY, {"schema": "inspector.unit/1", "id": "z", "seq": NASTY}, id="8-0")
    publish(redis_server, 9, seq=6)
    ended = read(redis_server, tmp_path, *form, *group)
    assert ended.returncode == 0
    for line in (ended.stdout + ended.stderr).splitlines():
        assert line.isprintable()
    for entry_id in ("6-0", "7-0", "8-0"):
        assert f"set aside: entry {entry_id} is no event" in ended.stderr
    assert "Traceback" not in ended.stderr
    if form == ("--json",):
        assert orjson.loads(ended.stdout.splitlines()[0]) == body
        assert "set aside: entry 4-0" in ended.stderr
    if not form:
        assert [line.split()[0] for line in ended.stdout.splitlines()[1:]] == list("123456")
    if group:
        assert pending(redis_server) == 0


def test_a_follower_says_at_once_what_it_waits_for(tmp_path: Path) -> None:
    url = "redis://mes:canary-secret@127.0.0.1:1/0"
    reader = started(
        *("events", "--config", settings_file(tmp_path), "--redis-url", url, "--follow"),
        *("--group", "mes", "--consumer", "one"),
    )
    try:
        assert reader.stderr is not None
        assert reader.stderr.readline() == (
            f"following {KEY} at 127.0.0.1:1 as 'one' of group 'mes' (Ctrl-C ends)\n"
        )
        assert reader.stderr.readline().startswith("waiting for Redis: Error 111")
    finally:
        reader.send_signal(signal.SIGINT)
        _, said = reader.communicate(timeout=20)
    assert "canary-secret" not in said
    assert reader.returncode == 130


def test_a_members_name_needs_a_group(tmp_path: Path) -> None:
    ended = inspector("events", "--config", settings_file(tmp_path), "--consumer", "one")
    assert ended.returncode == 2
    assert "give --group" in ended.stderr
