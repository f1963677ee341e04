"""Writes to standard error without blocking: a bounded queue, and a thread that empties it.

A log is never worth a verdict. The reader of our standard error may stop reading (a stuck log
driver, a stopped `tee`), die, or run out of disk. Then lines are lost and counted; nothing waits
and nothing fails.
"""

from __future__ import annotations

import atexit
import fcntl
import io
import os
import select
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

WAITING_BYTES = 1 << 20
"""How much may wait for a slow reader: some thousand lines. Further lines are lost."""
FLUSHED_WITHIN_S = 2.0
"""How long to wait at the end for a reader that has stopped reading."""
_STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


class Outlet:
    """Lines on their way to a descriptor. Any thread.

    When more than `WAITING_BYTES` wait, and when the descriptor fails, lines are dropped and
    counted in `lost`; once some get through again, `on_flowing` is called with how many were lost.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        # Reentrant: a destructor that runs in the middle of `put` may log something itself.
        self._lock = threading.RLock()
        self._waiting_bytes = 0
        self._lost = 0
        self._told = 0
        self._is_torn = False
        self._is_flowing = False
        self.on_flowing: Callable[[int], None] = lambda _lost: None
        threading.Thread(target=self._work, name="log", daemon=True).start()

    @property
    def lost(self) -> int:
        """Lines that were dropped since the start."""
        return self._lost

    def put(self, lines: bytes) -> None:
        """Queue lines for writing, or drop them; never waits, never fails."""
        with self._lock:
            is_room = self._waiting_bytes + len(lines) <= WAITING_BYTES
            if is_room:
                self._waiting_bytes += len(lines)
            else:
                self._lost += _lines_in(lines)
        if is_room:
            self._queue.put(lines)

    def flush(self, timeout_s: float = FLUSHED_WITHIN_S) -> bool:
        """Wait until earlier lines are written or lost; False if that takes too long."""
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout_s)

    def _work(self) -> None:
        while True:
            lines = self._queue.get()
            if isinstance(lines, threading.Event):
                lines.set()
            else:
                is_written = self._write(lines)
                with self._lock:
                    self._waiting_bytes -= len(lines)
                    self._lost += 0 if is_written else _lines_in(lines)
                    self._is_flowing = is_written
            if self._is_flowing and self._queue.empty():
                self._tell()

    def _tell(self) -> None:
        with self._lock:
            lost, self._told = self._lost - self._told, self._lost
        if lost:
            with suppress(Exception):
                self.on_flowing(lost)

    def _write(self, lines: bytes) -> bool:
        rest = memoryview(b"\n" + lines if self._is_torn else lines)
        whole = len(rest)
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    room = select.poll()
                    room.register(self._descriptor, select.POLLOUT)
                    room.poll()
        except OSError:
            # A full disk accepts the beginning of a line: the next one must not continue it.
            self._is_torn |= 0 < len(rest) < whole
            return False
        self._is_torn = False
        return True


class OutletStream(io.TextIOBase):
    """The replacement of `sys.stderr` in front of an outlet. Any thread."""

    encoding = "utf-8"
    errors: str | None = "backslashreplace"

    def __init__(self, outlet: Outlet, descriptor: int) -> None:
        self._outlet = outlet
        self._descriptor = descriptor
        self._held = ""
        self._lock = threading.RLock()
        self.buffer = _OutletBuffer(outlet)

    def write(self, text: str) -> int:
        """Pass on whole lines at once; an incomplete one waits for `flush`."""
        with self._lock:
            lines, ending, self._held = (self._held + text).rpartition("\n")
        if ending:
            self._put(lines + ending)
        return len(text)

    def flush(self) -> None:
        """Pass on an incomplete line, too; never waits."""
        with self._lock:
            held, self._held = self._held, ""
        if held:
            self._put(held)

    def writable(self) -> bool:
        """Always true."""
        return True

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """The descriptor behind it."""
        return self._descriptor

    def _put(self, text: str) -> None:
        self._outlet.put(text.encode("utf-8", "backslashreplace"))


class _OutletBuffer(io.RawIOBase):
    """The stream's bytes: each write is of whole lines."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def write(self, lines: Any, /) -> int:
        whole = bytes(lines)
        self._outlet.put(whole)
        return len(whole)

    def writable(self) -> bool:
        return True


_outlet: Outlet | None = None


def take_over() -> None:
    """From now on `sys.stderr` never waits and never fails. Once per process, before anything else.

    A closed descriptor is opened on /dev/null: otherwise the next file or socket would get its
    number, and output of libraries would be written into it.
    """
    global _outlet  # noqa: PLW0603 - there is one standard error
    for number, name, mode in _STREAMS:
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    descriptor = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3)
    _outlet = Outlet(descriptor)
    sys.stderr = OutletStream(_outlet, descriptor)
    # Includes a traceback that Python prints at its end. If `main` ends the process, it does that.
    atexit.register(flush)


def flush() -> None:
    """Write out waiting lines, within a time limit."""
    if _outlet is not None:
        with suppress(Exception):
            sys.stderr.flush()
        _outlet.flush()


def lost_lines() -> int:
    """Lines for standard error that were lost since the start."""
    return 0 if _outlet is None else _outlet.lost


def tell_of_losses(on_flowing: Callable[[int], None]) -> None:
    """Have `on_flowing` called with the number of lines lost, whenever lines get through again."""
    if _outlet is not None:
        _outlet.on_flowing = on_flowing


def let_libraries_never_wait() -> None:
    """Drop direct output of libraries if it would wait for its reader.

    A thread of FFmpeg, OpenCV or gRPC that blocks in write(2) stops a camera or a model. A pipe of
    our own is not used: output of a library before it aborts would be lost in it.
    """
    for number in (1, 2):
        with suppress(OSError):
            _never_wait(number)


def _never_wait(number: int) -> None:
    kind = os.fstat(number).st_mode
    if stat.S_ISREG(kind):
        return
    try:
        # The descriptor as it is may be shared with a shell or another program: this one is ours.
        ours = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        # A socket cannot be opened, nor another user's pipe. systemd and container engines make
        # one for each service.
        if stat.S_ISSOCK(kind) or stat.S_ISFIFO(kind):
            os.set_blocking(number, False)
        return
    os.dup2(ours, number)
    os.close(ours)


def _lines_in(text: bytes) -> int:
    return max(1, text.count(b"\n"))
