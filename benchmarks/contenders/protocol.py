"""What all contenders do alike: their arguments, the start, what is measured, the answer.

A contender runs in a process and an environment of its own. It loads, warms up, says "ready" on
stderr, waits for a line "go" on stdin, runs its frames and writes one line of JSON to stdout:

    frames, wall_s, cpu_s   of the timed part; user + system time of the process and its children
    rss_mib                 resident memory of the process and its children at its end
    detections              in all frames together: whoever sees none of a bad board, did nothing
    versions                of Python and of the packages that matter

Everything else that it or its packages print goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(height, width, 3) blue, green, red."""
Run = Callable[[int], int]
"""Runs so many frames through; returns the detections in all of them."""

SIZE_PX = (1280, 720)
"""Of the picture of noise that is sent where none is named."""
WARM_UP_FRAMES = 20
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGES_PER_MIB = (1 << 20) // os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Job:
    """What a contender is told."""

    url: str
    """Host and port of Triton's gRPC, or of its HTTP for a way that speaks HTTP."""
    model: str
    picture: Picture
    in_flight: int
    """Requests at a time, or pictures per request; 0 is the contender's own best number."""
    way: str
    """For a script that knows several."""


Enter = Callable[[Job], AbstractContextManager[Run]]
"""Connects, and disconnects at the end."""


def compete(enter: Enter, *, packages: Sequence[str], ways: Sequence[str] = ()) -> None:
    """Do all that the protocol asks for, with this contender. Uses the arguments of the process."""
    answers = _take_stdout()
    arguments = _parse(ways)
    job = Job(
        url=arguments.url,
        model=arguments.model,
        picture=_load(arguments.picture),
        in_flight=arguments.in_flight,
        way=arguments.way,
    )
    with enter(job) as run:
        run(WARM_UP_FRAMES)
        print("ready", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != "go":
            sys.exit("expected a line 'go' on stdin")
        answer = measured(run, arguments.frames)
    answer["versions"] = {"python": platform.python_version()} | {
        package: version(package) for package in packages
    }
    print(json.dumps(answer), file=answers, flush=True)


def measured(run: Run, frames: int) -> dict[str, Any]:
    """What it took to run so many frames."""
    cpu_before_s, started_s = cpu_s(), time.perf_counter()
    detections = run(frames)
    wall_s, used_s = time.perf_counter() - started_s, cpu_s() - cpu_before_s
    return {
        "frames": frames,
        "wall_s": round(wall_s, 4),
        "cpu_s": round(used_s, 4),
        "rss_mib": round(rss_mib(), 1),
        "detections": detections,
    }


def cpu_s() -> float:
    """User + system time so far, of this process and all it started; a tick is 10 ms for others."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    for pid in _descendants(os.getpid()):
        # utime, stime and those of its own ended children; the name before them may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used_s += sum(int(ticks) for ticks in fields[11:15]) / _TICKS_PER_S
    return used_s


def rss_mib() -> float:
    """Resident memory of this process and all it started; what they share counts for each."""
    pids = [os.getpid(), *_descendants(os.getpid())]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages / _PAGES_PER_MIB


def _descendants(pid: int) -> Iterator[int]:
    """All living ones; children belong to the thread that started them."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _parse(ways: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True, metavar="HOST:PORT")
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.npy", help="uint8, rows x columns x 3"
    )
    parser.add_argument("--in-flight", type=int, default=0, metavar="K")
    parser.add_argument("--way", choices=ways, required=bool(ways), default="")
    return parser.parse_args()


def _load(file: Path | None) -> Picture:
    if file is None:
        width_px, height_px = SIZE_PX
        return np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3), np.uint8)
    picture: Picture = np.load(file)
    if picture.dtype != np.uint8 or picture.ndim != len("hwc") or picture.shape[2] != len("bgr"):
        sys.exit(f"{file}: {picture.dtype} {picture.shape}, expected uint8 (rows, columns, 3)")
    return picture


def _take_stdout() -> TextIO:
    """The real stdout; what others print from now on goes to stderr, from C++ too."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers
