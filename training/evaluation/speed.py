"""How long models take for one 640x640 frame, side by side on this machine; needs no torch.

Other detectors' files can be measured too: one float input of [N, 3, 640, 640] is all it asks for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from training.data.boards import FloatArray
from training.errors import TrainingError
from training.model.model_input import SIZE_PX
from training.model.onnx_detector import check_input, open_session

_WARM_UP = 5
_SEED = 4


@dataclass(frozen=True)
class Timing:
    """One model's times for a frame; the spread holds eight of ten rounds.

    On a machine that does other work, processor time says more than the wall clock.
    """

    model: Path
    megabytes: float
    median_ms: float
    low_ms: float
    high_ms: float
    processor_ms: float
    """Median, of all threads together."""


def compare(models: Sequence[Path], *, rounds: int, threads: int = 1) -> list[Timing]:
    """Run every model once per round, so that whatever else the machine does meets them alike.

    Each round begins with another model. Raises WrongInputError for a file that is no such model,
    TrainingError where one fails.
    """
    sessions = [_open(path, threads) for path in models]
    frame = np.random.default_rng(_SEED).random((1, 3, SIZE_PX, SIZE_PX), np.float32)
    taken_ms: list[list[tuple[float, float]]] = [[] for _ in models]
    for number in range(_WARM_UP + rounds):
        for turn in range(len(models)):
            at = (number + turn) % len(models)
            spent = _run_ms(models[at], sessions[at], frame)
            if number >= _WARM_UP:
                taken_ms[at].append(spent)
    timings = []
    for path, taken in zip(models, taken_ms, strict=True):
        wall, processor = np.array(taken).T
        median, low, high = np.percentile(wall, [50, 10, 90]).tolist()
        timings.append(
            Timing(path, path.stat().st_size / 1e6, median, low, high, float(np.median(processor)))
        )
    return timings


def print_timings(timings: Sequence[Timing], console: Console) -> None:
    """A table; the last column compares with the first model."""
    table = Table(box=SIMPLE)
    table.add_column("")
    headings = ("MB", "ms per frame", "8 of 10 rounds", "processor ms", "times the first")
    for heading in headings:
        table.add_column(heading, justify="right")
    for one in timings:
        table.add_row(
            one.model.name,
            f"{one.megabytes:.1f}",
            f"{one.median_ms:.1f}",
            f"{one.low_ms:.1f} to {one.high_ms:.1f}",
            f"{one.processor_ms:.1f}",
            f"{one.processor_ms / timings[0].processor_ms:.2f}",
        )
    console.print(table)


def _open(path: Path, threads: int) -> Any:
    session, _ = open_session(path, threads=threads)
    check_input(path, session)
    return session


def _run_ms(path: Path, session: Any, frame: FloatArray) -> tuple[float, float]:
    started, used = time.perf_counter(), time.process_time()
    try:
        session.run(None, {session.get_inputs()[0].name: frame})
    except Exception as error:  # onnxruntime's classes have no common base of their own
        raise TrainingError(f"{path}: failed on a frame ({error})") from error
    return 1000 * (time.perf_counter() - started), 1000 * (time.process_time() - used)
