"""`inspector run` as its neighbours see it: a process, its HTTP side and its Redis streams.

Knows the contract (commands, keys, event fields, metric names) and nothing of what is inside.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from tests.kit.processes import arguments, descendants, is_running

ROOT = Path(__file__).parents[2]
AMBER = (ROOT / "../shared/data/line/amber.mp4").resolve()
PICTURE = "1280x720"
BOARD_REGION = [280, 0, 720, 720]
"""Where the boards of the line videos pass, at the picture's own scale."""
STATION = {"site": "test", "line": "one", "name": "aoi"}

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


def await_end(pids: Iterable[int]) -> None:
    """Killed is not gone yet: the kernel takes a moment to end a process."""
    wait_for(lambda: not any(map(is_running, pids)), within_s=5, what="all processes have ended")


def measured(what: str, value: object) -> None:
    """A figure for people: `pytest -rP` shows it."""
    print(f"{what}: {value}")  # noqa: T201


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
            mine = name == "inspector_frames_missed_total" and camera.items() <= labels.items()
            if mine and value > 0:
                missed[labels["reason"]] = missed.get(labels["reason"], 0) + int(value)
        return Frames(
            captured=int(self.total("inspector_frames_captured_total", **camera)),
            inspected=int(self.total("inspector_frames_inspected_total", **camera)),
            idle=int(self.total("inspector_frames_idle_total", **camera)),
            missed=missed,
        )


class Line:
    """One `inspector run`, that a test starts, stops, kills and starts again.

    The HTTP port and the state folder stay the same over restarts; the log goes on. With a
    `prefix`, a command that runs ours, signals go to ours all the same.
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
            # Drawn lines fail more often than a plant's: its rules have tests of their own.
            "process": {"same_place": 0, "failed": 0, "not_inspected": 0, "share": 0.0},
            **sections,
        }
        content["inference"] = {"url": triton} | dict(sections.get("inference", {}))
        content["redis"] = {"url": redis_url} | dict(sections.get("redis", {}))
        self.config.write_text(_toml(content), encoding="utf-8")
        self._prefix = list(prefix)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._lives_from = 0

    def __enter__(self) -> Self:
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
    def address(self) -> str:
        """HOST:PORT of the HTTP side."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        if not self._prefix:
            return self._process.pid
        below = descendants(self._process.pid)
        [ours] = [pid for pid in below if "\0inspector\0run\0" in arguments(pid)]
        return ours

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: int) -> None:
        """A signal to the process."""
        assert self.is_alive
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs on."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=10)

    def stop(self, *, within_s: float = 12.0, number: int = signal.SIGTERM) -> float:
        """SIGTERM; the seconds until it ended with exit code 0."""
        started_s = time.monotonic()
        self.send(number)
        code = self.wait_end(within_s)
        assert code == 0, f"exit code {code}:\n{self.log_tail()}"
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


@contextlib.contextmanager
def write_locked(journal: Path) -> Iterator[None]:
    """A journal whose disk does not answer: no write gets through while this lasts."""
    connection = sqlite3.connect(journal, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


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
