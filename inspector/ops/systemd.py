"""Tells systemd what we are doing, when it asked to be told."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

MICROSECONDS_PER_S = 1_000_000
SEND_TIMEOUT_S = 0.5
"""A systemd that reads nothing must not hold up the event loop for longer."""


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
        """How often systemd wants to hear WATCHDOG=1, or None."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return (
            int(microseconds) / MICROSECONDS_PER_S if microseconds.isdecimal() and for_us else None
        )

    def send(self, *assignments: str) -> None:
        """Send lines such as READY=1; a systemd that does not listen is not our problem.

        Each argument stays one line, whatever text is in it.
        """
        self.is_ready_told |= "READY=1" in assignments
        if not self._address:
            return
        lines = "\n".join(" ".join(line.splitlines()) for line in assignments)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(SEND_TIMEOUT_S)
            channel.sendto(lines.encode(), self._address)
