"""Writes a checkpoint as the ONNX file that Triton serves."""

from __future__ import annotations

import copy
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.errors import TrainingError
from training.model import checkpoint as checkpoints
from training.model.model_input import SIZE_PX
from training.model.network import Cells, Detector, decode
from training.model.onnx_detector import CLASSES_KEY, GOLDEN_INPUT, INPUT_KEY, PLAIN_INPUT

OPSET = 17
INPUT, OUTPUT = "images", "output"
_BOX_TOLERANCE_PX, _SHARE_TOLERANCE = 0.05, 1e-4


class _Shipped(nn.Module):
    """The network with its raw numbers decoded: what leaves is pixels and probabilities."""

    def __init__(self, network: Detector) -> None:
        super().__init__()
        self.network = network
        cells = Cells.of(SIZE_PX, SIZE_PX)
        self.register_buffer("corners", cells.corners, persistent=False)
        self.register_buffer("anchors", cells.anchors, persistent=False)
        self.register_buffer("strides", cells.strides, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, 640, 640] float32 0..1 -> [N, 25200, 5 + classes]."""
        cells = Cells(self.corners, self.anchors, self.strides)
        return decode(self.network(images), cells)


def export(checkpoint: Path, model: Path) -> None:
    """Write `model`; the file appears only once onnxruntime has agreed with torch about it.

    Batch normalisation stays a node of its own: every runtime folds it when it loads the file,
    and the weights keep their names, so that training can go on from the file alone.

    Raises WrongInputError for what is no checkpoint, TrainingError where the two disagree, or the
    file cannot be written; an older one stays.
    """
    network, golden = checkpoints.restore(checkpoint)
    shipped = _Shipped(network).eval()
    part = model.with_name(f".{model.stem}.{os.getpid()}.onnx")
    try:
        model.parent.mkdir(parents=True, exist_ok=True)
        _write(shipped, part, network.shape.classes, golden=golden)
        _compare(shipped, part)
        part.replace(model)
    except OSError as error:
        raise TrainingError(f"{model}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            part.unlink()


def _write(shipped: _Shipped, path: Path, classes: tuple[str, ...], *, golden: bool) -> None:
    _trace(_with_random_weights(shipped), path)
    model = onnx.load(path)
    _fill(model, shipped.network.state_dict())
    # The exporter does not see that these follow from the input's size.
    numbers = model.graph.output[0].type.tensor_type.shape.dim
    numbers[1].dim_value, numbers[2].dim_value = len(shipped.corners), 5 + len(classes)
    onnx.helper.set_model_props(
        model,
        {CLASSES_KEY: ",".join(classes), INPUT_KEY: GOLDEN_INPUT if golden else PLAIN_INPUT},
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _with_random_weights(shipped: _Shipped) -> nn.Module:
    """The exporter keeps weights that are equal once, under the name of one of them."""
    other = copy.deepcopy(shipped)
    with torch.no_grad():
        for value in other.network.state_dict().values():
            if value.is_floating_point():
                value.uniform_()
    return other


def _trace(shipped: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        # The exporter that follows this one folds normalisation into the weights.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            shipped,
            (torch.zeros(1, 3, SIZE_PX, SIZE_PX),),
            path,
            dynamo=False,
            do_constant_folding=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            training=torch.onnx.TrainingMode.PRESERVE,
        )


def _fill(model: Any, weights: dict[str, Tensor]) -> None:
    """Give every weight its name in the network, and its value."""
    for initializer in model.graph.initializer:
        traced = initializer.name
        name = traced.removeprefix("network.")
        if name == traced:
            continue
        initializer.CopyFrom(numpy_helper.from_array(weights[name].numpy(), name))
        for node in model.graph.node:
            for index, taken in enumerate(node.input):
                if taken == traced:
                    node.input[index] = name


def _compare(shipped: nn.Module, path: Path) -> None:
    """One and three pictures, random ones and flat ones."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library loads
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(3)
    for count in (1, 3):
        pictures = rng.random((count, 3, SIZE_PX, SIZE_PX), np.float32)
        pictures[-1] = rng.random((3, 1, 1), np.float32)
        with torch.inference_mode():
            wanted = shipped(torch.from_numpy(pictures)).numpy()
        (found,) = session.run(None, {INPUT: pictures})
        boxes = float(np.abs(found[..., :4] - wanted[..., :4]).max())
        shares = float(np.abs(found[..., 4:] - wanted[..., 4:]).max())
        if boxes > _BOX_TOLERANCE_PX or shares > _SHARE_TOLERANCE:
            raise TrainingError(
                f"{path}: onnxruntime's boxes differ from torch's by up to {boxes:.3g} px and its"
                f" probabilities by {shares:.3g}, expected at most {_BOX_TOLERANCE_PX} and"
                f" {_SHARE_TOLERANCE}"
            )
