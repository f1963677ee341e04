"""Where the log goes may fail in any way: verdicts go on, lines are lost and counted."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.kit.inspector_command import environment, settings_file
from tests.kit.line import Scrape, wait_for

SMALL_PIPE = 4096


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


class Service:
    """`inspector run` with Triton and Redis away, so that it has much to say at level debug."""

    def __init__(self, folder: Path, port: int, standard_error: int | None) -> None:
        self._port = port
        away = (
            '[inference]\nurl = "127.0.0.1:1"\n[redis]\nurl = "redis://127.0.0.1:1/0"\n'
            f'[http]\nport = {port}\n[log]\nlevel = "debug"\nformat = "json"\n'
        )
        file = settings_file(folder, away)
        command = [sys.executable, "-m", "inspector", "run", "--config", str(file)]
        if standard_error is None:
            command = ["bash", "-c", 'exec "$@" 2>&- 1>&-', "bash", *command]
        self.process = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if standard_error is None else standard_error,
            stderr=subprocess.DEVNULL if standard_error is None else standard_error,
            cwd=folder,
        )

    def get(self, path: str) -> str | None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def total(self, name: str) -> float:
        text = self.get("/metrics")
        return -1.0 if text is None else Scrape(text).total(name)

    @property
    def verdicts(self) -> float:
        return self.total("inspector_units_total")

    def goes_on(self, what: str) -> None:
        before = self.verdicts

        def more() -> bool:
            assert self.process.poll() is None, "it ended"
            return self.verdicts >= before + 8

        wait_for(more, within_s=60, what=f"verdicts {what}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=20)


@contextlib.contextmanager
def service(folder: Path, port: int, standard_error: int | None) -> Iterator[Service]:
    running = Service(folder, port, standard_error)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def test_a_pipe_that_nobody_reads_holds_up_nothing_and_the_loss_is_told(
    tmp_path: Path, port: int
) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
    with os.fdopen(reading, "rb") as log, service(tmp_path, port, writing) as running:
        os.close(writing)
        running.goes_on("come")
        lost = "inspector_log_lines_lost_total"

        # Refused at each look, in a line of some 100 kB.
        wrong = "".join(f'nobody_knows_this_key_{n:05} = "{n:040}"\n' for n in range(1000))
        with (tmp_path / "line.toml").open("a") as settings:
            settings.write(wrong)

        def enough() -> bool:
            running.process.send_signal(signal.SIGHUP)
            assert running.process.poll() is None
            return running.total(lost) > 0

        wait_for(enough, within_s=120, what="more was said than waits")
        running.goes_on("while nobody reads the log")
        told: list[int] = []

        def read() -> None:
            for line in log:
                entry = json.loads(line)
                if entry["event"] == "log lines were lost":
                    told.append(entry["lost"])

        reader = threading.Thread(target=read)
        reader.start()
        wait_for(lambda: told, within_s=20, what="the log says how many lines it lost")
        assert sum(told) <= running.total(lost)
        assert running.stop() == 0
        reader.join()


def _dead_reader() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


OUTLETS: dict[str, Callable[[], int | None]] = {
    "the reader died": _dead_reader,
    "the disk is full": lambda: os.open("/dev/full", os.O_WRONLY),
    "closed": lambda: None,
}


@pytest.mark.parametrize("what", OUTLETS)
def test_a_log_that_cannot_be_written_stops_nothing_not_even_a_start(
    tmp_path: Path, port: int, what: str
) -> None:
    descriptor = OUTLETS[what]()
    with service(tmp_path, port, descriptor) as running:
        running.goes_on(f"come though {what}")
        if descriptor is not None:
            assert running.total("inspector_log_lines_lost_total") > 0
            os.close(descriptor)
        assert running.stop() == 0


def test_a_pipe_that_nobody_reads_costs_a_stop_no_more_than_its_limit(
    tmp_path: Path, port: int
) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 1024)
    os.set_blocking(writing, True)
    with os.fdopen(reading, "rb"), service(tmp_path, port, writing) as running:
        os.close(writing)
        running.goes_on("come")
        assert running.stop() == 0


@pytest.mark.parametrize("outlet", ["/dev/full", "&-"])
def test_a_refusal_that_nobody_can_read_keeps_its_exit_code(tmp_path: Path, outlet: str) -> None:
    (tmp_path / "wrong.toml").write_text("[cameras]\n")
    ours = f"{sys.executable} -m inspector"
    for arguments, code in ((f"run --config {tmp_path}/wrong.toml", 78), ("run --bogus", 2)):
        done = subprocess.run(
            ["bash", "-c", f"exec {ours} {arguments} 2>{outlet}"],
            env=environment(),
            cwd=tmp_path,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        assert done.returncode == code, arguments


LIBRARY = """
import os, sys, threading
from inspector.ops import standard_error
standard_error.take_over()
standard_error.let_libraries_never_wait()
for _ in range(100):
    try:
        os.write(2, b"x" * 1000)
    except BlockingIOError:
        os.write(3, b"not held up")
        break
"""


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_library_that_prints_into_a_pipe_nobody_reads_is_not_held_up(kind: str) -> None:
    if kind == "pipe":
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
        ends: list[contextlib.AbstractContextManager[object]] = [os.fdopen(reading, "rb")]
    else:
        one, other = socket.socketpair()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_PIPE)
        writing = one.detach()
        ends = [other]
    told, telling = os.pipe()
    with contextlib.ExitStack() as stack:
        for end in ends:
            stack.enter_context(end)
        done = subprocess.run(
            ["bash", "-c", f'exec "{sys.executable}" -c "$0" 3>&{telling}', LIBRARY],
            env=environment(),
            stderr=writing,
            pass_fds=[telling],
            timeout=60,
            check=False,
        )
        assert os.get_blocking(writing) == (kind == "pipe"), "a pipe is not changed for others"
    os.close(writing)
    os.close(telling)
    with os.fdopen(told, "rb") as answer:
        assert answer.read() == b"not held up"
    assert done.returncode == 0
