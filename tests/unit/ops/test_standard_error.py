"""Lines for standard error: written, or lost and counted; nobody waits, nothing fails."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from inspector.ops.standard_error import WAITING_BYTES, Outlet, OutletStream
from tests.kit.line import wait_for

LINE = b"x" * 999 + b"\n"
SMALL_PIPE = 4096


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Of 4096 bytes, so that it is full soon."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
    with closing(os.fdopen(reading, "rb")), closing(os.fdopen(writing, "wb", closefd=False)):
        yield reading, writing


def told_by(outlet: Outlet) -> list[int]:
    told: list[int] = []
    outlet.on_flowing = told.append
    return told


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        outlet = Outlet(log.fileno())
        for number in range(500):
            outlet.put(b"%d\n" % number)
        assert outlet.flush(10)
    assert (tmp_path / "log").read_bytes().split() == [b"%d" % n for n in range(500)]
    assert outlet.lost == 0


def test_a_pipe_that_nobody_reads_costs_lines_and_nothing_else() -> None:
    with pipe() as (reading, writing):
        outlet = Outlet(writing)
        told = told_by(outlet)
        put = 3 * WAITING_BYTES // len(LINE)
        for _ in range(put):
            outlet.put(LINE)
        assert not outlet.flush(0.05), "the thread stands in write(2)"
        lost = outlet.lost
        assert lost > put // 2
        assert told == []
        read = 0
        while read < (put - lost) * len(LINE):
            read += len(os.read(reading, 65536))
        wait_for(lambda: told == [lost], within_s=10, what="it is said how many were lost")
        assert outlet.flush(10)
        os.close(writing)


def test_a_reader_that_died_costs_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    os.close(reading)
    for _ in range(5):
        outlet.put(b"one\ntwo\n")
    assert outlet.flush(10)
    assert outlet.lost == 10
    os.close(writing)


def test_a_full_disk_costs_lines_and_the_next_one_begins_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    really, room = os.write, [4]

    def write(descriptor: int, text: bytes) -> int:
        if descriptor != writing:
            return really(descriptor, text)
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = really(descriptor, bytes(text)[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    outlet = Outlet(writing)
    told = told_by(outlet)
    outlet.put(b"torn off\n")
    assert outlet.flush(10)
    room[0] = 1000
    outlet.put(b"whole\n")
    wait_for(lambda: told == [1], within_s=10, what="the loss is told")
    assert outlet.flush(10)
    os.close(writing)
    with os.fdopen(reading, "rb") as log:
        assert log.read() == b"torn\nwhole\n"


def test_a_pipe_that_does_not_block_is_waited_for_by_the_thread_alone() -> None:
    with pipe() as (reading, writing):
        os.set_blocking(writing, False)
        outlet = Outlet(writing)
        for _ in range(20):
            outlet.put(LINE)
        read = 0
        while read < 20 * len(LINE):
            read += len(os.read(reading, 65536))
        assert outlet.flush(10)
        assert outlet.lost == 0
        os.close(writing)


def test_a_stream_hands_on_whole_lines_and_the_rest_when_it_is_flushed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        outlet = Outlet(log.fileno())
        stream = OutletStream(outlet, log.fileno())
        stream.write("half ")
        assert outlet.flush(10)
        assert log.tell() == 0
        stream.write("a line, \udcff\nand ")
        stream.flush()
        stream.buffer.write(b"bytes\n")
        assert outlet.flush(10)
        assert not stream.isatty()
    assert (tmp_path / "log").read_bytes() == b"half a line, \\udcff\nand bytes\n"


ODD = """
import logging, structlog
from inspector.ops import standard_error
standard_error.take_over()
from inspector.ops.log import configure_logging
from inspector.settings.sections import LogSettings
configure_logging(LogSettings(format="json"))

class Odd:
    def __str__(self): raise ValueError("no")
    __repr__ = __str__

structlog.get_logger("a").warning("odd", value=Odd())
logging.getLogger("b").warning("%d of %s", "three")
structlog.get_logger("c").warning("after", value=1)
raise RuntimeError("the last word")
"""


def test_whatever_is_logged_stops_nobody_and_the_last_traceback_is_there() -> None:
    done = subprocess.run([sys.executable, "-c", ODD], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert '"a line could not be logged"' in lines[0]
    assert '"%d of %s (' in lines[1]
    assert '"after"' in lines[2]
    assert lines[-1] == "RuntimeError: the last word"
    assert done.returncode == 1


CLOSED = """
import os, sys
from inspector.ops import standard_error
standard_error.take_over()
first = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
print("to nobody", file=sys.stderr)
os.write(2, b"by a library")
standard_error.flush()
sys.exit(0 if first > 2 else 3)
"""


def test_a_standard_error_that_was_closed_lends_its_number_to_no_file(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    closing_it = f'exec "{sys.executable}" -c "$0" "{journal}" 2>&- 0<&-'
    done = subprocess.run(["bash", "-c", closing_it, CLOSED], check=False)
    assert done.returncode == 0
    assert journal.read_bytes() == b""
