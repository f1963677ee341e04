from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.made import write_detector
from training.errors import TrainingError, WrongInputError
from training.model import checkpoint
from training.model.network import Detector, Shape

SIX = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
SMALL = Shape(SIX, widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1))


def trained(shape: Shape = SMALL, seed: int = 1) -> Detector:
    """Weights and running averages that differ from those a network begins with."""
    torch.manual_seed(seed)
    network = Detector(shape)
    network.train()
    for _ in range(3):
        network(torch.rand(2, 3, 64, 64))
    network.eval()
    return network


def outputs(network: Detector) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(torch.rand(2, 3, 64, 64, generator=torch.manual_seed(5)))


def write(path: Path, network: Detector, **changes: Any) -> Path:
    kept: dict[str, Any] = {"golden": False, "history": [{"steps": 3}]} | changes
    checkpoint.save(path, network, {"state": {}, "param_groups": []}, **kept)
    return path


def test_a_checkpoint_gives_back_what_was_kept(tmp_path: Path):
    network = trained()
    path = write(tmp_path / "checkpoint.pt", network)
    other = Detector(SMALL)
    assert not torch.equal(outputs(other), outputs(network))
    state = checkpoint.load(path, other, golden=False)
    assert torch.equal(outputs(other), outputs(network))
    assert state.history == [{"steps": 3}]
    assert state.optimiser == {"state": {}, "param_groups": []}
    restored, golden = checkpoint.restore(path)
    assert torch.equal(outputs(restored), outputs(network))
    assert (restored.shape, golden) == (SMALL, False)
    assert list(tmp_path.iterdir()) == [path]


def test_the_golden_variant_starts_from_a_plain_one_with_its_own_history(tmp_path: Path):
    network = trained()
    path = write(tmp_path / "checkpoint.pt", network)
    other = Detector(SMALL)
    state = checkpoint.load(path, other, golden=True)
    assert torch.equal(outputs(other), outputs(network))
    assert (state.optimiser, state.history) == (None, [])


def test_training_goes_on_from_a_shipped_model(tmp_path: Path):
    from training.model.export import export  # noqa: PLC0415

    network = trained()
    model = tmp_path / "model.onnx"
    export(write(tmp_path / "checkpoint.pt", network), model)
    other = Detector(SMALL)
    state = checkpoint.load(model, other, golden=False)
    assert torch.equal(outputs(other), outputs(network))
    assert (state.optimiser, state.history) == (None, [])


def truncated(path: Path) -> None:
    whole = write(path, trained()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


FAULTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing": ("checkpoint.pt", lambda path: path),
    "truncated": ("checkpoint.pt", truncated),
    "empty": ("checkpoint.pt", lambda path: path.write_bytes(b"")),
    "text": ("checkpoint.pt", lambda path: path.write_text("no checkpoint")),
    "other pickle": ("checkpoint.pt", lambda path: torch.save({"weights": {}}, path)),
    "incomplete": ("checkpoint.pt", lambda path: torch.save({"format": 1}, path)),
    "random onnx": ("other.onnx", write_detector),
    "broken onnx": ("broken.onnx", lambda path: path.write_bytes(b"no model")),
    "classes": (
        "checkpoint.pt",
        lambda path: write(path, trained(Shape(("dent",), SMALL.widths, SMALL.depths))),
    ),
    "widths": (
        "checkpoint.pt",
        lambda path: write(path, trained(Shape(SIX, (8, 16, 16, 16, 16), SMALL.depths))),
    ),
}
REFUSED = {
    "missing": "checkpoint.pt: no such file, expected a checkpoint.pt or model.onnx",
    "truncated": "checkpoint.pt: cannot be read, expected a whole checkpoint",
    "empty": "checkpoint.pt: cannot be read, expected a whole checkpoint",
    "text": "checkpoint.pt: cannot be read, expected a whole checkpoint",
    "other pickle": "checkpoint.pt: something else, expected a checkpoint of this training",
    "incomplete": "checkpoint.pt: something else, expected a checkpoint of this training",
    "random onnx": "other.onnx: no weights 'stem.0.weight', expected a model of this network",
    "broken onnx": "broken.onnx: cannot be read, expected an ONNX model",
    "classes": "checkpoint.pt: weights 'heads.0.weight' are (18, 16, 1, 1), "
    "expected (33, 16, 1, 1) (classes or widths differ)",
    "widths": "checkpoint.pt: weights 'stage4.0.0.weight' are (16, 8, 3, 3), "
    "expected (8, 8, 3, 3) (classes or widths differ)",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_no_fitting_checkpoint_is_one_line(tmp_path: Path, fault: str):
    name, make = FAULTS[fault]
    path = tmp_path / name
    make(path)
    network = Detector(SMALL)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WrongInputError) as raised:
        checkpoint.load(path, network, golden=False)
    assert str(raised.value) == f"{tmp_path}/{REFUSED[fault]}"
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_network_of_other_depths_is_refused(tmp_path: Path):
    deeper = Detector(Shape(SIX, SMALL.widths, (1, 2, 1, 1)))
    path = write(tmp_path / "checkpoint.pt", trained())
    with pytest.raises(WrongInputError, match=r"checkpoint\.pt: .+, expected .+"):
        checkpoint.load(path, deeper, golden=False)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    path = write(tmp_path / "checkpoint.pt", trained())
    before = path.read_bytes()
    (tmp_path / "checkpoint.part").mkdir()  # in the way
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: cannot be written"):
        write(path, trained(seed=2))
    assert path.read_bytes() == before
