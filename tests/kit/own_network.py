"""Runs a test in a network of its own: with a loopback, and no way out.

GigE Vision cameras are looked for by broadcasts on every interface of the machine. A test of them
must not ask the machine's real network, nor find what is there.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 170.0


def in_own_network(body: Callable[[], object]) -> Callable[[], None]:
    """A test, without fixtures, whose body runs in a process and a network of its own."""

    @functools.wraps(body)
    def test() -> None:
        if shutil.which("unshare") is None or shutil.which("ip") is None:
            pytest.skip("needs unshare and ip (util-linux, iproute2)")
        command = ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        inside = 'ip link set lo up; exec "$@"'
        child = [sys.executable, "-m", "tests.kit.own_network", body.__module__, body.__qualname__]
        done = subprocess.run(
            [*command, "sh", "-c", inside, "sh", *child],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if "unshare failed" in done.stderr:
            pytest.skip(f"no network of its own on this machine: {done.stderr.strip()}")
        assert done.returncode == 0, done.stdout + done.stderr

    test.body = body  # type: ignore[attr-defined]
    return test


def main(module: str, name: str) -> None:
    """Run one such test's body here."""
    body = getattr(importlib.import_module(module), name).body
    if inspect.iscoroutinefunction(body):
        asyncio.run(body())
    else:
        body()


if __name__ == "__main__":
    main(*sys.argv[1:])
