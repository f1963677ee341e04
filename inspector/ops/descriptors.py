"""How many files, sockets and pipes the process may have open, and who gets how many."""

from __future__ import annotations

import resource
from contextlib import suppress

WANTED = 65_536
"""Enough for anything; an unlimited number makes some programs that we start count through all."""
FOR_THE_LINE = 128
"""Journal, evidence, Redis, Triton, shared memory, the log."""
PER_CAMERA = 32
"""Its connections, also while one that is stuck is replaced, and what its libraries open."""
MOST_CONNECTIONS = 400
FEWEST_CONNECTIONS = 8


def raise_limit() -> int:
    """Let this process open as many as it may; returns how many. systemd gives 1024 at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft


def connections_of_http(descriptors: int, *, cameras: int) -> int:
    """How many connections HTTP may hold so that the line never lacks a descriptor: pure.

    Each may have a file open besides: a picture that is sent.
    """
    left = descriptors - FOR_THE_LINE - PER_CAMERA * cameras
    return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, left // 2))
