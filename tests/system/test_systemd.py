"""The shipped unit under a real systemd: start, reload, watchdog, stop, wrong configuration."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import BOARD_REGION, PICTURE, wait_for
from tests.kit.line_events import Entry, assert_gapless, entries
from tests.kit.redis_server import RedisServer
from tests.kit.triton_server import embedded_triton_in_background
from tests.system.systemd_machine.machine import Machine, booted, missing

UNIT_FILE = Path(__file__).parents[2] / "deploy/systemd/inspector.service"
SECRET = "c4nary-of-redis"
WORST_EXPOSURE = 2.5
DROP_IN = """
[Service]
WatchdogSec=4
RestartSec=1
"""


@pytest.fixture(scope="module")
def triton() -> Iterator[EmbeddedTriton]:
    with embedded_triton_in_background() as server:
        yield server


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    folder = tmp_path_factory.mktemp("redis")
    with RedisServer(binary, folder) as server:
        with server.client() as client:
            client.config_set("requirepass", SECRET)
        yield server


@pytest.fixture(scope="module")
def http_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def settings(triton: EmbeddedTriton, redis_server: RedisServer, http_port: int) -> str:
    return f"""
[station]
site = "test"
line = "one"
name = "aoi"
[cameras.top]
source = "sim:?fps=4&seed=3&speed=48&defect_rate=0.5"
size = "{PICTURE}"
region = {BOARD_REGION}
[batching]
max_age_ms = 15000.0
lane_capacity = 16
[inference]
url = "{triton.grpc_url}"
[inspection]
threshold = 1.0
deadline_ms = 20000.0
[redis]
url = "redis://127.0.0.1:{redis_server.port}/0"
[http]
port = {http_port}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, settings: str) -> Iterator[Machine]:
    if (why := missing()) is not None:
        pytest.skip(why)
    # Not below a folder that only its owner may enter: the unit's user reads the settings.
    scratch = tmp_path_factory.mktemp("machine")
    with booted(scratch, secret=SECRET, drop_in=DROP_IN) as running:
        (running.etc / "inspector.toml").write_text(settings)
        yield running


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with contextlib.closing(
        redis.Redis(port=redis_server.port, password=SECRET, decode_responses=True)
    ) as connected:
        yield connected


def wait_units(client: redis.Redis, more_than: int, *, within_s: float = 60.0) -> list[Entry]:
    def enough() -> list[Entry]:
        found = entries(client, "units")
        return found if len(found) > more_than else []

    return wait_for(enough, within_s=within_s, what=f"more than {more_than} units")


def test_the_unit_is_valid_and_gives_away_little() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    # It ends with 0 for unknown keys too: whatever it says beyond the missing program is a mistake.
    verified = subprocess.run(
        ["systemd-analyze", "verify", UNIT_FILE], capture_output=True, text=True, check=False
    )
    said = [line for line in verified.stderr.splitlines() if "is not executable" not in line]
    assert not said
    exposure = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={round(10 * WORST_EXPOSURE)}", UNIT_FILE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposure.returncode == 0, exposure.stdout[-300:]


def test_a_start_waits_until_it_inspects_and_gives_the_service_no_rights(
    machine: Machine, client: redis.Redis
) -> None:
    machine.systemctl("start")
    [running] = [said for said in machine.log() if said["event"] == "running"]
    shown = machine.show("ActiveState", "ActiveEnterTimestamp", "StatusText", "NRestarts")
    assert shown["ActiveState"] == "active"
    assert shown["StatusText"] == "inspecting at test.one.aoi"
    assert shown["NRestarts"] == "0"
    entered = machine.command(
        "date", "-u", "-d", shown["ActiveEnterTimestamp"], "+%Y-%m-%dT%H:%M:%S"
    )
    said_at = datetime.fromisoformat(running["timestamp"]).astimezone(UTC)
    active_at = datetime.fromisoformat(entered.stdout.strip()).replace(tzinfo=UTC)
    assert active_at >= said_at.replace(microsecond=0), "systemd took it for started too early"

    process = machine.command("cat", f"/proc/{machine.main_pid()}/status").stdout
    status = dict(line.split(":\t", 1) for line in process.splitlines() if ":\t" in line)
    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    units = wait_units(client, 4)  # so it has the password, which no file of the service names
    assert {unit.event["result"] for unit in units} == {"PASSED"}
    owner = machine.command("stat", "-c", "%U %a", "/var/lib/inspector", "/var/lib/inspector/lock")
    assert owner.stdout.split() == ["inspector", "750", "inspector", "640"]


def test_a_reload_changes_thresholds_without_a_missed_frame(
    machine: Machine, client: redis.Redis
) -> None:
    path = machine.etc / "inspector.toml"
    path.write_text(path.read_text().replace("threshold = 1.0", "threshold = 0.3"))
    pid = machine.main_pid()
    before = len(entries(client, "units"))
    machine.systemctl("reload")
    wait_for(
        lambda: [said for said in machine.log() if said["event"] == "settings read again"],
        within_s=10,
        what="the settings read again",
    )
    wait_for(
        lambda: any(u.event["result"] == "FAILED" for u in entries(client, "units")),
        within_s=60,
        what="a defect by the new threshold",
    )
    assert machine.show("ActiveState")["ActiveState"] == "active"
    assert machine.main_pid() == pid
    units = wait_units(client, before + 5)
    assert all(unit.is_inspected for unit in units)
    assert [unit.number for unit in units] == list(range(1, len(units) + 1))
    assert_gapless(units)


def test_a_blocked_event_loop_is_killed_says_where_it_hung_and_goes_on(
    machine: Machine, client: redis.Redis
) -> None:
    blocked = machine.main_pid()
    machine.systemctl("kill", "--kill-who=main", "--signal=USR1")
    wait_for(lambda: machine.show("NRestarts")["NRestarts"] == "1", within_s=60, what="one restart")
    wait_for(
        lambda: machine.show("ActiveState")["ActiveState"] == "active",
        within_s=60,
        what="active again",
    )
    assert machine.main_pid() != blocked
    told = "\n".join(machine.messages())
    assert "Watchdog timeout" in told
    assert "Fatal Python error: Aborted" in told
    assert "in block_the_event_loop" in told
    assert SECRET not in told
    units = wait_units(client, len(entries(client, "units")) + 4)
    assert_gapless(units)
    assert [unit.number for unit in units] == list(range(1, len(units) + 1))


def test_a_stop_drains(machine: Machine, client: redis.Redis) -> None:
    machine.systemctl("stop")
    shown = machine.show("ActiveState", "Result")
    assert shown == {"ActiveState": "inactive", "Result": "success"}
    assert "inspector.service: Deactivated successfully." in machine.messages()
    [stopped] = [said for said in machine.log() if said["event"] == "stopped"]
    assert stopped["captured"] == stopped["settled"] == stopped["verdicts"]
    units = entries(client, "units")
    assert_gapless(units)
    assert units[-1].number == len(units)


def test_a_wrong_configuration_is_told_once_and_does_not_loop(
    machine: Machine, settings: str
) -> None:
    (machine.etc / "inspector.toml").write_text(settings.replace("deadline_ms", "deadlin_ms"))
    lines = len(machine.messages())
    started = machine.command("systemctl", "start", "inspector.service")
    assert started.returncode != 0
    shown = machine.show("ActiveState", "ExecMainStatus", "NRestarts", "RestartUSec")
    assert shown == {
        "ActiveState": "failed",
        "ExecMainStatus": "78",
        "NRestarts": "0",
        "RestartUSec": "1s",
    }
    told = machine.messages()[lines:]
    [problem] = [text for text in told if "deadlin_ms" in text]
    assert 'unknown key "deadlin_ms"; did you mean "deadline_ms"?' in problem
    # No job is queued that would start it again: systemd has given it up.
    jobs = machine.command("systemctl", "list-jobs", "--no-legend").stdout
    assert "inspector" not in jobs
    assert machine.show("SubState")["SubState"] == "failed"
