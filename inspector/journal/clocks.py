"""Reads the machine's clocks, and whether the wall clock is synchronised with a time server."""

from __future__ import annotations

import ctypes
import sys
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

from inspector.journal.station_time import Reading

NS_PER_MS = 1_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd touches it each time it has compared the clock with a server."""
_TIMESYNCD_EVERY_S = 2048
"""The longest time that it waits between two comparisons."""
_KERNEL_AGREES_S = 2.0
# https://man7.org/linux/man-pages/man2/adjtimex.2.html: struct timex on 64 bits.
_TIMEX_BYTES = 208
_STATUS_AT = slice(40, 44)
_SECONDS_AT = slice(72, 80)
_STA_UNSYNC = 0x0040
_IS_64_BIT = sys.maxsize > 2**32


def read_clocks() -> Reading:
    """Read the clocks now. Any thread."""
    return Reading(
        boot_id=_boot_id(),
        boot_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // NS_PER_MS,
        unix_ms=time.time_ns() // NS_PER_MS,
        is_synchronised=is_synchronised() is True,
    )


def is_synchronised() -> bool | None:
    """Whether the clock is synchronised with a time server now; None if that is unknown."""
    by_kernel = _synchronised_by_kernel()
    return _synchronised_by_timesyncd() if by_kernel is None else by_kernel


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return str(uuid.uuid4())  # of this process: the time before it was started is not known


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _synchronised_by_kernel() -> bool | None:
    """The kernel's answer, which changes when somebody sets the clock by hand."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if not _IS_64_BIT or _libc().adjtimex(timex) < 0:
        return None  # the sandbox of the unit, or a container, forbids the call
    status = int.from_bytes(timex.raw[_STATUS_AT], "little")
    kernel_s = int.from_bytes(timex.raw[_SECONDS_AT], "little")
    return not status & _STA_UNSYNC and abs(kernel_s - time.time()) <= _KERNEL_AGREES_S


def _synchronised_by_timesyncd() -> bool | None:
    with suppress(OSError):
        touched_s = _TIMESYNCD.stat().st_mtime
        # A clock that was set by hand since then is far from the time of that file.
        return 0 <= time.time() - touched_s <= 2 * _TIMESYNCD_EVERY_S
    return None
