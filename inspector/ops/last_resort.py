"""Ends this process if it gives no sign of life, where no supervisor does so."""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Callable

FEEDS_PER_LIMIT = 10
WORDS_BEFORE_S = 0.5
"""How long before the end the position of each thread is logged."""


class LastResort:
    """systemd's watchdog without systemd: a container engine starts an ended process again.

    The kernel's timer ends the process: it needs neither the event loop nor the interpreter's lock,
    which a library may hold for ever. Event loop only.
    """

    def __init__(self, limit_s: float, *, now_s: Callable[[], float] = time.monotonic) -> None:
        """Without a sign of life for `limit_s` the process ends by SIGALRM; 0: it never does."""
        self._limit_s = limit_s
        self._now_s = now_s
        self._fed_s = float("-inf")

    def feed(self) -> None:
        """A sign of life."""
        now_s = self._now_s()
        if not self._limit_s or now_s - self._fed_s < self._limit_s / FEEDS_PER_LIMIT:
            return
        self._fed_s = now_s
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        before_s = max(self._limit_s - WORDS_BEFORE_S, self._limit_s / 2)
        faulthandler.dump_traceback_later(before_s, file=2)

    def close(self) -> None:
        """Switch it off."""
        if self._limit_s:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
