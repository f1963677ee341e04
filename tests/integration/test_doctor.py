"""`inspector check`, against real parts: all well, and each of them broken in turn."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
import redis

from inspector.core.records import CameraId
from inspector.doctor.clock import check_clock
from inspector.doctor.examination import _camera as look_at_camera
from inspector.doctor.findings import Mark
from inspector.doctor.redis import check_redis
from inspector.journal.file import FILE_NAME, FolderLock
from inspector.journal.journal import Journal
from inspector.journal.time import kept_time
from inspector.redis_io.rights import REDIS_COMMANDS, station_user
from inspector.settings.load import load_settings
from inspector.settings.sections import CameraSettings
from tests.kit.inspector_command import CAMERA, inspector, on_terminal, settings_file
from tests.kit.redis_server import RedisServer, any_binary

README = Path(__file__).parents[2] / "README.md"
CANARY = "hunter2"
KEY = "inspector:{plant1.smt2.aoi}:units"


def checked(file: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by what was looked at."""
    ended = inspector("check", "--config", file, "--json")
    assert ended.stderr == ""
    assert CANARY not in ended.stdout
    document = json.loads(ended.stdout)
    findings = {finding["what"]: finding for finding in document["findings"]}
    assert len(findings) == len(document["findings"]), "each thing is looked at once"
    assert document["ok"] == (ended.returncode == 0)
    for finding in findings.values():
        assert finding["mark"] in ("ok", "warn", "fail")
        assert bool(finding["advice"]) == (finding["mark"] != "ok"), finding
        assert "\n" not in finding["found"], finding
    return ended.returncode, findings


def marks(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    """What is not well."""
    return {w: f["mark"] for w, f in findings.items() if f["mark"] != "ok"}


@pytest.fixture(scope="module")
def nobody():
    """A port where nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_line_where_all_is_well(tmp_path, triton, redis_server):
    file = settings_file(
        tmp_path,
        f'[inference]\nurl = "{triton.grpc_url}"\n[redis]\nurl = "{redis_server.url}"\n',
    )
    # While the service runs, which holds the state folder.
    lock = FolderLock(tmp_path / "state")
    try:
        code, findings = checked(file)
    finally:
        lock.release()
    assert (code, marks(findings)) == (0, {})
    assert "first frame after" in findings["camera top"]["found"]
    assert "pcb_inspection version 1" in findings["triton"]["found"]
    assert "UINT8 640x640 in, shared memory" in findings["triton"]["found"]
    assert findings["redis"]["found"] == f"answers; {KEY} is new"
    assert "default may write" in findings["redis permission"]["found"]
    with redis_server.client() as client:
        assert client.dbsize() == 0, "to look is not to touch"
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["lock"]


def test_the_whole_configuration_that_the_readme_shows_is_well(tmp_path):
    """It has embedded parts, which are tried too."""
    shown = README.read_text(encoding="utf-8").split("```toml\n")[1].partition("```")[0]
    assert 'source = "v4l2:/dev/video0"' in shown
    file = tmp_path / "my.toml"
    state = f'[journal]\ndirectory = "{tmp_path / "state"}"\n'
    file.write_text(shown.replace("v4l2:/dev/video0", "sim:?view=strobe") + state)
    code, findings = checked(file)
    assert (code, marks(findings)) == (0, {})
    assert "1280x720 is inspected in 6 tiles" in findings["region of camera top"]["found"]
    assert "pcb_inspection" in findings["triton"]["found"]
    assert findings["redis"]["found"].startswith("embedded: ")
    assert not (tmp_path / "state").exists(), "a folder made by who checks would be theirs"


def test_the_embedded_redis_of_a_station_with_a_real_camera_is_warned_of(tmp_path, nobody):
    camera = f'[cameras.gate]\nsource = "rtsp://127.0.0.1:{nobody}/x"\nsize = "320x240"\n'
    file = settings_file(tmp_path, '[redis]\nurl = "embedded"\n', camera=camera)
    [finding] = asyncio.run(check_redis(load_settings(file)))
    assert finding.mark == "warn"
    assert "only for demo and tests, and camera gate is real" in finding.advice


def test_what_is_special_about_a_recording_is_told(tmp_path):
    (tmp_path / "shots").mkdir()
    picture = np.random.default_rng(1).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    cv2.imwritemulti(str(tmp_path / "shots" / "a.tif"), [picture, picture])
    (tmp_path / "shots" / "b.webp").touch()
    content = {"source": f"file:{tmp_path}/shots", "size": "320x240"}
    camera = CameraSettings.model_validate(content)
    [finding] = look_at_camera(CameraId("top"), camera)
    assert finding.mark is Mark.WARN
    assert "hold 2 pictures" in finding.found
    assert "left out (.webp)" in finding.found


def test_everything_broken_is_a_row_each_with_what_to_do(tmp_path, nobody):
    """And in a pipe: a line each, plain."""
    camera = (
        CAMERA
        + 'look = "region"\n'
        + f'[cameras.film]\nsource = "file:{tmp_path}/nowhere.mp4"\nsize = "320x240"\n'
        + f'[cameras.net]\nsource = "rtsp://viewer:{CANARY}@127.0.0.1:{nobody}/x"\n'
        + 'size = "320x240"\nconnect_timeout_s = 0.5\n'
        + '[cameras.usb]\nsource = "v4l2:/dev/video99"\nsize = "320x240"\n'
    )
    more = (
        f'[inference]\nurl = "127.0.0.1:{nobody}"\nconnect_timeout_s = 0.5\n'
        f'[redis]\nurl = "redis://:{CANARY}@127.0.0.1:{nobody}/0"\n'
        '[journal]\ndirectory = "/dev/null/state"\n'
    )
    file = settings_file(tmp_path, more, camera=camera)
    ended = inspector("check", "--config", file)
    assert ended.returncode == 1
    assert CANARY not in ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout
    assert f'{file}: cameras.top.look: an old name, which still works; rename it to "crop"' in (
        ended.stdout
    )
    lines = ended.stdout.splitlines()
    told = {line[6:].partition(":")[0]: line for line in lines}
    assert [(line[:4].strip(), line[6:].partition(":")[0]) for line in lines] == [
        ("ok", "settings"),
        ("warn", str(file)),
        ("ok", "products"),
        ("ok", "camera top"),
        ("fail", "camera film"),
        ("fail", "camera net"),
        ("fail", "camera usb"),
        ("fail", "triton"),
        ("fail", "redis"),
        ("fail", "disk /dev/null/state"),
        ("ok", "clock"),
    ]
    assert "correct the path in cameras.film.source" in told["camera film"]
    assert "check the camera's power, cable, address and login" in told["camera net"]
    assert "nothing listens on this port" in told["camera net"]
    assert "plug it in" in told["camera usb"]
    assert 'correct inference.url, or set it to "embedded"' in told["triton"]
    assert 'correct redis.url, or set it to "embedded"' in told["redis"]
    assert "correct journal.directory" in told["disk /dev/null/state"]


def test_what_does_not_fit_is_told_by_the_key_to_change(tmp_path, triton, shared):
    camera = f'[cameras.top]\nsource = "file:{shared}/data/line/amber.mp4"\nsize = "640x480"\n'
    more = (
        f'[inference]\nurl = "{triton.grpc_url}"\nmodel = "pcb_inspektion"\n'
        '[redis]\nurl = "embedded"\n'
    )
    code, findings = checked(settings_file(tmp_path, more, camera=camera))
    assert (code, marks(findings)) == (1, {"camera top": "fail", "triton": "fail"})
    top = findings["camera top"]
    assert "1280x720 pixels, expected 640x480" in top["found"]
    assert top["advice"] == "set cameras.top.size to what it delivers, or the camera to 640x480"
    assert 'did you mean "pcb_inspection"?' in findings["triton"]["found"]
    assert "correct the setting it names" in findings["triton"]["advice"]


# --- Redis, of which there is most to get wrong ---


@pytest.fixture
def ask(tmp_path):
    """What is found of the Redis of these settings."""

    def ask(more: str) -> dict[str, dict[str, str]]:
        settings = load_settings(settings_file(tmp_path, f"[redis]\n{more}"))
        findings = asyncio.run(check_redis(settings), debug=True)
        told = {finding.what: finding.as_dict() for finding in findings}
        assert CANARY not in str(told)
        assert all(bool(f["advice"]) == (f["mark"] != "ok") for f in told.values())
        return told

    return ask


def test_a_wrong_redis_password_is_told_as_that(ask, redis_server):
    with redis_server.client() as client:
        client.config_set("requirepass", "right")
    for more in (f'url = "{redis_server.url}"\npassword = "{CANARY}"\n',
                 f'url = "{redis_server.url}"\n'):  # fmt: skip
        findings = ask(more)
        assert list(findings) == ["redis"]
        assert findings["redis"]["found"].startswith("it refused user name or password")
        assert findings["redis"]["advice"].startswith("correct redis.password and redis.username")


def test_a_redis_that_would_lose_events_is_told_so(ask, redis_server):
    with redis_server.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        client.set(KEY, "something else")
    findings = ask(f'url = "{redis_server.url}"\n')
    assert marks(findings) == {"redis": "fail"}
    assert findings["redis"]["advice"] == f"is {KEY} in use for something else?"
    with redis_server.client() as client:
        client.delete(KEY)
        client.xadd(KEY, {"id": "1"})
    findings = ask(f'url = "{redis_server.url}"\n')
    assert marks(findings) == {"redis eviction": "fail", "redis persistence": "warn"}
    assert findings["redis"]["found"] == f"answers; {KEY} has 1 entries"
    assert findings["redis eviction"]["advice"].startswith("set maxmemory-policy noeviction")
    assert "appendonly yes" in findings["redis persistence"]["advice"]


def test_a_redis_that_will_be_too_small_is_told_long_before(ask, redis_server):
    """At the pace so far: 2400 entries a day, of which 14 days are to be kept."""
    day_ms, fields = 86_400_000, {"id": "1", "data": "x" * 950}
    with redis_server.client() as client:
        first_ms = 1_790_000_000_000
        for number in range(2400):
            client.xadd(KEY, fields, id=f"{first_ms + number * day_ms // 2400}-0")
        needed = 2400 * 14 * 1400
        client.config_set("maxmemory", 2 * needed)
        enough = ask(f'url = "{redis_server.url}"\n')["redis memory"]
        client.config_set("maxmemory", needed)
        small = ask(f'url = "{redis_server.url}"\n')["redis memory"]
        lowered = ask(
            f'url = "{redis_server.url}"\nretention_days = 3\n[journal]\nretention_days = 3\n'
        )["redis memory"]
        client.config_set("maxmemory", client.info("memory")["used_memory"])
        full = ask(f'url = "{redis_server.url}"\n')["redis memory"]
    assert [f["mark"] for f in (enough, small, lowered, full)] == ["ok", "warn", "ok", "fail"]
    assert "with 14 days at the pace of 24.0 hours" in small["found"]
    assert small["advice"].startswith("raise maxmemory, or lower redis.retention_days")
    assert "the rest is left to triggers" in full["advice"]


def test_an_empty_redis_is_told_how_many_units_it_holds(ask, redis_server):
    with redis_server.client() as client:
        client.config_set("maxmemory", "3gb")
    found = ask(f'url = "{redis_server.url}"\n')["redis memory"]
    assert found["mark"] == "ok"
    assert "enough for 14 days of 6," in found["found"]
    assert "good units an hour" in found["found"]


def test_a_clock_that_left_the_time_that_passed_is_told_from_what_the_journal_knows(tmp_path):
    Journal.open(tmp_path, retention_s=60.0).close()
    found = check_clock(tmp_path)
    assert found.mark is not Mark.FAIL
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        known = kept_time(connection)
        assert known is not None
        month_ms = 30 * 86_400_000
        earlier = replace(known.believed, unix_ms=known.believed.unix_ms - month_ms)
        connection.execute(
            "UPDATE station_time SET known = ?",
            (orjson.dumps(asdict(replace(known, believed=earlier))).decode(),),
        )
    found = check_clock(tmp_path)
    assert found.mark is Mark.FAIL
    assert "30.0 days ahead of the time that has passed" in found.found
    assert "NTP" in found.advice


TRIGGERED = CAMERA + 'trigger = "external"\n'


@pytest.fixture
def ask_triggered(tmp_path):
    """The same of a station whose triggers come by Redis."""

    def ask(more: str) -> dict[str, dict[str, str]]:
        file = settings_file(tmp_path, f"[redis]\n{more}", camera=TRIGGERED)
        findings = asyncio.run(check_redis(load_settings(file)), debug=True)
        return {finding.what: finding.as_dict() for finding in findings}

    return ask


def set_user(client: redis.Redis, *rules: str) -> None:
    client.execute_command("ACL", "SETUSER", "line", "reset", "on", f">{CANARY}", *rules)


def advised_rules(advice: str) -> list[str]:
    """What the line that the advice prints allows."""
    line = advice.partition("users.acl: ")[2]
    assert line.startswith("user line on #HASH-OF-ITS-PASSWORD ")
    return line.split()[4:]


def test_the_user_that_is_advised_passes_the_check(ask_triggered, redis_server):
    user = f'url = "{redis_server.url}"\nusername = "line"\npassword = "{CANARY}"\n'
    with redis_server.client() as client:
        for first in (["+ping"], [f"~{KEY}", "+@all"], ["~*", "+@read"]):
            set_user(client, *first)
            findings = ask_triggered(user)
            [failed] = [f for f in findings.values() if f["mark"] == "fail"]
            set_user(client, *advised_rules(failed["advice"]))
            assert marks(ask_triggered(user)) == {}
        assert client.dbsize() == 0, "to try is not to touch"


def test_the_advice_is_the_line_that_is_shipped():
    shipped = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
    assert station_user("plant1.smt2.aoi") in shipped.read_text().splitlines()


OPTIONAL = {"xinfo|groups", "xpending", "info"}
UNTRIED = {"discard"}
"""Allowed because redis-py sends it where a transaction ends early."""


@pytest.mark.parametrize("command", [c for c in REDIS_COMMANDS if c not in UNTRIED])
def test_each_command_that_is_missing_is_named(ask_triggered, redis_server, command):
    if command == "xinfo|stream":
        command = "xinfo"
    user = f'url = "{redis_server.url}"\nusername = "line"\npassword = "{CANARY}"\n'
    with redis_server.client() as client:
        set_user(client, "~*", "+@all", f"-{command}")
    findings = ask_triggered(user)
    assert ("fail" in marks(findings).values()) == (command not in OPTIONAL)
    if "redis permission" in marks(findings):
        advice = findings["redis permission"]["advice"]
        assert advice.startswith("give this user the line of deploy/redis/users.acl: user line")
    told = " ".join(f["found"] for f in findings.values() if f["mark"] != "ok").lower()
    assert command.partition("|")[0] in told


class Managed(RedisServer):
    def client(self) -> redis.Redis:
        """Without HELLO, which it may not have."""
        return redis.Redis(port=self.port, decode_responses=True, protocol=2)


def without(folder: Path, *commands: str) -> RedisServer:
    binary = any_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    options = [part for name in commands for part in ("--rename-command", name, "")]
    return Managed(binary, folder / "managed", *options)


def test_a_managed_redis_that_tells_little_passes(ask_triggered, tmp_path):
    with without(tmp_path, "CONFIG", "INFO", "ACL", "CLIENT", "DEBUG", "HELLO") as server:
        findings = ask_triggered(f'url = "{server.url}"\n')
    assert set(marks(findings)) == {"redis eviction", "redis memory", "redis persistence"}
    assert set(marks(findings).values()) == {"warn"}


@pytest.mark.parametrize("command", ["TIME", "WATCH", "MULTI", "XADD", "XREAD"])
def test_a_managed_redis_without_what_the_service_needs_fails(ask_triggered, tmp_path, command):
    with without(tmp_path, command) as server:
        permission = ask_triggered(f'url = "{server.url}"\n')["redis permission"]
    assert permission["mark"] == "fail"
    assert permission["advice"].startswith(f"this Redis lacks {command}")


def test_a_redis_that_takes_no_writes_now_fails(ask, redis_server):
    with redis_server.client() as client:
        client.config_set("min-replicas-to-write", "1")
        permission = ask(f'url = "{redis_server.url}"\n')["redis permission"]
    assert permission["mark"] == "fail"
    assert "NOREPLICAS" in permission["found"]


def test_nothing_of_a_redis_in_use_is_changed(ask_triggered, redis_server):
    with redis_server.client() as client:
        for name in (
            "units",
            "defects",
            "health",
            "reviews",
            "changes",
            "challenges",
            "triggers",
            "commands",
            "refusals",
        ):
            client.xadd(KEY.replace("units", name), {"id": "1", "data": "{}"})
        before = {key: client.xinfo_stream(key) for key in client.scan_iter()}
        assert marks(ask_triggered(f'url = "{redis_server.url}"\n')) == {}
        assert {key: client.xinfo_stream(key) for key in client.scan_iter()} == before


def test_on_a_terminal_it_is_a_table(tmp_path, nobody):
    more = f'[inference]\nurl = "127.0.0.1:{nobody}"\n[redis]\nurl = "embedded"\n'
    code, shown = on_terminal("check", "--config", settings_file(tmp_path, more))
    assert code == 1
    assert "what to do" in shown
    assert "\x1b[31mfail" in shown
    assert "\x1b[32mok" in shown
