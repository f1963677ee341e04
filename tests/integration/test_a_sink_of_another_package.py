"""A kind of sink from outside this package, exactly as docs/developing.md says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from inspector.core.errors import ConfigurationError
from inspector.doctor.findings import Finding, Mark
from inspector.doctor.sinks import check_sinks
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings
from tests.kit.line import Line, needs_redis, wait_for
from tests.kit.line_events import entries
from tests.kit.packages import recipe
from tests.kit.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
CAMERA = {"source": "sim:?fps=40", "size": "160x128"}
NOBODY = "127.0.0.1:1"
KILLS = 6


def install(into: Path, module: str) -> None:
    """Put there what `pip install` would: the module, and what its package says of itself."""
    (into / "lines_sink.py").write_text(module, encoding="utf-8")
    described = into / "lines_sink-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: lines_sink\nVersion: 1.0\n")
    line = recipe("pyproject.toml of a sink").splitlines()[1].replace('"', "")
    (described / "entry_points.txt").write_text(f"[inspector.sinks]\n{line}\n", encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, recipe("lines_sink.py"))
    return folder


def archived(path: Path, stream: str) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    whole = path.read_bytes().rpartition(b"\n\n")[0]
    lines = [orjson.loads(line) for line in whole.split(b"\n") if line]
    return [line for line in lines if line["stream"] == stream]


def sinks(**archive: Any) -> dict[str, Any]:
    """Its section, for a `Line`."""
    return {"sinks.archive": {"kind": "lines"} | archive}


@needs_redis
def test_it_has_every_event_once_though_the_service_is_killed(
    tmp_path: Path, site: Path, redis_server: RedisServer
) -> None:
    rng = random.Random(17)
    archive = tmp_path / "archive.jsonl"
    section = recipe("inspector.toml of a sink")
    assert section.splitlines()[:2] == ["[sinks.archive]", 'kind = "lines"']
    line = Line(
        tmp_path,
        cameras={"top": CAMERA},
        triton=NOBODY,
        redis_url=redis_server.url,
        environment={"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        **sinks(path=str(archive)),
    )
    with line, contextlib.closing(redis_server.client()) as client:
        for _ in range(KILLS):
            before = len(archived(archive, "units"))
            wait_for(
                lambda n=before: len(archived(archive, "units")) > n,  # type: ignore[misc]
                within_s=60,
                what="units in the archive",
            )
            time.sleep(rng.random())  # any moment will do: nothing is waited for
            line.kill()
            line.start()
        wait_for(
            lambda: (
                line.get("/metrics")[0] == 200
                and line.scrape().total("inspector_sink_up", sink="archive") == 1
            ),
            within_s=60,
            what="the sink takes events",
        )
        line.stop()
        for stream in ("units", "health"):
            published = entries(client, stream)
            there = archived(archive, stream)
            assert len(there) > 0
            assert [entry["seq"] for entry in there] == list(range(1, len(there) + 1))
            assert [entry["event"]["id"] for entry in there] == [e.event["id"] for e in published]
            ids = [f"{e.entry_id[0]}-{e.entry_id[1]}" for e in published]
            assert [entry["entry_id"] for entry in there] == ids


@needs_redis
def test_one_that_is_away_holds_up_neither_redis_nor_the_verdicts_and_gets_all_of_it_later(
    tmp_path: Path, site: Path, redis_server: RedisServer
) -> None:
    archive = tmp_path / "archive.jsonl"
    archive.mkdir()  # a file cannot be opened there
    line = Line(
        tmp_path,
        cameras={"top": CAMERA},
        triton=NOBODY,
        redis_url=redis_server.url,
        environment={"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        **sinks(path=str(archive), streams=["units"]),
    )
    with line, contextlib.closing(redis_server.client()) as client:
        wait_for(lambda: len(entries(client, "units")) > 100, within_s=60, what="units in Redis")
        scrape = line.scrape()
        assert scrape.total("inspector_fault", fault="sink", subject="archive") == 1
        assert scrape.total("inspector_sink_pending_events", sink="archive") > 90
        assert "Is a directory" in line.get("/api/status")[1]
        archive.rmdir()
        wait_for(lambda: len(archived(archive, "units")) > 200, within_s=60, what="all of it")
        assert line.scrape().total("inspector_fault", fault="sink", subject="archive") == 0
        line.stop()
        ids = [entry["event"]["id"] for entry in archived(archive, "units")]
        assert ids == [e.event["id"] for e in entries(client, "units")]
        assert archived(archive, "health") == []
        faults = [e.event for e in entries(client, "health") if e.event["fault"] == "sink"]
        assert [(f["subject"], f["state"]) for f in faults] == [
            ("archive", "raised"),
            ("archive", "cleared"),
        ]


def test_inspector_check_asks_it(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "lines_sink", raising=False)

    def finding(path: Path) -> Finding:
        content = {
            "station": {"site": "a", "line": "b", "name": "c"},
            "cameras": {"top": CAMERA},
            "sinks": {"archive": {"kind": "lines", "path": str(path)}},
        }
        [found] = asyncio.run(check_sinks(build_settings(Settings, content)))
        return found

    assert finding(tmp_path / "new.jsonl").found == "answers; has nothing yet"
    wrong = finding(tmp_path)
    assert (wrong.what, wrong.mark) == ("sink archive", Mark.FAIL)
    assert "Is a directory" in wrong.found


def test_its_settings_are_checked_with_the_others(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "lines_sink", raising=False)

    def refusal(**sink: Any) -> str:
        content = {
            "station": {"site": "a", "line": "b", "name": "c"},
            "cameras": {"top": CAMERA},
            "sinks": {"archive": sink},
        }
        with pytest.raises(ConfigurationError) as refused:
            build_settings(Settings, content)
        return str(refused.value)

    assert "sinks.archive" in refusal(kind="lines")
    assert "path: missing" in refusal(kind="lines")
    assert 'pth: unknown key "pth"; did you mean "path"?' in refusal(
        kind="lines", pth="x", path="y"
    )
    assert "no kind of sink 'mqtt'; accepted are lines" in refusal(kind="mqtt")
    assert "kind is missing" in refusal(path="x")


def test_without_the_package_the_start_is_refused_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "inspector.toml"
    config.write_text(
        '[station]\nsite = "a"\nline = "b"\nname = "c"\n'
        '[cameras.top]\nsource = "sim:"\nsize = "160x128"\n' + recipe("inspector.toml of a sink")
    )
    said = subprocess.run(
        [sys.executable, "-m", "inspector", "run", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 78
    assert said.stderr.count("\n") == 1
    assert "sinks.archive" in said.stderr
    assert "no kind of sink 'lines'" in said.stderr
