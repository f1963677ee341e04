"""Keeps and restores weights: a checkpoint of a training run, or the model that was shipped."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from training.errors import TrainingError, WrongInputError
from training.model.network import Detector, Shape
from training.model.onnx_detector import is_quantised

_FORMAT = 1
_KEYS = {"format", "shape", "golden", "weights", "optimiser", "history"}


@dataclass(frozen=True)
class State:
    """What came with the weights; a shipped model has only weights."""

    optimiser: dict[str, Any] | None
    history: list[dict[str, Any]]


def save(
    path: Path,
    network: Detector,
    optimiser: dict[str, Any],
    *,
    golden: bool,
    history: list[dict[str, Any]],
) -> None:
    """Write a checkpoint in one step: a reader sees the old one or the new one, whole.

    Raises TrainingError where it cannot be written; the old one stays.
    """
    part = path.with_suffix(".part")
    kept = {
        "format": _FORMAT,
        "shape": asdict(network.shape),
        "golden": golden,
        "weights": network.state_dict(),
        "optimiser": optimiser,
        "history": history,
    }
    try:
        torch.save(kept, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises the second
        with suppress(OSError):
            part.unlink()
        raise TrainingError(f"{path}: cannot be written ({error})") from error


def load(path: Path, network: Detector, *, golden: bool) -> State:
    """Fill the network from checkpoint.pt, or from a model.onnx that `export` wrote.

    Raises WrongInputError: no such file, not one of the two, or of another shape.
    """
    if not path.is_file():
        raise WrongInputError.found(path, "no such file", "a checkpoint.pt or model.onnx")
    if path.suffix == ".onnx":
        weights, state = _from_onnx(path), State(None, [])
    else:
        kept = _from_checkpoint(path)
        weights = kept["weights"]
        same = kept["golden"] == golden
        state = State(kept["optimiser"] if same else None, kept["history"] if same else [])
    _fill(network, weights, path)
    return state


def restore(path: Path) -> tuple[Detector, bool]:
    """The network of a checkpoint, and whether it is a golden variant. For `export`."""
    if not path.is_file():
        raise WrongInputError.found(path, "no such file", "a checkpoint.pt")
    kept = _from_checkpoint(path)
    try:
        network = Detector(Shape(**kept["shape"]))
    except TypeError as error:  # of another version
        raise WrongInputError.found(
            path, "a network unknown here", "one of this version"
        ) from error
    _fill(network, kept["weights"], path)
    return network.eval(), bool(kept["golden"])


def _from_checkpoint(path: Path) -> dict[str, Any]:
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file fails in whatever part of pickle it reaches
        raise WrongInputError.found(path, "cannot be read", "a whole checkpoint") from error
    if not isinstance(kept, dict) or kept.get("format") != _FORMAT or not kept.keys() >= _KEYS:
        raise WrongInputError.found(path, "something else", "a checkpoint of this training")
    return kept


def _from_onnx(path: Path) -> dict[str, Tensor]:
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own error types are no stable interface
        raise WrongInputError.found(path, "cannot be read", "an ONNX model") from error
    if is_quantised(model.graph):
        raise WrongInputError.found(path, "quantised to INT8", "the float network it was made of")
    return {
        one.name: torch.from_numpy(numpy_helper.to_array(one).copy())
        for one in model.graph.initializer
    }


def _fill(network: Detector, weights: dict[str, Tensor], path: Path) -> None:
    """Counters of seen batches are not in a shipped model, and not needed."""
    wanted = {
        name: value
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    for name, value in wanted.items():
        found = weights.get(name)
        if found is None:
            raise WrongInputError.found(path, f"no weights {name!r}", "a model of this network")
        if found.shape != value.shape:
            raise WrongInputError.found(
                path,
                f"weights {name!r} are {tuple(found.shape)}",
                f"{tuple(value.shape)} (classes or widths differ)",
            )
    network.load_state_dict({name: weights[name] for name in wanted}, strict=False)
