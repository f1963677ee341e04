"""What the presence trigger costs: CPU per frame, of an empty belt and with boards on it.

    python -m benchmarks.presence_cost                     the line videos, and three painted lines
    python -m benchmarks.presence_cost VIDEO.mp4 …         others, their truth in VIDEO.json
    python -m benchmarks.presence_cost --generated NAMES   painted lines, comma-separated
    … --require-ms 2   exit 1 where a line's mean per frame is above

CPU time of the thread, so that decoding and other programs do not count. It also says how well
the frames are chosen: units, and how far the corners of their outlines are from the truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.line.footage import Footage, of_scene, of_video
from benchmarks.line.scenarios import MATRIX
from benchmarks.line.scene import Scene
from benchmarks.line.watching import Watched, watch

SHARED = Path(__file__).parents[2] / "shared/data"
PAINTED = "long_gaps,close_together,top_to_bottom"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code."""
    options = _parser().parse_args(arguments)
    cv2.setNumThreads(1)  # as the pipeline does
    table = Table(title="presence trigger, CPU ms per frame (mean / p95)", title_justify="left")
    for column in ("line", "picture", "frames", "empty belt", "boards in view", "choosing", "all"):
        table.add_column(column)
    for column in ("boards", "units", "frames chosen", "corner error px, median / max"):
        table.add_column(column)
    slow = []
    for footage in _footage(options):
        watched = watch(footage)
        table.add_row(*_cells(watched))
        if options.require_ms and watched.mean_ms > options.require_ms:
            slow.append(f"{watched.name}: {watched.mean_ms:.2f} ms per frame")
    Console(width=200, highlight=False).print(table)
    for line in slow:
        sys.stderr.write(line + "\n")
    return 1 if slow else 0


def _footage(options: argparse.Namespace) -> Iterator[Footage]:
    names = options.generated
    if names is None:
        videos = options.videos or sorted((SHARED / "line").glob("*.mp4"))
        yield from map(of_video, videos)
        names = "" if options.videos else PAINTED
    scenarios = {scenario.name: scenario for scenario in MATRIX}
    for name in filter(None, names.split(",")):
        yield of_scene(Scene(scenarios[name], SHARED / "deeppcb.zip"))


def _cells(watched: Watched) -> list[str]:
    errors = watched.outline_errors_px()
    kinds = (watched.empty_ms, watched.with_boards_ms, watched.choosing_ms)
    everything = [ms for kind in kinds for ms in kind]
    return [
        watched.name,
        f"{watched.truth.width_px}x{watched.truth.height_px}",
        str(len(everything)),
        *(_mean(kind) for kind in (*kinds, everything)),
        str(len(watched.truth.boards)),
        str(len(watched.opened)),
        str(len(watched.chosen)),
        f"{np.median(errors):.2f} / {max(errors):.2f}" if errors else "",
    ]


def _mean(times_ms: Sequence[float]) -> str:
    if not times_ms:
        return ""
    return f"{np.mean(times_ms):.2f} / {np.quantile(times_ms, 0.95):.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--generated", metavar="NAMES")
    parser.add_argument("--require-ms", type=float, metavar="MS")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
