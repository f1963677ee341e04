"""What the commands do beyond calling one function: show, measure, put in place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from training.data.boards import DataSet
from training.drawing import defects
from training.errors import TrainingError
from training.evaluation.judging import EvaluationOptions, Progress, evaluate
from training.evaluation.report import print_evaluation, write_evaluation
from training.model.onnx_detector import OnnxDetector
from training.quantise import DRAWN, calibration_inputs, quantise
from training.repository import tell_classes


@dataclass(frozen=True)
class EvaluationRequest:
    """Which model to judge by what; `out` is the folder for the numbers, None: the model's."""

    model: Path
    data_set: DataSet
    options: EvaluationOptions
    out: Path | None


def show_data_set(data_set: DataSet, console: Console) -> None:
    """Boards and defects of each part, class by class, and what the set says of its use."""
    for name, boards in (("train", data_set.train), ("test", data_set.test)):
        present = np.concatenate([np.empty(0, np.int64), *(board.classes for board in boards)])
        counts = np.bincount(present, minlength=len(data_set.classes))
        each = ", ".join(f"{c} {n}" for c, n in zip(data_set.classes, counts, strict=True))
        good = sum(1 for board in boards if not len(board.classes))
        console.print(f"{data_set.name}, {name}: {len(boards)} boards, {good} of them good; {each}")
    if data_set.held_out:
        console.print("the set has no test part: a fifth is held out, by the hash of the names")
    for note in data_set.notes:
        console.print(f"note: {note}")
    if data_set.licence:
        console.print(data_set.licence)


def run_evaluation(request: EvaluationRequest, console: Console) -> list[Path]:
    """Evaluate with a progress bar, print the tables, and return the files written.

    A quick look (options.limit) is not written beside the model, where whole numbers stand.
    """
    detector = OnnxDetector.load(request.model, threads=request.options.threads)
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bars:
        rows: dict[str, TaskID] = {}

        def show(progress: Progress) -> None:
            if progress.title not in rows:
                rows[progress.title] = bars.add_task(progress.title, total=progress.total)
            bars.update(rows[progress.title], completed=progress.done)

        evaluation = evaluate(detector, request.data_set, request.options, show)
    print_evaluation(evaluation, console)
    if request.options.limit is not None and request.out is None:
        return []
    folder = request.out or request.model.parent
    written = write_evaluation(evaluation, folder / request.model.stem)
    console.print(f"written: {', '.join(map(str, written))}")
    return written


def quantise_trained(
    trained: Path, served: Path, data_set: DataSet, console: Console, *, golden: bool
) -> None:
    """Make the INT8 file of a trained one, calibrated with its own data set."""
    like_the_line = data_set.classes == defects.CLASSES
    inputs = calibration_inputs(data_set, golden=golden, drawn=DRAWN if like_the_line else 0)
    made = quantise(trained, served, inputs)
    console.print(f"{served}: INT8, calibrated with {made.pictures} pictures")


def fold_golden(network: Path, folded: Path) -> None:
    """Make the graph that is served of a golden network: bytes in, detections out."""
    from scripts.make_golden_onnx import golden_file  # noqa: PLC0415 - onnx takes a while

    try:
        folded.write_bytes(golden_file(network))
    except OSError as error:
        raise TrainingError(f"{folded}: cannot be written ({error.strerror})") from error


def show_classes(target: Path, place: Path, classes: Sequence[str], console: Console) -> None:
    """Have the repositories of both models name their classes, and say what settings need."""
    for path in (*tell_classes(target, classes), *tell_classes(place, classes)):
        console.print(f"{path} has the classes of this model now")
    if tuple(classes) != defects.CLASSES:
        console.print("in the line's settings, in [inspection]:")
        console.print(f"codes = {json.dumps(list(classes), ensure_ascii=False)}")


def install_model(model: Path, numbers: Sequence[Path], target: Path) -> None:
    """Put a model and its numbers where they are used; each file appears whole."""
    for source in (*numbers, model):  # the model last: its numbers are there when it is
        name = source.name.replace(model.stem, target.stem, 1)
        fresh = target.with_name(f".{name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, fresh)
            fresh.replace(target.with_name(name))
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise TrainingError(f"{target}: cannot be written ({error.strerror})") from error
