"""The receiving end of sd_notify(3)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path


class Systemd:
    """The receiving end of sd_notify(3): remembers what was said, and when."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self.said: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._listener = threading.Thread(target=self._listen, name="systemd")
        self._listener.start()

    def _listen(self) -> None:
        while said := self._socket.recv(4096).decode():
            self.said += [(time.monotonic(), line) for line in said.splitlines()]

    def close(self) -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as last:
            last.sendto(b"", self.address)
        self._listener.join()
        self._socket.close()

    def times(self, line: str) -> list[float]:
        return [at_s for at_s, said in list(self.said) if said == line]

    def silent_s(self, line: str) -> float:
        """Since it was said last."""
        return time.monotonic() - self.times(line)[-1]
