"""Shows the recorded lines and product runs to the optics guard: nothing of them may be refused.

    python -m benchmarks.optics.recorded
    … --painted NAMES      painted lines too, comma-separated (benchmarks/line/scenarios.py)

Frames as the presence trigger chooses them. The first 24 say what is usual, once vouched for and
once not. Exit code 1 where a frame is refused.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.line.footage import Footage, of_scene, of_video
from benchmarks.line.scenarios import MATRIX
from benchmarks.line.scene import Scene
from benchmarks.line.watching import CAMERA, Chosen, watch
from inspector.capture.optics import OpticsGuard, OpticsMemory
from inspector.core.errors import EndOfFootageError
from inspector.core.optics import Measure, Optics, OpticsBaseline
from inspector.core.records import FrameRef, Image
from inspector.pipeline.cameras import optics_limits
from inspector.settings.unit_sections import OpticsSettings

SHARED = Path(__file__).parents[3] / "shared/data"
LIMITS = optics_limits(OpticsSettings())
COLUMNS = ("frames", "refused", "warned", "light, % of usual", "spread %", "least contrast", "used")


@dataclass(slots=True)
class Judged:
    """What a guard said of a recording."""

    refused: list[str] = field(default_factory=list)
    warned: int = 0
    measures: list[Optics] = field(default_factory=list)
    usual: OpticsBaseline | None = None
    used: dict[Measure, float] = field(default_factory=dict)
    """The most of what may change, smoothed."""
    costs_ms: list[float] = field(default_factory=list)
    """CPU of each frame."""


def main() -> int:
    """Judge them; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--painted", metavar="NAMES", default="")
    cv2.setNumThreads(1)  # as the pipeline does
    refused, costs_ms = 0, list[float]()
    table = Table(title="optics guard", title_justify="left")
    for column in ("recording", "usual is", *COLUMNS):
        table.add_column(column)
    for footage in _footage(parser.parse_args().painted):
        chosen = {one.frame: one for one in watch(footage).chosen}
        pictures = dict(_pictures(footage, chosen))
        for name, memory in (
            ("vouched for", OpticsMemory(renewed_unix_s=1.0)),
            ("learned", OpticsMemory()),
        ):
            judged = judge(chosen, pictures, memory)
            table.add_row(footage.truth.name, name, *_cells(judged))
            refused += len(judged.refused)
            costs_ms += judged.costs_ms
    console = Console(width=200, highlight=False)
    console.print(table)
    console.print(
        f"CPU ms per frame: mean {np.mean(costs_ms):.3f}, median {np.median(costs_ms):.3f}"
    )
    return 1 if refused else 0


def judge(
    chosen: Mapping[int, Chosen], pictures: Mapping[int, Image], memory: OpticsMemory
) -> Judged:
    """What a guard of that memory says of the chosen frames, in their order."""
    guard, judged = OpticsGuard(LIMITS, camera=CAMERA, memory=memory), Judged()
    for number, picture in pictures.items():
        ref = FrameRef(
            camera_id=CAMERA,
            sequence=number,
            captured_mono_ns=time.monotonic_ns(),
            captured_unix_ns=time.time_ns(),
            outline=chosen[number].outline,
        )
        started_ns = time.thread_time_ns()
        optics, refused = guard.see(ref, picture)
        judged.costs_ms.append((time.thread_time_ns() - started_ns) / 1e6)
        if refused is not None:
            judged.refused.append(refused.detail)
        elif guard.cause:
            judged.warned += 1
        if optics is not None:
            judged.measures.append(optics)
        if guard.state is not None:
            for measure, used in guard.state.used.items():
                judged.used[measure] = max(used, judged.used.get(measure, 0.0))
    judged.usual = None if guard.state is None else guard.state.usual
    return judged


def _cells(judged: Judged) -> Iterator[str]:
    yield str(len(judged.measures))
    yield str(len(judged.refused)) + "".join(f" ({text})" for text in judged.refused[:1])
    yield str(judged.warned)
    usual = judged.usual
    if usual is None:
        yield from ("too few",) * 2
    else:
        shares = [round(100 * one.bright / usual.bright) for one in judged.measures]
        yield f"{min(shares)} to {max(shares)}"
        yield f"{100 * usual.bright_spread:.1f}"
    yield str(min(one.contrast for one in judged.measures))
    yield ", ".join(f"{measure} {used:.2f}" for measure, used in judged.used.items())


def _footage(painted: str) -> Iterator[Footage]:
    for folder in ("line", "runs"):
        yield from map(of_video, sorted((SHARED / folder).glob("*.mp4")))
    scenarios = {scenario.name: scenario for scenario in MATRIX}
    for name in filter(None, painted.split(",")):
        yield of_scene(Scene(scenarios[name], SHARED / "deeppcb.zip"))


def _pictures(footage: Footage, chosen: Mapping[int, Chosen]) -> Iterator[tuple[int, Image]]:
    source, number = footage.open(Event()), -1
    source.open()
    try:
        while True:
            source.grab()
            number += 1
            image = np.empty((footage.size[1], footage.size[0], 3), np.uint8)
            source.retrieve_into(image)
            if number in chosen:
                yield number, image
    except EndOfFootageError:
        return
    finally:
        source.close()


if __name__ == "__main__":
    raise SystemExit(main())
