"""The commands, run as a user or a script does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from inspector import __version__
from inspector.core.background import background
from inspector.core.faults import Fault
from inspector.core.records import (
    CameraId,
    Event,
    FrameRef,
    Judgement,
    MissReason,
    Result,
    Review,
    TriggerKind,
    UnitRef,
)
from inspector.core.verdicts import Defect, FrameResult, Verdict
from inspector.embedded.redis.server import EmbeddedRedis
from inspector.events.schemas import rfc3339
from inspector.events.wording import EventBuilder, Particulars
from inspector.pipeline.terms import event_terms
from inspector.settings.load import load_settings
from inspector.sources.registry import parse_source
from tests.kit import jobs
from tests.kit.findings import boxed
from tests.kit.inspector_command import (
    CHECKOUT,
    COMMAND,
    environment,
    inspector,
    on_terminal,
    settings_file,
    started,
)
from tests.kit.json_schema import violations
from tests.kit.processes import descendants

COMMANDS = ("run", "replay", "demo", "check", "events", "product", "triton", "schema")
CANARY = "hunter2"


def one_line(ended: subprocess.CompletedProcess[str]) -> str:
    """What a command says of the mistake: one line, plain."""
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "\x1b" not in ended.stderr
    assert CANARY not in ended.stderr
    return ended.stderr.strip()


# --- help, version, usage ---


def test_help_lists_every_command_and_is_plain_in_a_pipe():
    ended = inspector("--help")
    assert ended.returncode == 0
    listed = re.findall(r"^  (\w+)  +\S", ended.stdout, re.MULTILINE)
    assert set(COMMANDS) <= set(listed)
    assert ended.stdout.isascii(), "no frames and no colours"


def test_the_version_is_the_packages():
    ended = inspector("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("arguments", [["run", "--nope"], ["schema", "unit"]])
def test_a_wrong_call_is_exit_code_2_and_plain_in_a_pipe(arguments):
    ended = inspector(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("Usage: ")
    assert ended.stderr.isascii()


def test_on_a_terminal_a_refusal_has_colour(tmp_path):
    code, shown = on_terminal("run", "--config", tmp_path / "none.toml")
    assert code == 78
    assert "\x1b[31m" in shown
    assert "no such file; expected a TOML file" in shown


def test_a_reader_that_goes_away_is_no_mistake():
    with subprocess.Popen(
        [*COMMAND, "schema", "settings"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == b""


# --- schema ---


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    names = ("units", "defects", "health", "reviews", "changes", "challenges", "settings")
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda name: inspector("schema", name), names))
    assert [(e.returncode, e.stderr) for e in ended] == [(0, "")] * len(names)
    return {name: json.loads(e.stdout) for name, e in zip(names, ended, strict=True)}


@pytest.fixture
def builder(tmp_path):
    settings = load_settings(settings_file(tmp_path))
    return EventBuilder(
        replace(event_terms(settings), cameras={CameraId("top"): parse_source("sim:").traits})
    )


def verdict(defects: int, miss: MissReason | None = None, label: str | None = None) -> Verdict:
    seen = boxed(
        code_index=1, confidence=0.912345, left_px=1.23, top_px=2, right_px=30, bottom_px=40
    )
    unit = UnitRef(
        camera_id=CameraId("top"),
        index=7,
        kind=TriggerKind.EVERY_FRAME,
        triggered_mono_ns=1,
        triggered_unix_ns=time.time_ns(),
        label=label,
        job=jobs.job(),
    )
    ref = FrameRef(
        camera_id=CameraId("top"),
        sequence=7,
        captured_mono_ns=1,
        captured_unix_ns=time.time_ns(),
        unit=unit,
    )
    return Verdict(
        unit=unit,
        unit_number=8,
        result=Result.NOT_INSPECTED if miss else Result.FAILED if defects else Result.PASSED,
        reason=miss.value if miss else None,
        detail="",
        defects=tuple(
            Defect(code="short", confidence=seen.confidence, place=seen.place)
            for _ in range(defects)
        ),
        frames=(
            FrameResult(
                ref=ref,
                findings=None if miss else (seen,) * defects,
                miss=miss,
                versions={"pcb_inspection": "1"},
            ),
        ),
        frames_expected=1,
    )


def as_published(event: Event) -> dict[str, Any]:
    """As it comes out of Redis: through JSON, with the two fields that publishing adds."""
    body = {**event.body, "seq": 1, "published_at": rfc3339(time.time_ns())}
    read: dict[str, Any] = json.loads(json.dumps(body))
    return read


def test_every_schema_says_which_dialect_it_speaks(schemas):
    for name, schema in schemas.items():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["type"] == "object"
        # Fields are added to events within a schema's number; settings refuse unknown ones.
        assert ("additionalProperties" in schema) == (name == "settings")
        text = json.dumps(schema)
        used = set(re.findall(r'"#/\$defs/(\w+)"', text))
        assert used == set(schema["$defs"])


@pytest.mark.parametrize(
    "made",
    [
        verdict(0),
        verdict(3),
        verdict(25, label="board-0007.png"),
        *(
            verdict(0, miss=reason)
            for reason in (MissReason.STALE, MissReason.MODEL_UNAVAILABLE, MissReason.SHUTTING_DOWN)
        ),
    ],
    ids=lambda made: f"{made.result}-{made.reason}-{len(made.defects)}",
)
def test_every_verdict_is_as_its_schema_says(builder, schemas, made):
    group = builder.verdict(made, Particulars(event_id=str(ULID())), now_ns=50_000_000)
    unit, *defects = group.events
    assert violations(as_published(unit), schemas["units"]) == []
    assert len(json.dumps(as_published(unit))) < 8192
    assert len(defects) == len(made.defects)
    for defect in defects:
        assert violations(as_published(defect), schemas["defects"]) == []


@pytest.mark.parametrize("raised", [True, False])
@pytest.mark.parametrize("kind", ["camera", "triton", "redis", "disk"])
def test_every_change_of_health_is_as_its_schema_says(builder, schemas, kind, raised):
    fault = Fault(kind=kind, subject="top", cause="why")
    (event,) = builder.health(fault, raised=raised).events
    assert violations(as_published(event), schemas["health"]) == []


@pytest.mark.parametrize("defect", [None, ("01M82M13MBP1N0THFZYK8Z3R6E", "copper")])
def test_every_second_look_is_as_its_schema_says(builder, schemas, defect):
    look = Review(
        unit_event_id=str(ULID()),
        unit_id="PCB-1",
        camera="top",
        judgement=Judgement.FALSE_CALL,
        defect_id=defect[0] if defect else None,
        code=defect[1] if defect else None,
    )
    (event,) = builder.review(look).events
    assert (event.result, event.unit_id) == ("FALSE_CALL", "PCB-1")
    assert violations(as_published(event), schemas["reviews"]) == []


def test_the_schemas_refuse_what_is_no_event(builder, schemas):
    group = builder.verdict(verdict(0), Particulars(event_id=str(ULID())), now_ns=1)
    (unit,) = group.events
    good = as_published(unit)
    wrongs: list[dict[str, Any]] = [
        {"result": "GOOD"},
        {"reason": 7},
        {"seq": 0},
        {"seq": "1"},
        {"id": "1"},
        {"defects": [{}]},
        {"counts": {**good["counts"], "defects": -1}},
    ]
    for wrong in wrongs:
        assert violations({**good, **wrong}, schemas["units"]), wrong
    assert violations({k: v for k, v in good.items() if k != "station"}, schemas["units"])


def test_the_schemas_take_what_a_later_release_adds(builder, schemas):
    group = builder.verdict(verdict(0), Particulars(event_id=str(ULID())), now_ns=1)
    (unit,) = group.events
    good = as_published(unit)
    later = {
        **good,
        "carrier": {"name": "a"},
        "reason": "of_a_later_release",
        "unit": {**good["unit"], "colour": "green", "id_source": "label_printer"},
        "counts": {**good["counts"], "retaken": 1},
    }
    assert violations(later, schemas["units"]) == []


def test_the_settings_we_ship_are_as_their_schema_says(schemas):
    for file in ("inspector.toml", "demo.toml"):
        content = tomllib.loads((CHECKOUT / "config" / file).read_text(encoding="utf-8"))
        assert violations(content, schemas["settings"]) == []
    assert violations({**content, "infrence": {}}, schemas["settings"])
    assert violations({**content, "http": {"port": 70_000}}, schemas["settings"])
    assert violations({**content, "cameras": {"Top": {}}}, schemas["settings"])


# --- refusals of single commands ---


def test_footage_that_is_not_there_is_named(tmp_path):
    ended = inspector("replay", "nowhere.mp4", cwd=tmp_path)
    assert ended.returncode == 78
    assert one_line(ended) == (
        f"inspector: replay: file:nowhere.mp4: no such file or folder; looked in {tmp_path}"
    )


def test_a_live_camera_is_no_footage(tmp_path):
    ended = inspector("replay", f"rtsp://viewer:{CANARY}@192.0.2.1/x", cwd=tmp_path)
    assert ended.returncode == 78
    assert "is live; expected a video or a folder" in one_line(ended)


def test_events_of_a_redis_that_is_away_is_a_failure_and_not_a_wrong_setting(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"redis://:{CANARY}@127.0.0.1:{nobody.getsockname()[1]}/0"
        ended = inspector("events", "--config", settings_file(tmp_path), "--redis-url", url)
    assert ended.returncode == 1
    assert one_line(ended).startswith("inspector: Redis cannot be read: Error 111")


def test_events_of_an_embedded_redis_are_read_where_it_has_written_down(tmp_path):
    file = settings_file(tmp_path, '[redis]\nurl = "embedded"\n')

    async def main() -> None:
        embedded = EmbeddedRedis(tmp_path / "state" / "redis")
        async with background(embedded.run(), name="redis"):
            await embedded.wait_ready()
            ended = await asyncio.to_thread(inspector, "events", "--config", file)
        assert ended.returncode == 0, ended.stderr
        assert "no event in" in ended.stderr

    asyncio.run(main())


def test_events_of_an_embedded_redis_needs_its_address(tmp_path):
    file = settings_file(tmp_path, '[redis]\nurl = "embedded"\n')
    ended = inspector("events", "--config", file)
    assert ended.returncode == 78
    assert 'redis.url is "embedded"' in one_line(ended)


def test_a_malformed_address_is_told_by_its_option(tmp_path):
    url = f"http://:{CANARY}@h"
    ended = inspector("events", "--config", settings_file(tmp_path), "--redis-url", url)
    assert ended.returncode == 78
    assert one_line(ended).startswith("inspector: --redis-url: cannot be read; expected redis://")


# --- triton ---


def test_the_embedded_server_says_when_it_is_ready_and_leaves_nothing(tmp_path):
    ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    with started("triton", *ports, cwd=tmp_path) as command:
        assert command.stderr is not None
        giving_up = threading.Timer(100, command.kill)
        giving_up.start()
        told = []
        for line in command.stderr:
            told.append(line)
            if line.startswith("ready: "):
                break
        giving_up.cancel()
        assert told, "it ended without a word"
        assert re.fullmatch(
            r"ready: gRPC 127\.0\.0\.1:\d+, HTTP http://127\.0\.0\.1:\d+, "
            r"metrics http://127\.0\.0\.1:\d+/metrics\n",
            told[-1],
        ), told[-1]
        family = [os.pidfd_open(pid) for pid in descendants(command.pid)]
        assert len(family) >= 2, "a server, and one process for each Python model"
        command.send_signal(signal.SIGTERM)
        rest = command.stderr.read()
        assert command.wait(20) == 0
    try:
        assert all(select.select([process], [], [], 10)[0] for process in family)
    finally:
        for process in family:
            os.close(process)
    log = [line for line in (*told[:-1], *rest.splitlines()) if line.strip()]
    assert all(isinstance(json.loads(line), dict) for line in log), "the rest is the log"


def test_a_port_that_is_taken_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        ended = inspector("triton", "--grpc-port", str(port), "--http-port", "0")
    assert ended.returncode == 78
    assert one_line(ended) == (
        f"inspector: gRPC port {port} of the embedded Triton cannot be used on 127.0.0.1: "
        "Address already in use; choose another one, or 0 for any free one"
    )


def test_a_repository_that_triton_refuses_is_told_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    ended = inspector("triton", "--repository", tmp_path / "empty", *ports)
    assert ended.returncode == 78
    assert "has no model in it" in one_line(ended)
    assert str(Path(tmp_path / "empty")) in ended.stderr
