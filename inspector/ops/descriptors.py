"""Divides the files, sockets and pipes that the process may have open."""

from __future__ import annotations

import resource
from contextlib import suppress

WANTED = 65_536
"""Enough for anything; with an unlimited number some programs that we start iterate over all."""
FOR_THE_LINE = 128
"""Journal, evidence, Redis, Triton, shared memory, the log."""
PER_CAMERA = 32
"""Its connections, even while one that is stuck is replaced, and those of its libraries."""
MOST_CONNECTIONS = 400
FEWEST_CONNECTIONS = 8


def raise_limit() -> int:
    """Raise this process's limit as far as permitted; returns it. systemd's default is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft


def connections_of_http(descriptors: int, *, cameras: int) -> int:
    """How many connections HTTP may hold so that the line never lacks a descriptor: pure.

    Each may also have a file open: a picture that is sent.
    """
    left = descriptors - FOR_THE_LINE - PER_CAMERA * cameras
    return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, left // 2))
