"""`inspector demo`: everything on this machine, started by one command and ended by Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import AMBER, await_end, measured, needs_amber
from tests.kit.processes import descendants

FIRST_EVENT_WITHIN_S = 20.0
_EVENT = re.compile(r"\d\d:\d\d:\d\d\.\d{3}  \S+ +(PASSED|FAILED|NOT_INSPECTED) ")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_JUDGED = re.compile(r"\d\d:\d\d:\d\d\.\d{3}  \S+ +(PASSED|FAILED) ")
_SHARE = re.compile(r"│ +(.+?) +│ +(\d+ of \d+) │")
_ROW = re.compile(r"│ +(.+?) +│ +(\d+) │")


class Demo:
    """A demo as a person at the terminal sees it, line by line."""

    def __init__(self, *arguments: str) -> None:
        self._started_s = time.monotonic()
        self.first_event_s: float | None = None
        self.address: int | None = None
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inspector", "demo", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            if found := _ADDRESS.search(line):
                self.address = int(found[1])
            if _EVENT.match(line) and self.first_event_s is None:
                self.first_event_s = time.monotonic() - self._started_s
            yield line

    def press_ctrl_c(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)  # as a terminal sends it

    def wait_end(self) -> int:
        for _ in self.lines():
            pass
        return self._process.wait(timeout=10)

    def summary(self) -> dict[str, int]:
        after = self.output.partition("summary")[2]
        return {what: int(number) for what, number in _ROW.findall(after)}

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()


@pytest.fixture(autouse=True)
def _installed(triton: EmbeddedTriton) -> None:
    """So that what is timed here is a second start, whatever runs first."""
    assert triton.grpc_url


def test_a_demo_shows_events_soon_and_ends_with_its_summary() -> None:
    with contextlib.closing(Demo("--seconds", "8")) as demo:
        for line in demo.lines():
            if _EVENT.match(line):
                break
        assert demo.address is not None
        connection = HTTPConnection("127.0.0.1", demo.address, timeout=5)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        connection.close()
        below = descendants(demo.pid)
        assert {"tritonserver", "redis-server"} <= set(below.values())
        assert demo.wait_end() == 0, demo.output
        await_end(below)
    assert "(ends after 8 s; --seconds 0: at Ctrl-C)" in demo.output
    summary = demo.summary()
    assert demo.first_event_s is not None
    measured("first event, s", round(demo.first_event_s, 1))
    assert demo.first_event_s < FIRST_EVENT_WITHIN_S
    assert 0 < summary["units with a verdict"] < summary["frames captured"]
    assert summary.get("PASSED", 0) + summary.get("FAILED", 0) > 0


def test_a_demo_teaches_its_product_and_is_right_with_the_reference() -> None:
    with contextlib.closing(Demo("--seconds", "0")) as demo:
        judged: int | None = None
        for line in demo.lines():
            if "taught product=controller" in line:
                judged = 0
            if judged is not None and _JUDGED.match(line):
                judged += 1
                if judged == 3:
                    break
        demo.press_ctrl_c()
        assert demo.wait_end() == 0, demo.output
    assert re.search(r"set_product product=controller order=DEMO-1: accepted", demo.output)
    assert re.search(r"teach product=controller .*: accepted, from unit \d+ of top on", demo.output)
    rows = dict(_SHARE.findall(demo.output))
    right = {what: figure for what, figure in rows.items() if "compared with controller/1" in what}
    assert right, demo.output
    for figure in right.values():
        number, _of, total = figure.partition(" of ")
        assert number == total, demo.output
    # One picture alone cannot know that these places are the design's.
    assert rows["drawn good, by one picture alone: judged right"].startswith("0 of ")
    assert demo.summary()["judged as another product than was drawn"] == 0


def test_a_demo_prints_the_command_that_reads_its_events() -> None:
    with contextlib.closing(Demo("--seconds", "0")) as demo:
        for line in demo.lines():
            if _EVENT.match(line):
                break
        assert "(Ctrl-C ends)" in demo.output
        printed = re.search(r"^its events: (.+) --follow$", demo.output, flags=re.MULTILINE)
        assert printed is not None, demo.output
        read = subprocess.run(
            shlex.split(printed[1]), capture_output=True, text=True, timeout=40, check=False
        )
        demo.press_ctrl_c()
        assert demo.wait_end() == 0, demo.output
    header, *events = read.stdout.splitlines()
    assert header.split()[0] == "SEQ"
    assert events
    assert (read.returncode, read.stderr) == (0, "")


@needs_amber
def test_ctrl_c_drains_a_demo_of_recorded_footage_and_shows_its_summary() -> None:
    with contextlib.closing(Demo("--source", str(AMBER), "--seconds", "0")) as demo:
        events = 0
        for line in demo.lines():
            events += bool(_EVENT.match(line))
            if events == 5:
                break
        demo.press_ctrl_c()
        assert demo.wait_end() == 0, demo.output
    assert "Traceback" not in demo.output
    summary = demo.summary()
    assert 5 <= summary["units with a verdict"] < summary["frames captured"]
