"""What happens on small, full and hanging disks; run in a mount namespace, on a disk of its own.

    python -m tests.kit.evidence_disks SCENARIO DIRECTORY

A scenario asserts what it can say itself and prints what the test judges, as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from inspector.core.records import Result
from inspector.evidence.store import MAX_WAITING
from tests.kit.evidence_kit import (
    GB,
    SMALL,
    Kept,
    files_in,
    is_as_told,
    kept_in,
    noise,
    path_of,
    subject,
)

PICTURES = 10_000
FLOOR_BYTES = 1_000_000
CLEARED = ("disk", "evidence", False)
RAISED = ("disk", "evidence", True)


def free_bytes(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


def fsfreeze(what: str, mount: Path) -> None:
    subprocess.run(["fsfreeze", what, mount], check=True)


async def floor(mount: Path) -> dict[str, Any]:
    """10,000 pictures, every fourth not PASSED, and the least that was ever free."""
    least_free, most_kept = free_bytes(mount), 0
    async with kept_in(mount / "evidence", free_floor_gb=FLOOR_BYTES / GB) as kept:
        for start in range(0, PICTURES, MAX_WAITING):
            pending = []
            for number in range(start, min(start + MAX_WAITING, PICTURES)):
                result = Result.PASSED if number % 4 else Result.FAILED
                pending.append(kept.store.keep(SMALL.copy(), subject(str(number), result=result)))
            for answer in pending:
                evidence = await answer
                assert evidence is not None
                least_free = min(least_free, free_bytes(mount))
            most_kept = max(most_kept, kept.gauge_bytes)
        changes, failures, gauge_bytes = kept.changes, kept.failures, kept.gauge_bytes
    names = files_in(mount / "evidence")
    return {
        "least_free": least_free,
        "most_kept": most_kept,
        "gauge_bytes": gauge_bytes,
        "failures": failures,
        "changes": changes,
        "passed": sum("_PASSED_" in name for name in names),
        "failed": [int(name.split("_")[2]) for name in names if "_FAILED_" in name],
    }


async def no_names_left(mount: Path) -> dict[str, Any]:
    """There is room for bytes, and none for files."""
    async with kept_in(mount / "evidence") as kept:
        for _ in range(200):
            assert await kept.store.keep(SMALL.copy(), subject()) is not None
        return {"changes": kept.changes, "files": len(files_in(mount / "evidence"))}


async def somebody_else(mount: Path) -> dict[str, Any]:
    """Another program fills the disk, and later gives it back."""
    async with kept_in(mount / "evidence", free_floor_gb=FLOOR_BYTES / GB) as kept:
        before = [await kept.store.keep(SMALL.copy(), subject()) for _ in range(5)]
        (mount / "log").write_bytes(b"x" * (free_bytes(mount) - 8192))
        waits_s = []
        for _ in range(30):
            started_s = time.monotonic()
            assert await kept.store.keep(SMALL.copy(), subject()) is None
            waits_s.append(time.monotonic() - started_s)
        assert kept.changes == [RAISED]
        assert all(evidence is not None and is_as_told(evidence) for evidence in before)
        (mount / "log").unlink()
        await kept.until(lambda: kept.changes[-1] == CLEARED)  # without a picture
        assert await kept.store.keep(SMALL.copy(), subject()) is not None
        files = len(files_in(mount / "evidence"))
        return {
            "changes": kept.changes,
            "causes": kept.causes,
            "files": files,
            "wait_s": max(waits_s),
        }


async def hangs(mount: Path) -> dict[str, Any]:
    """The disk answers nothing at all for a while; verdicts must not notice."""
    async with kept_in(mount / "evidence", timeout_ms=200) as kept:
        told = [await _surely(kept) for _ in range(3)]
        await asyncio.to_thread(fsfreeze, "--freeze", mount)
        try:
            waits_s, longest_step_s = await _while_it_hangs(kept)
            assert kept.changes[-1] == RAISED
        finally:
            await asyncio.to_thread(fsfreeze, "--unfreeze", mount)
        await kept.until(lambda: kept.changes[-1] == CLEARED)
        told.append(await _surely(kept))
    return {
        "files": files_in(mount / "evidence"),
        "told": sorted(told),
        "waits_s": waits_s,
        "longest_step_s": longest_step_s,
    }


async def _surely(kept: Kept) -> str:
    evidence = None
    while evidence is None:  # 200 ms may be short for a loaded machine's real disk
        evidence = await kept.store.keep(noise(64), subject())
    assert is_as_told(evidence)
    return str(path_of(evidence).relative_to(kept.directory))


async def _while_it_hangs(kept: Kept) -> tuple[list[float], float]:
    waits_s, longest_step_s = [], 0.0
    for _ in range(4 * MAX_WAITING):
        started_s = time.monotonic()
        answer = kept.store.keep(SMALL.copy(), subject())
        longest_step_s = max(longest_step_s, time.monotonic() - started_s)
        assert await answer is None
        waits_s.append(time.monotonic() - started_s)
    return waits_s, longest_step_s


async def endless(directory: Path) -> dict[str, Any]:
    """Write until killed, and tell every picture that is kept."""
    large = noise(2000)  # takes its time to write
    async with kept_in(directory) as kept:
        for number in itertools.count():
            picture = large.copy() if number % 3 else SMALL.copy()
            evidence = await kept.store.keep(picture, subject(str(number)))
            if evidence is not None:
                told = [str(path_of(evidence)), evidence.sha256]
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()
    return {}


SCENARIOS: dict[str, Callable[[Path], Coroutine[Any, Any, dict[str, Any]]]] = {
    scenario.__name__: scenario
    for scenario in (floor, no_names_left, somebody_else, hangs, endless)
}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(SCENARIOS[sys.argv[1]](Path(sys.argv[2])))))
