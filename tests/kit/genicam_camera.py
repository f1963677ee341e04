"""Aravis' own GigE Vision camera: real protocol, drawn pictures."""

from __future__ import annotations

import ctypes.util
import shutil
import signal
import socket
import struct
import subprocess
import time
from typing import Self

import pytest

PROGRAM = "arv-fake-gv-camera-0.8"
_CONTROL_PORT = 3956
_WITHIN_S = 10.0

needs_aravis = pytest.mark.skipif(
    shutil.which(PROGRAM) is None or ctypes.util.find_library("aravis-0.8") is None,
    reason=f"needs {PROGRAM} and libaravis (apt install aravis-tools libaravis-0.8-0)",
)


class FakeCamera:
    """One camera at an address of this machine; in a network of the test's own."""

    def __init__(
        self, *, address: str = "127.0.0.1", serial: str = "GV01", lost_per_mille: int = 0
    ) -> None:
        self.address = address
        self._command = [PROGRAM, "-i", address, "-s", serial, "-r", str(lost_per_mille)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.power_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()

    def power_on(self) -> None:
        """As after a power cut: every feature at its default. Returns once it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until_s = time.monotonic() + _WITHIN_S
        while not answers(self.address):
            assert self._process.poll() is None, "the camera ended"
            assert time.monotonic() < until_s, "the camera does not answer"

    def power_off(self) -> None:
        """Gone in this moment."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def hang(self) -> None:
        """There, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Out of `hang`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def answers(address: str) -> bool:
    """Whether a camera there answers: a register is read as any program may."""
    ask = struct.pack(">BBHHHI", 0x42, 0x01, 0x0080, 4, 1, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.1)
        asking.connect((address, _CONTROL_PORT))
        try:
            asking.send(ask)
            return bool(asking.recv(64))
        except OSError:
            time.sleep(0.02)  # refused at once while nobody is there
            return False
