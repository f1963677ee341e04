"""`python -m training`: from a data set to a model file, and its numbers.

Exit codes: 0 done, 1 failed at run time, 2 usage, 78 wrong input (data set, picture, model,
checkpoint). A user's mistake is one line, `error: …`, and overwrites nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cv2
import typer
from rich.console import Console

from training.commands import (
    EvaluationRequest,
    fold_golden,
    install_model,
    quantise_trained,
    run_evaluation,
    show_classes,
    show_data_set,
)
from training.data.boards import DataSet
from training.data.opening import check_pictures, open_data_set
from training.errors import TrainingError, WrongInputsError
from training.evaluation.judging import THRESHOLDS, EvaluationOptions
from training.evaluation.speed import compare, print_timings

if TYPE_CHECKING:
    from training.fitting.plan import TrainOptions

EXIT_INTERRUPTED = 130
PROBLEMS_SHOWN = 50
DEFAULT_MODEL = Path("model_repository/pcb_detector/1/model.onnx")
FLOAT_MODEL = Path("deploy/triton/float/pcb_detector/1/model.onnx")
GOLDEN_MODEL = Path("model_repository/pcb_golden_inspection/1/model.onnx")
FLOAT_GOLDEN_MODEL = Path("deploy/triton/golden/pcb_detector_golden/1/model.onnx")

app = typer.Typer(
    help="From labelled pictures of boards to the detector's ONNX file.",
    rich_markup_mode="rich" if sys.stdout.isatty() and sys.stderr.isatty() else None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(
    highlight=False,
    soft_wrap=True,
    markup=False,
    emoji=False,
    width=None if sys.stdout.isatty() else 120,
)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

DataOption = Annotated[
    Path,
    typer.Option("--data", "-d", help="DeepPCB, YOLO or COCO: a folder, zip, YAML or JSON file."),
]
CacheOption = Annotated[
    Path | None, typer.Option(help="Where zip files are unpacked; else the user's cache folder.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the run; else runs/<data set>.")
]
ResumeOption = Annotated[
    Path | None, typer.Option(help="What to go on from: checkpoint.pt, or a float model.onnx.")
]
MinutesOption = Annotated[float, typer.Option(min=0.01, help="How long to train.")]
SeedOption = Annotated[
    int, typer.Option(min=0, help="The same seed, the same order of everything.")
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="auto: a GPU where there is one.")
]
GoldenOption = Annotated[
    bool, typer.Option("--golden", help="The variant that sees the defect-free board too.")
]
BatchOption = Annotated[
    int, typer.Option(min=2, help="Samples per step, in each process of the training.")
]
ProcessesOption = Annotated[
    int, typer.Option(min=0, help="Of the training; 0: one per core up to 8, one on a GPU.")
]
RateOption = Annotated[
    float | None,
    typer.Option(
        "--learning-rate", min=1e-6, max=1, help="The highest; else 0.002, resumed 0.001."
    ),
]
WatchedOption = Annotated[
    int,
    typer.Option(
        "--validation-boards", min=0, help="Kept out of training (a fifth at most) to watch it."
    ),
]
Int8Option = Annotated[
    bool, typer.Option("--int8/--float", help="What is served: INT8 for a CPU, or float for a GPU.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Of onnxruntime.")]


def main() -> int:
    """Run a command and return its exit code."""
    cv2.utils.logging.setLogLevel(
        0
    )  # a broken picture is one line of ours, not several of libpng's
    try:
        app()
    except SystemExit as ended:  # how typer ends, whatever came of it
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except TrainingError as error:
        told = error.lines if isinstance(error, WrongInputsError) else (str(error),)
        for line in told[:PROBLEMS_SHOWN]:
            errors.print(f"error: {line}", style="red")
        if len(told) > PROBLEMS_SHOWN:
            errors.print(f"error: and {len(told) - PROBLEMS_SHOWN} more", style="red")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


@app.command()
def prepare(data: DataOption, cache: CacheOption = None) -> None:
    """Unpacks and checks a data set, every label and picture of it, and says what is in it."""
    data_set = open_data_set(data, cache)
    pictures = check_pictures(data_set)
    show_data_set(data_set, console)
    console.print(f"{pictures} pictures can be read")


@app.command()
def train(  # noqa: PLR0917 - options, given by name
    data: DataOption,
    cache: CacheOption = None,
    out: OutOption = None,
    resume: ResumeOption = None,
    minutes: MinutesOption = 120.0,
    seed: SeedOption = 1,
    device: DeviceOption = "auto",
    golden: GoldenOption = False,  # noqa: FBT002
    batch: BatchOption = 16,
    processes: ProcessesOption = 0,
    learning_rate: RateOption = None,
    watched: WatchedOption = 40,
) -> None:
    """Trains for a set time and writes checkpoint.pt; goes on from one with --resume."""
    data_set = _checked_data_set(data, cache)
    options = _train_options(
        out=out or _folder_of(data_set, golden=golden),
        resume=resume,
        minutes=minutes,
        seed=seed,
        device=device,
        golden=golden,
        batch=batch,
        processes=processes,
        learning_rate=learning_rate,
        validation_boards=watched,
    )
    console.print(f"checkpoint: {_fit(data_set, options)}")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint (.pt), as `train` writes it.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="The ONNX file to write.")],
) -> None:
    """Writes a checkpoint as ONNX, after onnxruntime has agreed with torch about it."""
    _export(checkpoint, model)
    console.print(f"{model}: {model.stat().st_size / 1e6:.1f} MB")


@app.command()
def evaluate(  # noqa: PLR0917 - options, given by name
    data: DataOption,
    cache: CacheOption = None,
    model: Annotated[
        Path, typer.Option("--model", "-m", help="The ONNX file to judge.")
    ] = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the numbers; else the model's.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="A quick look at so many boards; writes no files.")
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="Instead of 0.3 to 0.9; repeatable.")
    ] = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 1,
) -> None:
    """Judges an ONNX file by the data set's test part; needs no torch."""
    options = EvaluationOptions(
        thresholds=tuple(sorted(threshold or THRESHOLDS)), limit=limit, threads=threads, seed=seed
    )
    request = EvaluationRequest(model, open_data_set(data, cache), options, out)
    run_evaluation(request, console)


@app.command()
def speed(
    model: Annotated[Path, typer.Option("--model", "-m", help="An ONNX file.")] = DEFAULT_MODEL,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another one, to compare with; repeatable.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each runs.")] = 50,
    threads: ThreadsOption = 1,
) -> None:
    """Measures what a 640x640 frame costs with onnxruntime, models taking turns; needs no torch."""
    print_timings(compare([model, *(against or [])], rounds=rounds, threads=threads), console)


@app.command("all")
def everything(  # noqa: PLR0917 - options, given by name
    data: DataOption,
    cache: CacheOption = None,
    out: OutOption = None,
    resume: ResumeOption = None,
    minutes: MinutesOption = 120.0,
    seed: SeedOption = 1,
    device: DeviceOption = "auto",
    golden: GoldenOption = False,  # noqa: FBT002
    batch: BatchOption = 16,
    processes: ProcessesOption = 0,
    learning_rate: RateOption = None,
    watched: WatchedOption = 40,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Else the model repository's.")
    ] = None,
    int8: Int8Option = True,  # noqa: FBT002
    threads: ThreadsOption = 1,
) -> None:
    """Prepares, trains, exports, quantises, evaluates; then puts models and numbers in place."""
    data_set = _checked_data_set(data, cache)
    options = _train_options(
        out=out or _folder_of(data_set, golden=golden),
        resume=resume,
        minutes=minutes,
        seed=seed,
        device=device,
        golden=golden,
        batch=batch,
        processes=processes,
        learning_rate=learning_rate,
        validation_boards=watched,
    )
    checkpoint = _fit(data_set, options)
    trained, served = options.out / "float.onnx", options.out / "model.onnx"
    _export(checkpoint, trained)
    if int8:
        quantise_trained(trained, served, data_set, console, golden=golden)
    else:
        install_model(trained, [], served)
    request = EvaluationRequest(served, data_set, EvaluationOptions(threads=threads), None)
    numbers = run_evaluation(request, console)
    if golden:
        target, place = _install_golden(trained, served, numbers, model)
    else:
        target, place = _install(trained, served, numbers, model)
    show_classes(target, place, data_set.classes, console)


def _install(
    trained: Path, served: Path, numbers: list[Path], model: Path | None
) -> tuple[Path, Path]:
    target = model or DEFAULT_MODEL
    place = FLOAT_MODEL if model is None else target.with_suffix(".float.onnx")
    install_model(trained, [], place)
    console.print(f"{place}, to go on from, is in place")
    install_model(served, numbers, target)
    console.print(f"{target} is in place")
    return target, place


def _install_golden(
    trained: Path, served: Path, numbers: list[Path], model: Path | None
) -> tuple[Path, Path]:
    """Served is one graph of everything around the network, so that cannot be judged itself."""
    target = model or GOLDEN_MODEL
    place = FLOAT_GOLDEN_MODEL if model is None else target.with_suffix(".float.onnx")
    install_model(trained, [], place)
    console.print(f"{place}, to go on from, is in place")
    folded = served.with_name("golden.onnx")
    fold_golden(served, folded)
    install_model(folded, [], target)
    for file in numbers:
        name = file.name.replace(served.stem, target.stem, 1)
        install_model(file, [], target.with_name(name))
    console.print(f"{target} is in place")
    return target, place


def _checked_data_set(data: Path, cache: Path | None) -> DataSet:
    data_set = open_data_set(data, cache)
    check_pictures(data_set)
    show_data_set(data_set, console)
    return data_set


def _folder_of(data_set: DataSet, *, golden: bool) -> Path:
    return Path("runs") / (data_set.name.lower() + ("-golden" if golden else ""))


def _train_options(**options: Any) -> TrainOptions:
    from training.drawing.recipe import BESIDE_REFERENCES, Recipe  # noqa: PLC0415
    from training.fitting.plan import TrainOptions  # noqa: PLC0415 - `evaluate` works without torch

    return TrainOptions(**options, recipe=BESIDE_REFERENCES if options["golden"] else Recipe())


def _fit(data_set: DataSet, options: TrainOptions) -> Path:
    from training.fitting.fit import train as fit  # noqa: PLC0415

    return fit(data_set, options)


def _export(checkpoint: Path, model: Path) -> None:
    from training.model.export import export as write_onnx  # noqa: PLC0415

    write_onnx(checkpoint, model)


if __name__ == "__main__":
    sys.exit(main())
