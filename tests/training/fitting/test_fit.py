from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.circuits import write_circuits
from training.data.boards import DataSet
from training.drawing.recipe import Recipe
from training.drawing.samples import Sampler
from training.errors import TrainingError, WrongInputError
from training.fitting import fit
from training.fitting.batches import batches, collate
from training.fitting.loss import Truth, loss_of
from training.fitting.plan import TrainOptions
from training.fitting.trainer import Trainer
from training.model import checkpoint
from training.model.network import Cells, Detector, Shape
from training.model.truth import NOTHING

SIZE_PX = 96
QUICK = Recipe(size_px=SIZE_PX, golden=False)
STALLED_S = 60


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_circuits(tmp_path_factory.mktemp("boards"))


@pytest.fixture(scope="module")
def first(boards: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a short training."""
    return fit.train(boards, options(tmp_path_factory.mktemp("first")))


def options(out: Path, *, minutes: float = 0.01, processes: int = 1) -> TrainOptions:
    return TrainOptions(
        out=out,
        minutes=minutes,
        processes=processes,
        batch=4,
        recipe=QUICK,
        validation_boards=1,
    )


def cost(network: Detector, boards: DataSet) -> float:
    """The loss on a fixed handful of samples."""
    sampler = iter(Sampler(boards.train, QUICK, seed=[99]))
    pictures, boxes, kinds = collate([next(sampler) for _ in range(12)])
    with torch.inference_mode():
        raw = network.eval()(pictures.permute(0, 3, 1, 2).float() / 255)
        return float(loss_of(raw, Truth(boxes, kinds), Cells.of(SIZE_PX, SIZE_PX)).total)


def entries(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_steps_lower_the_loss(boards: DataSet, tmp_path: Path):
    small = Shape(boards.classes, widths=(8, 16, 32, 32, 32), depths=(1, 1, 1, 1))
    run = replace(fit._run(boards, options(tmp_path)), shape=small)
    torch.manual_seed(1)
    trainer = Trainer(run, 0)
    cells = Cells.of(SIZE_PX, SIZE_PX)
    pictures, truth = next(batches(run, 0, torch.device("cpu")))
    trainer._network.train()
    trainer._set_rate(0.1)
    total = [sum(trainer._step(pictures, truth, cells, 0.1)[0]) for _ in range(60)]
    assert total[-1] < 0.4 * total[0]


def test_a_training_keeps_a_checkpoint_and_a_log(boards: DataSet, first: Path):
    network, golden = checkpoint.restore(first)
    assert (network.shape, golden) == (Shape(boards.classes), False)
    (entry,) = entries(first.parent)
    assert entry["steps"] >= 2
    assert 0 <= entry["camera_map"] <= 1
    assert {path.name for path in first.parent.iterdir()} == {"checkpoint.pt", "log.jsonl"}


def test_going_on_starts_from_what_was_learnt(
    boards: DataSet, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    resumed = fit.train(boards, replace(options(tmp_path), resume=first))
    assert "validation" in capsys.readouterr().out
    before, after = (checkpoint.restore(path)[0] for path in (first, resumed))
    assert cost(after, boards) < 1.2 * cost(before, boards)
    kept = checkpoint.load(resumed, after, golden=False)
    assert kept.history[0]["steps"] == entries(first.parent)[0]["steps"]


def test_weights_that_are_worse_do_not_replace_better_ones(
    boards: DataSet, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = fit._run(boards, replace(options(tmp_path), resume=first))
    trainer = Trainer(run, 0)
    trainer._begin()
    trainer._best = 1.5  # better than any score
    good = (tmp_path / "checkpoint.pt").read_bytes()
    trainer._save(1.0, done=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == good
    assert (tmp_path / "latest.pt").is_file()
    assert "the best so far 1.5000: they are kept as" in capsys.readouterr().out
    trainer._best = 0.0
    trainer._save(2.0, done=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() != good


def test_another_training_in_the_same_folder_leaves_the_first_ones_checkpoint(
    boards: DataSet, first: Path, tmp_path: Path
):
    (tmp_path / "checkpoint.pt").write_bytes(first.read_bytes())
    fit.train(boards, options(tmp_path))
    assert (tmp_path / "previous.pt").read_bytes() == first.read_bytes()
    assert (tmp_path / "checkpoint.pt").read_bytes() != first.read_bytes()


def test_another_stretch_sees_other_samples(boards: DataSet, first: Path, tmp_path: Path):
    fresh = fit._run(boards, options(tmp_path))
    resumed = fit._run(boards, replace(options(tmp_path), resume=first))
    assert fresh.stretch == 0
    assert resumed.stretch == fit._run(boards, replace(options(tmp_path), resume=first)).stretch
    assert resumed.stretch != 0


def test_two_processes_train_together(boards: DataSet, tmp_path: Path):
    path = fit.train(boards, options(tmp_path, processes=2))
    assert checkpoint.restore(path)[0].shape.classes == boards.classes
    assert len(entries(tmp_path)) == 1


def test_losing_a_process_ends_a_training_with_an_error(
    boards: DataSet, first: Path, tmp_path: Path
):
    failures: list[BaseException] = []

    def run() -> None:
        try:
            fit.train(boards, replace(options(tmp_path, minutes=60, processes=2), resume=first))
        except TrainingError as error:
            failures.append(error)

    training = threading.Thread(target=run)
    training.start()
    training_has_begun = tmp_path / "checkpoint.pt"
    pause = threading.Event()
    for _ in range(STALLED_S * 20):
        if training_has_begun.exists():
            break
        pause.wait(0.05)
    victim = multiprocessing.active_children()[-1]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    training.join(STALLED_S)
    assert not training.is_alive()
    (failure,) = failures
    assert f"{tmp_path}: a process of the training ended" in str(failure)
    assert checkpoint.restore(training_has_begun)
    assert not multiprocessing.active_children()


def test_what_a_process_refuses_is_the_same_one_line(boards: DataSet, tmp_path: Path):
    gone = tmp_path / "gone.png"
    data_set = replace(boards, train=tuple(replace(one, picture=gone) for one in boards.train))
    with pytest.raises(WrongInputError) as raised:
        fit.train(data_set, options(tmp_path / "out", processes=2))
    assert str(raised.value) == (
        f"{gone}: cannot be read (No such file or directory), expected a picture"
    )


def test_a_loss_that_is_not_finite_ends_the_training(boards: DataSet, tmp_path: Path):
    trainer = Trainer(fit._run(boards, options(tmp_path)), 0)
    for parameter in trainer._network.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss is not finite at step 1, expected a number"):
        trainer.train()
    assert not (tmp_path / "checkpoint.pt").exists()


def test_wrong_beginnings_are_refused_before_anything_is_written(
    boards: DataSet, first: Path, tmp_path: Path
):
    out = tmp_path / "out"
    few = replace(boards, train=boards.train[:7])
    with pytest.raises(WrongInputError, match="circuits: 7 boards to train on, expected at lea"):
        fit.train(few, options(out))
    bare = replace(boards, train=tuple(replace(one, reference=None) for one in boards.train))
    with pytest.raises(WrongInputError, match="board '0' has no defect-free reference"):
        fit.train(bare, replace(options(out), golden=True))
    with pytest.raises(WrongInputError, match=r"none\.pt: no such file, expected a checkpoint"):
        fit.train(boards, replace(options(out, processes=2), resume=tmp_path / "none.pt"))
    two = replace(boards, classes=("dent", "scratch"))
    with pytest.raises(WrongInputError, match=r"are \(33, 96, 1, 1\), expected \(21, 96, 1, 1\)"):
        fit.train(two, replace(options(out, processes=2), resume=first))
    if not torch.cuda.is_available():
        with pytest.raises(WrongInputError, match="--device cuda: torch sees no GPU, expected"):
            fit.train(boards, replace(options(out), device="cuda"))
    assert not out.exists()


def test_the_golden_variant_trains(boards: DataSet, tmp_path: Path):
    path = fit.train(boards, replace(options(tmp_path), golden=True))
    assert checkpoint.restore(path)[1]


def test_boards_without_any_defect_and_of_another_class_train(boards: DataSet, tmp_path: Path):
    good = tuple(replace(one, boxes=one.boxes[:0], classes=one.classes[:0]) for one in boards.train)
    data_set = replace(boards, classes=("dent",), train=good)
    path = fit.train(data_set, options(tmp_path))
    assert checkpoint.restore(path)[0].shape.classes == ("dent",)


def test_the_average_of_the_weights_follows_them(boards: DataSet, tmp_path: Path):
    trainer = Trainer(fit._run(boards, options(tmp_path)), 0)
    cells = Cells.of(SIZE_PX, SIZE_PX)
    pictures = torch.rand(4, 3, SIZE_PX, SIZE_PX)
    nothing = Truth(torch.zeros(4, 1, 4), torch.full((4, 1), NOTHING))
    trainer._network.train()
    for _ in range(5):
        trainer._set_rate(0.5)
        trainer._step(pictures, nothing, cells, 0.5)

    def flat(network: torch.nn.Module) -> Tensor:
        return torch.cat([value.flatten().float() for value in network.state_dict().values()])

    average, newest = flat(trainer._average.module), flat(trainer._network)
    start = flat(Trainer(fit._run(boards, options(tmp_path)), 0)._network)
    assert 0 < (average - newest).norm() < (start - newest).norm()


def test_the_learning_rate_rises_and_falls_to_nearly_nothing(boards: DataSet, tmp_path: Path):
    trainer = Trainer(fit._run(boards, options(tmp_path)), 0)

    def rate(part: float) -> float:
        trainer._set_rate(part)
        return float(trainer._optimiser.param_groups[0]["lr"])

    highest = options(tmp_path).highest_rate
    assert rate(0.0) < 0.01 * highest
    assert rate(0.01) < 0.6 * highest < 0.99 * highest < rate(0.02)
    assert rate(0.5) == pytest.approx(highest / 2)
    assert 0 < rate(1.0) == rate(1.2) < 0.01 * highest
