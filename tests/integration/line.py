"""`inspector run` as its neighbours see it: a process, its HTTP side and its Redis streams.

Knows the contract (commands, keys, event fields, metric names) and nothing of what is inside.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

ROOT = Path(__file__).parents[2]
AMBER = (ROOT / "../shared/data/line/amber.mp4").resolve()
PICTURE = "1280x720"
BOARD_REGION = [280, 0, 720, 720]
"""Where the boards of the line videos pass, at the picture's own scale."""
STATION = {"site": "test", "line": "one", "name": "aoi"}
STREAM_KEY = "inspector:{{test.one.aoi}}:{}"

needs_amber = pytest.mark.skipif(not AMBER.exists(), reason="no line video beside the checkout")
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="no redis-server on this machine"
)

T = TypeVar("T")
_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_PAUSE = threading.Event()


def wait_for(look: Callable[[], T], *, within_s: float, what: str, every_s: float = 0.05) -> T:
    """What `look` returns once that is true; fails the test at the deadline."""
    give_up_s = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > give_up_s:
            pytest.fail(f"not within {within_s:g} s: {what}")
        _PAUSE.wait(every_s)


@dataclass(frozen=True)
class Frames:
    """What /metrics says of frames."""

    captured: int
    inspected: int
    idle: int
    missed: Mapping[str, int]

    @property
    def settled(self) -> int:
        return self.inspected + self.idle + sum(self.missed.values())


class Scrape:
    """One reading of /metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples: list[tuple[str, dict[str, str], float]] = []
        for line in text.splitlines():
            found = _SAMPLE.fullmatch(line)
            if found is not None:
                labels = dict(_LABEL.findall(found["labels"] or ""))
                self._samples.append((found["name"], labels, float(found["value"])))

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples that carry these labels; a metric must be there."""
        values = [
            value
            for sample, has, value in self._samples
            if sample == name and labels.items() <= has.items()
        ]
        assert values, f"/metrics has no {name}{labels}"
        return sum(values)

    def frames(self, **camera: str) -> Frames:
        """Of one camera, or of all."""
        missed: dict[str, int] = {}
        for name, labels, value in self._samples:
            if name == "inspector_frames_missed_total" and value > 0:
                if camera.items() <= labels.items():
                    missed[labels["reason"]] = missed.get(labels["reason"], 0) + int(value)
        return Frames(
            captured=int(self.total("inspector_frames_captured_total", **camera)),
            inspected=int(self.total("inspector_frames_inspected_total", **camera)),
            idle=int(self.total("inspector_frames_idle_total", **camera)),
            missed=missed,
        )


@dataclass(frozen=True)
class Entry:
    """One entry of a stream."""

    entry_id: tuple[int, int]
    fields: Mapping[str, str]
    event: Mapping[str, Any]

    @property
    def number(self) -> int:
        number: int = self.event["unit"]["number"]
        return number

    @property
    def is_inspected(self) -> bool:
        return self.event["result"] in {"PASSED", "FAILED"}


def entries(client: redis.Redis, stream: str) -> list[Entry]:
    """A whole stream, oldest first."""
    return [
        Entry(
            entry_id=(int(entry_id.partition("-")[0]), int(entry_id.partition("-")[2])),
            fields=fields,
            event=json.loads(fields["data"]),
        )
        for entry_id, fields in client.xrange(STREAM_KEY.format(stream))
    ]


def assert_gapless(found: Sequence[Entry]) -> None:
    """Every event once, in order, and the flat fields say what the event says."""
    assert [e.event["seq"] for e in found] == list(range(1, len(found) + 1))
    assert [int(e.fields["seq"]) for e in found] == list(range(1, len(found) + 1))
    assert len({e.event["id"] for e in found}) == len(found)
    ids = [e.entry_id for e in found]
    assert ids == sorted(set(ids))
    for entry in found:
        assert entry.fields["id"] == entry.event["id"]
        assert entry.fields["time"] == entry.event["time"]


def assert_accounted(units: Sequence[Entry], captured: int) -> None:
    """One verdict per captured frame, in order per camera; nobody looked means nobody passed."""
    assert_gapless(units)
    assert len(units) == captured
    numbers: dict[str, int] = {}
    for unit in units:
        event = unit.event
        camera = event["camera"]
        assert unit.number == numbers.get(camera, 0) + 1, f"unit number after {numbers}"
        numbers[camera] = unit.number
        counts = event["counts"]
        assert counts["frames_expected"] == 1
        assert counts["frames_inspected"] + counts["frames_missed"] == 1
        assert (counts["frames_inspected"] == 1) == unit.is_inspected
        assert (event["reason"] is None) == unit.is_inspected


class Line:
    """One `inspector run`, that a test starts, stops, kills and starts again.

    The HTTP port and the state folder stay the same over restarts; the log goes on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cameras: Mapping[str, Mapping[str, Any]],
        triton: str,
        redis_url: str,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **sections: Mapping[str, Any],
    ) -> None:
        self.state = folder / "state"
        self.config = folder / "line.toml"
        self.log_path = folder / "line.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        content: dict[str, Mapping[str, Any]] = {
            "station": STATION,
            **{f"cameras.{name}": camera for name, camera in cameras.items()},
            "journal": {"directory": str(self.state)},
            "http": {"port": self._port},
            "log": {"format": "json"},
            **sections,
        }
        content["inference"] = {"url": triton} | dict(sections.get("inference", {}))
        content["redis"] = {"url": redis_url} | dict(sections.get("redis", {}))
        self.config.write_text(_toml(content), encoding="utf-8")
        self._prefix = list(prefix)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._lives_from = 0

    def __enter__(self) -> Line:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def start(self) -> None:
        """Start the process; returns at once."""
        assert self._process is None or self._process.poll() is not None, "it runs already"
        command = [sys.executable, "-m", "inspector", "run", "--config", str(self.config)]
        self._lives_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *command],
                env=_environment() | self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.config.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: int) -> None:
        """A signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs on."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=10)

    def stop(self, *, within_s: float = 12.0, number: int = signal.SIGTERM) -> float:
        """SIGTERM; the seconds until it ended with exit code 0."""
        started_s = time.monotonic()
        self.send(number)
        assert self.wait_end(within_s) == 0, self.log_tail()
        return time.monotonic() - started_s

    def wait_end(self, within_s: float) -> int:
        """The exit code."""
        assert self._process is not None
        try:
            return self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {within_s:g} s:\n{self.log_tail()}")

    def wait_ready(self, *, within_s: float = 60.0) -> None:
        """Until /readyz says 200."""

        def ready() -> bool:
            assert self.is_alive, self.log_tail()
            return self.get("/readyz")[0] == 200

        wait_for(ready, within_s=within_s, what="ready")

    def get(self, path: str) -> tuple[int, str]:
        """Status and text; status 0 while nobody listens."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, HTTPException):
            return 0, ""
        finally:
            connection.close()

    def scrape(self) -> Scrape:
        """What Prometheus would read now."""
        status, text = self.get("/metrics")
        assert status == 200, self.log_tail()
        return Scrape(text)

    def log(self, *, this_life: bool = True) -> list[dict[str, Any]]:
        """The log's lines."""
        return list(self._log_lines(self._lives_from if this_life else 0))

    def said(self, event: str) -> dict[str, Any]:
        """The one line of this life's log that says so."""
        lines = [line for line in self.log() if line["event"] == event]
        assert len(lines) == 1, f"{len(lines)} times {event!r}:\n{self.log_tail()}"
        return lines[0]

    def log_tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-3000:]

    def _log_lines(self, start: int) -> Iterator[dict[str, Any]]:
        with self.log_path.open("rb") as log:
            log.seek(start)
            for line in log:
                if line.startswith(b"{"):
                    yield json.loads(line)


def descendants(pid: int) -> dict[int, str]:
    """Every living process below this one, with its name."""
    parents: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            name = stat[stat.index("(") + 1 : stat.rindex(")")]
            state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
            if state != "Z":
                parents[int(folder.name)] = (int(parent), name)
    below: dict[int, str] = {}
    found = {pid}
    while found:
        found = {child for child, (parent, _) in parents.items() if parent in found}
        below |= {child: parents[child][1] for child in found}
    return below


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """Of a process, from /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise AssertionError(field)


def _toml(content: Mapping[str, Mapping[str, Any]]) -> str:
    """Strings, numbers, booleans and lists are the same in JSON and TOML."""
    return "\n".join(
        f"[{section}]\n"
        + "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in keys.items())
        for section, keys in content.items()
    )


def _environment() -> dict[str, str]:
    """Ours, without what would change the settings or speak to another systemd."""
    ours = ("INSPECTOR_", "NOTIFY_SOCKET", "WATCHDOG_", "CREDENTIALS_DIRECTORY")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}
