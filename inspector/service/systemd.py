"""Reports the service's state to systemd, if systemd asked for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress

MICROSECONDS_PER_S = 1_000_000


class Notifier:
    """Sends sd_notify(3) messages to `$NOTIFY_SOCKET`; does nothing without one."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.is_ready_told = False
        """Whether READY=1 was sent: before that there is nothing to reload."""

    @property
    def watchdog_interval_s(self) -> float | None:
        """How often systemd expects WATCHDOG=1, or None."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return (
            int(microseconds) / MICROSECONDS_PER_S if microseconds.isdecimal() and for_us else None
        )

    def send(self, *assignments: str) -> bool:
        """Send lines such as READY=1; False while a systemd that listens reads nothing.

        Never waits. Each argument stays one line, whatever text is in it.
        """
        is_sent = not self._address or self._send(assignments)
        if "READY=1" in assignments:
            self.is_ready_told = is_sent
        return is_sent

    def _send(self, assignments: Sequence[str]) -> bool:
        lines = "\n".join(" ".join(line.splitlines()) for line in assignments)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            try:
                channel.sendto(lines.encode(), self._address)
            except BlockingIOError:
                return False
        return True
