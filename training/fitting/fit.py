"""Trains the detector: for a set time, from nothing, from a checkpoint or from a shipped model.

The learning rate follows the time used, not a number of passes, so that any stretch of time
ends with a finished model. What is kept and judged is the running average of the weights.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException, spawn

from training.data.boards import Board, DataSet
from training.errors import TrainingError, WrongInputError
from training.fitting.plan import Run, TrainOptions
from training.fitting.trainer import Trainer
from training.model import checkpoint
from training.model.network import Detector, Shape

_FEWEST_BOARDS = 8
_MOST_PROCESSES, _MOST_WORKERS = 8, 16
_CACHE_BYTES, _MEMORY_SHARE = 3_000_000_000, 0.25
_LONGEST_PAUSE = timedelta(days=30)
_REFUSED = "refused"


def train(boards: DataSet, options: TrainOptions) -> Path:
    """Train and return the path of the checkpoint.

    A failure leaves the last checkpoint in place. Raises WrongInputError: too few boards, no
    references for a golden variant, no GPU, or nothing to go on from; TrainingError: the folder
    cannot be written, a process of the training ended, or the loss is not finite.
    """
    _check(boards, options)
    if options.resume is not None:  # before any process starts, and a folder is made
        checkpoint.load(options.resume, Detector(Shape(boards.classes)), golden=options.golden)
    run = _run(boards, options)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{options.out}: cannot be made ({error.strerror})") from error
    if run.processes == 1:
        _train_one(0, run, None)
    else:
        _train_together(run)
    return options.checkpoint


def _run(boards: DataSet, options: TrainOptions) -> Run:
    device, cores = _device(options.device), _cores()
    on_gpu = device == "cuda"
    processes = options.processes or (1 if on_gpu else min(cores, _MOST_PROCESSES))
    workers = (options.workers or min(cores, _MOST_WORKERS)) if on_gpu else 0
    learning, watching = _split(boards.train, options)
    recipe = replace(options.recipe.suited_to(boards.classes), golden=options.golden)
    return Run(
        shape=Shape(boards.classes),
        options=replace(options, recipe=recipe),
        device=device,
        learning=learning,
        watching=watching,
        processes=processes,
        workers=workers,
        cache_bytes=int(_cache_bytes() / max(processes, workers)),
        stretch=_digest(options.resume),
    )


def _digest(resume: Path | None) -> int:
    return 0 if resume is None else int(hashlib.sha256(resume.read_bytes()).hexdigest()[:16], 16)


def _cores() -> int:
    """Those that this process may use, in a container too."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache_bytes() -> float:
    """For pictures, in all processes together."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return _CACHE_BYTES
    return min(_CACHE_BYTES, _MEMORY_SHARE * physical)


def _train_together(run: Run) -> None:
    with tempfile.TemporaryDirectory() as meeting:
        try:
            spawn(_train_one, (run, meeting), nprocs=run.processes)
        except (ProcessRaisedException, ProcessExitedException) as error:
            for refusal in sorted(Path(meeting).glob(f"{_REFUSED}-*")):
                raise _refused(refusal) from error
            reason = str(error).strip().splitlines()[-1]
            raise TrainingError(
                f"{run.options.out}: a process of the training ended ({reason}); what was saved"
                " last is still there"
            ) from error


def _refused(refusal: Path) -> TrainingError:
    code, _, message = refusal.read_text(encoding="utf-8").partition(" ")
    wrong_input = int(code) == WrongInputError.exit_code
    return WrongInputError(message) if wrong_input else TrainingError(message)


def _train_one(rank: int, run: Run, meeting: str | None) -> None:
    cv2.setNumThreads(1)
    torch.manual_seed(run.options.seed)
    if meeting is None:
        Trainer(run, rank).train()
        return
    # How torch ends a process whose parent is gone; begun in a shell's background, it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(max(1, _cores() // run.processes))
    if sys.platform == "linux":  # nothing of a training is offered to the network
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{meeting}/meeting",
        rank=rank,
        world_size=run.processes,
        timeout=_LONGEST_PAUSE,  # a process that ended is noticed at once, by its connection
    )
    try:
        Trainer(run, rank).train()
    except TrainingError as error:  # its class and line would not reach the first process
        refusal = Path(meeting, f"{_REFUSED}-{rank}")
        refusal.write_text(f"{error.exit_code} {error}", encoding="utf-8")
        raise
    torch.distributed.destroy_process_group()


def _check(boards: DataSet, options: TrainOptions) -> None:
    count = len(boards.train)
    if count < _FEWEST_BOARDS:
        raise WrongInputError.found(
            boards.name, f"{count} boards to train on", f"at least {_FEWEST_BOARDS}"
        )
    without = [board.name for board in boards.train if board.reference is None]
    if options.golden and without:
        raise WrongInputError.found(
            boards.name,
            f"board {without[0]!r} has no defect-free reference",
            "one for every board, to train the golden variant",
        )


def _split(
    boards: tuple[Board, ...], options: TrainOptions
) -> tuple[tuple[Board, ...], tuple[Board, ...]]:
    """The same boards are kept out whatever the seed, so that stretches can be compared."""
    kept_out = min(options.validation_boards, len(boards) // 5)
    order = np.random.default_rng(1).permutation(len(boards))
    shuffled = [boards[index] for index in order]
    return tuple(shuffled[kept_out:]), tuple(shuffled[:kept_out])


def _device(wanted: str) -> str:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise WrongInputError.found("--device cuda", "torch sees no GPU", "one it can use")
    return ("cuda" if there else "cpu") if wanted == "auto" else wanted
