"""The variants of the ensemble, and the model repository that serves them all at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "model_repository"
PYTHON_POSTPROCESSING = ROOT / "deploy/triton/postprocessing_python"
BATCH = 8


class Shape(StrEnum):
    """How the work is divided into models."""

    PYTHON_POST = "3 steps, post Python"
    ONNX_POST = "3 steps, post ONNX"
    FOLDED = "1 graph"


class Weights(StrEnum):
    """How the network computes."""

    FLOAT = "FP32"
    INT8 = "INT8"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to serve the same contract. `threads` and `instances` are the network's."""

    shape: Shape
    weights: Weights
    threads: int = 2
    instances: int = 1
    delay_us: int | None = 0
    """How long a request waits for company; None: no dynamic batching at all."""

    @property
    def model(self) -> str:
        """Name of the model a client calls."""
        return f"pcb_inspection_{self.network}_{self.shape.name.lower()}"

    @property
    def network(self) -> str:
        """Name of the network's own model; variants with equal networks share it."""
        queue = "single" if self.delay_us is None else f"{self.delay_us}us"
        return f"{self.weights.value.lower()}_{self.threads}t{self.instances}i_{queue}"


PRESENT = Variant(Shape.PYTHON_POST, Weights.FLOAT, delay_us=1000)
"""What was shipped before, and what every variant is compared with."""

DESIGN: tuple[Variant, ...] = (
    PRESENT,
    # Shape by weights ...
    *(Variant(shape, weights) for weights in Weights for shape in Shape),
    # ... threads by instances, where the network is a model of its own; one of the single graph ...
    *(
        Variant(Shape.ONNX_POST, weights, threads=threads, instances=instances)
        for weights in Weights
        for threads, instances in ((1, 1), (1, 2), (2, 2))
    ),
    Variant(Shape.FOLDED, Weights.INT8, threads=1, instances=2),
    # ... and the queue.
    *(Variant(Shape.ONNX_POST, Weights.INT8, delay_us=delay_us) for delay_us in (1000, None)),
)


def write_repository(
    folder: Path,
    variants: Iterable[Variant],
    networks: Mapping[Weights, Path],
    folded: Mapping[Weights, Path],
) -> None:
    """Fill an empty folder with the models of all variants; equal parts are there once.

    `folded` holds the single graphs, each made of the network of the same weights.
    """
    shutil.copytree(SHIPPED / "preprocessing", folder / "preprocessing")
    shutil.copytree(SHIPPED / "postprocessing", folder / "onnx_post")
    shutil.copytree(PYTHON_POSTPROCESSING, folder / "python_post")
    _rename(folder / "onnx_post")
    for variant in variants:
        if variant.shape is Shape.FOLDED:
            _write_folded(folder / variant.model, variant, folded[variant.weights])
            continue
        if not (folder / variant.network).exists():
            _write_network(folder / variant.network, variant, networks[variant.weights])
        _write_ensemble(folder / variant.model, variant)


def _write_network(model: Path, variant: Variant, network: Path) -> None:
    config = _config(SHIPPED / "pcb_detector")
    _tune(config, variant)
    _write(model, config, network.read_bytes())


def _write_folded(model: Path, variant: Variant, graph: Path) -> None:
    config = _config(SHIPPED / "pcb_detector")
    outer = _config(SHIPPED / "pcb_inspection")
    for field in ("input", "output"):
        del getattr(config, field)[:]
        getattr(config, field).extend(getattr(outer, field))
    del config.model_warmup[:]
    warm = config.model_warmup.add(name="one picture", batch_size=1).inputs["image"]
    warm.data_type, warm.zero_data = outer.input[0].data_type, True
    warm.dims.extend(outer.input[0].dims)
    _tune(config, variant)
    _write(model, config, graph.read_bytes())


def _write_ensemble(model: Path, variant: Variant) -> None:
    config = _config(SHIPPED / "pcb_inspection")
    parts = {
        "pcb_detector": variant.network,
        "postprocessing": "python_post" if variant.shape is Shape.PYTHON_POST else "onnx_post",
    }
    for step in config.ensemble_scheduling.step:
        step.model_name = parts.get(step.model_name, step.model_name)
    config.name = model.name
    _write(model, config, b"")


def _tune(config: model_config_pb2.ModelConfig, variant: Variant) -> None:
    config.instance_group[0].count = variant.instances
    config.parameters["intra_op_thread_count"].string_value = str(variant.threads)
    config.ClearField("dynamic_batching")
    if variant.delay_us is not None:
        config.dynamic_batching.max_queue_delay_microseconds = variant.delay_us
        if variant.delay_us:
            config.dynamic_batching.preferred_batch_size.extend([4, BATCH])


def _rename(model: Path) -> None:
    config = _config(model)
    config.name = model.name
    (model / "config.pbtxt").write_text(text_format.MessageToString(config))


def _config(model: Path) -> model_config_pb2.ModelConfig:
    text = (model / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def _write(model: Path, config: model_config_pb2.ModelConfig, graph: bytes) -> None:
    (model / "1").mkdir(parents=True)
    config.name = model.name
    (model / "config.pbtxt").write_text(text_format.MessageToString(config))
    (model / "1/.keep").touch()
    if graph:
        (model / "1/model.onnx").write_bytes(graph)
