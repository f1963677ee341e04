"""Redis as `deploy/redis` sets it up: the service works with just that, and nobody can do more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from inspector.core.records import Stream
from inspector.doctor.findings import Mark
from inspector.doctor.redis import check_redis
from inspector.events.consumer import Group, ReceivedEvent, read_events
from inspector.settings.load import load_settings
from tests.kit.line import Line, wait_for
from tests.kit.redis_access import (
    DEPLOY,
    ONCE,
    STATION,
    USERS,
    ShippedRedis,
    password_of,
    shipped_user,
    shipped_users,
)
from tests.kit.redis_server import RedisServer, binaries
from tests.kit.redis_sites import system_redis

# What a connection needs before it is anybody's: Redis grants these to all.
OF_EVERYBODY = {"auth", "hello", "quit", "reset"}
GRANTED = {
    "inspector": {
        *("xadd", "xtrim", "xinfo|stream", "xrange", "xrevrange", "xread", "watch", "unwatch"),
        *("xinfo|groups", "xpending", "multi", "exec", "discard", "time", "info", "ping"),
    },
    "mes": {
        *("xread", "xreadgroup", "xack", "xautoclaim", "xclaim", "xpending", "xrange", "xrevrange"),
        *("xgroup|create", "xgroup|createconsumer", "xgroup|delconsumer", "xlen", "exists"),
        *("xinfo|stream", "xinfo|groups", "xinfo|consumers"),
        *("echo", "client|setname", "client|id", "ping", "xadd"),
    },
    "plc": {"xadd", "xread", "ping"},
}


def key(stream: str, station: str = STATION) -> str:
    return f"inspector:{{{station}}}:{stream}"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedRedis]:
    with ShippedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def commands(client: redis.Redis) -> Iterator[tuple[str, list[str]]]:
    """Every command and subcommand there is, with as many arguments as it wants at least."""
    for name, arity, *about in client.execute_command("COMMAND INFO"):
        subcommands: list[Any] = about[-1]
        for command, least in [(sub[0], sub[1]) for sub in subcommands] or [(name, arity)]:
            yield command, ["x"] * (abs(least) - 1 - command.count("|"))


@pytest.mark.parametrize("user", GRANTED)
def test_a_user_may_call_what_it_needs_and_no_other_command(shipped: ShippedRedis, user: str):
    may = set()
    with shipped.client() as admin:
        for command, arguments in commands(admin):
            # As if on all keys: which ones it may touch is the next test's.
            verdict = str(
                admin.execute_command("ACL", "DRYRUN", user, *command.split("|"), *arguments)
            )
            if "no permissions to run" not in verdict:
                may.add(command)
    assert may - OF_EVERYBODY == GRANTED[user]


def dry_run(client: redis.Redis, user: str, *command: str) -> bool:
    return client.execute_command("ACL", "DRYRUN", user, *command) in (b"OK", "OK", True)


def test_each_user_reaches_its_own_keys_only(shipped: ShippedRedis):
    with shipped.client() as admin:

        def can_write(user: str, *where: str) -> bool:
            return dry_run(admin, user, "XADD", key(*where), "*", "field", "value")

        def can_read(user: str, *where: str) -> bool:
            return dry_run(admin, user, "XREAD", "STREAMS", key(*where), "0")

        for stream in Stream:
            assert can_write("inspector", stream.value), f"{stream} is missing in users.acl"
            assert can_read("inspector", stream.value)
            assert can_read("mes", stream.value), f"{stream} is missing in users.acl"
            assert not can_write("mes", stream.value)
            assert not can_write("plc", stream.value)
            assert not can_write("inspector", stream.value, "plant1.smt2.other")
            assert not can_read("mes", stream.value, "plant1.smt2.other")
        assert can_read("inspector", "triggers")
        assert not can_write("inspector", "triggers")
        assert can_write("inspector", "refusals")
        assert all(can_read(user, "refusals") for user in ("mes", "plc"))
        assert not any(can_write(user, "refusals") for user in ("mes", "plc"))
        assert can_read("inspector", "commands")
        assert not can_write("inspector", "commands")
        assert can_write("mes", "commands")
        assert not can_write("mes", "commands", "plant1.smt2.other")
        assert not can_read("mes", "commands")
        assert not any(can_write("plc", stream) for stream in ("commands", "changes"))
        assert can_write("plc", "triggers")
        assert not can_read("plc", "triggers")
        assert not can_read("mes", "triggers")
        assert not can_write("plc", "triggers", "plant1.smt2.other")


def test_nobody_gets_in_without_a_login_or_without_tls(shipped: ShippedRedis):
    with socket.create_connection(("127.0.0.1", shipped.port), timeout=10) as plain:
        plain.sendall(b"PING\r\n" * 20)
        with contextlib.suppress(ConnectionResetError):
            assert plain.recv(100) == b""
    logins: list[dict[str, Any]] = [{}, {"username": "mes", "password": "wrong"}, {"password": "x"}]
    for login in logins:
        client = redis.Redis(
            host="127.0.0.1",
            port=shipped.port,
            ssl=True,
            ssl_ca_certs=str(shipped.ca),
            retry=ONCE,
            **login,
        )
        with pytest.raises(redis.AuthenticationError):
            client.ping()
        client.close()
    stranger = redis.Redis(
        host="127.0.0.1",
        port=shipped.port,
        ssl=True,
        username="mes",
        password=password_of("mes"),
        retry=ONCE,
    )
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        stranger.ping()
    stranger.close()


def test_what_is_far_larger_than_an_event_is_not_let_in(shipped: ShippedRedis):
    with shipped.client("plc") as plc:
        plc.xadd(key("triggers"), {"unit_id": "x" * 900_000})
        with pytest.raises(redis.RedisError):
            plc.xadd(key("triggers"), {"unit_id": "x" * 2_000_000})
    with shipped.client() as admin:
        assert admin.xlen(key("triggers")) == 1
        admin.delete(key("triggers"))


def test_redis_does_not_start_before_passwords_were_chosen(tmp_path: Path):
    server = ShippedRedis(tmp_path / "redis")
    users = tmp_path / "redis" / "users.acl"
    users.write_text((DEPLOY / "users.acl").read_text())
    ended = subprocess.run(server._command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode != 0
    assert "users.acl:2" in ended.stdout
    assert all(f"HASH-OF-{user.upper()}" in users.read_text() for user in USERS)
    assert "HASH-OF" not in shipped_users(users.read_text())


UNITS = key("units")
CALLS: dict[str, list[tuple[str, ...]]] = {
    "StackExchange.Redis proves its connection": [("ECHO", "a-unique-text")],
    "StackExchange.Redis, Jedis, Lettuce, go-redis with a client name": [
        ("CLIENT", "SETNAME", "mes"),
        ("CLIENT", "ID"),
    ],
    "every library's check of the connection": [("PING",)],
    "a reader's set-up": [
        ("EXISTS", UNITS),
        ("XGROUP", "CREATE", UNITS, "mes", "0", "MKSTREAM"),
        ("XGROUP", "CREATECONSUMER", UNITS, "mes", "one"),
        ("XINFO", "STREAM", UNITS),
        ("XINFO", "STREAM", UNITS, "FULL", "COUNT", "1"),
    ],
    "reading": [
        ("XREADGROUP", "GROUP", "mes", "one", "COUNT", "2", "STREAMS", UNITS, ">"),
        ("XREADGROUP", "GROUP", "mes", "one", "STREAMS", UNITS, "0"),
        ("XACK", UNITS, "mes", "1-0"),
        ("XREAD", "COUNT", "1", "STREAMS", UNITS, "0"),
        ("XRANGE", UNITS, "-", "+", "COUNT", "1"),
        ("XREVRANGE", UNITS, "+", "-", "COUNT", "1"),
    ],
    "taking over from a dead member": [
        ("XPENDING", UNITS, "mes"),
        ("XPENDING", UNITS, "mes", "IDLE", "0", "-", "+", "10"),
        ("XCLAIM", UNITS, "mes", "two", "0", "2-0"),
        ("XAUTOCLAIM", UNITS, "mes", "two", "0", "0-0"),
        ("XGROUP", "DELCONSUMER", UNITS, "mes", "one"),
    ],
    "how far the MES is behind": [
        ("XLEN", UNITS),
        ("XINFO", "GROUPS", UNITS),
        ("XINFO", "CONSUMERS", UNITS, "mes"),
    ],
}
"""What libraries send when they connect, and what readers do; in this order, on three entries."""


@pytest.mark.parametrize("binary", binaries())
def test_the_mes_may_call_what_client_libraries_and_readers_call(tmp_path: Path, binary: str):
    users = tmp_path / "users.acl"
    # The other users' lines have permissions that Redis 6.2 does not know; of this one, adding
    # commands, which stands in parentheses.
    line, _, commands_too = shipped_user("mes").rstrip().partition(" (")
    assert commands_too
    users.write_text(f"{line}\nuser admin on nopass ~* &* +@all\n")
    with RedisServer(binary, tmp_path / "redis", "--aclfile", str(users)) as server:
        with server.client() as admin:
            for number in range(1, 4):
                admin.xadd(UNITS, {"seq": number}, id=f"{number}-0")
        mes = redis.Redis(
            port=server.port,
            username="mes",
            password=password_of("mes"),
            decode_responses=True,
            retry=ONCE,
        )
        mes.response_callbacks.clear()  # the replies as they are
        with mes:
            replies = {
                command: mes.execute_command(*command)
                for calls in CALLS.values()
                for command in calls
            }
            for refused in (
                ("XDEL", UNITS, "3-0"),
                ("XTRIM", UNITS, "MAXLEN", "0"),
                ("XADD", UNITS, "*", "a", "b"),
                ("XGROUP", "DESTROY", UNITS, "mes"),
                ("XLEN", key("triggers")),
                ("CLIENT", "KILL", "TYPE", "normal"),
            ):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    mes.execute_command(*refused)
    assert replies["XLEN", UNITS] == 3
    assert replies["ECHO", "a-unique-text"] == "a-unique-text"
    assert replies["XACK", UNITS, "mes", "1-0"] == 1


TRIGGERED = {"source": "sim:?fps=5", "size": "320x240", "trigger": "external"}


def test_the_service_its_triggers_and_the_mes_work_with_just_these_users(tmp_path: Path):
    server = ShippedRedis(tmp_path / "redis", station="test.one.aoi")
    with server, contextlib.closing(server.client()) as admin:
        line = Line(
            tmp_path,
            cameras={"top": TRIGGERED, "side": {"source": "sim:?fps=5", "size": "320x240"}},
            triton="127.0.0.1:1",
            redis_url=server.url,
            redis={
                "username": "inspector",
                "password": password_of("inspector"),
                "tls_ca": str(server.ca),
            },
        )
        with server.client("mes") as mes:
            mes.xgroup_create(key("units", "test.one.aoi"), "spc", "0", mkstream=True)
        with line:
            wait_for(
                lambda: 'group="spc",stream="units"' in line.get("/metrics")[1],
                within_s=40,
                what="the service sees how far the group spc is",
            )
            wait_for(
                lambda: _reads_triggers(line.get("/readyz")[1]),
                within_s=40,
                what="the trigger stream is found",
            )
            with server.client("plc") as plc:
                for number in range(5):
                    plc.xadd(key("triggers", "test.one.aoi"), {"unit_id": f"board-{number}"})
            ids = [f"board-{number}" for number in range(5)]
            wait_for(
                lambda: set(ids) <= set(_units_as_the_mes_sees_them(server)),
                within_s=40,
                what="a verdict for every trigger",
            )
            seen = _units_as_the_mes_sees_them(server, Group(name="mes"))
            assert [unit for unit in seen if unit in ids] == ids
            line.stop()
        refused = [entry for entry in admin.acl_log() if entry["username"] == "inspector"]
        assert refused == []


def test_a_user_made_by_the_doctors_advice_runs_the_service(tmp_path: Path):
    """And the doctor has tried each command that the service then used."""
    with RedisServer(system_redis(), tmp_path / "redis") as server, server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "line", "on", ">secret", "+ping")
        line = Line(
            tmp_path,
            cameras={"top": TRIGGERED},
            triton="127.0.0.1:1",
            redis_url=server.url,
            redis={"username": "line", "password": "secret"},
        )
        advice = _advice(line)
        rules = advice.partition("user line on #HASH-OF-ITS-PASSWORD ")[2].split()
        admin.execute_command("ACL", "SETUSER", "line", *rules)
        admin.config_resetstat()
        assert _advice(line) == "", "the advised user passes"
        tried = set(admin.info("commandstats"))
        admin.acl_log_reset()  # the doctor asks for its name, which it need not be told
        admin.config_resetstat()
        with line:
            wait_for(
                lambda: _reads_triggers(line.get("/readyz")[1]),
                within_s=40,
                what="the trigger stream is found",
            )
            admin.xadd(key("triggers", "test.one.aoi"), {"unit_id": "board-1"})
            admin.xadd(key("triggers", "test.one.aoi"), {"unit_id": ""})
            written = [key(name, "test.one.aoi") for name in ("units", "refusals")]
            wait_for(
                lambda: admin.exists(*written) == len(written),
                within_s=40,
                what="a verdict, and an answer to what is no trigger",
            )
            line.stop()
        used = set(admin.info("commandstats")) - {"cmdstat_exists", "cmdstat_config|resetstat"}
        assert used <= tried, used - tried
        assert [entry for entry in admin.acl_log() if entry["username"] == "line"] == []


def _advice(line: Line) -> str:
    """What the doctor says to do about Redis; empty where nothing fails."""
    findings = asyncio.run(check_redis(load_settings(line.config)))
    return " ".join(f.advice for f in findings if f.mark is Mark.FAIL)


def _reads_triggers(readiness: str) -> bool:
    return '"running":true' in readiness and "triggers" not in readiness


def _units_as_the_mes_sees_them(server: ShippedRedis, group: Group | None = None) -> list[str]:
    async def read() -> list[str]:
        reading = read_events(server.url_of("mes"), station_id="test.one.aoi", group=group)
        return [item.unit_id async for item in reading if isinstance(item, ReceivedEvent)]

    return asyncio.run(read(), debug=True)
