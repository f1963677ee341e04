"""Writes an ensemble of a model repository as one graph.

A program, because `onnx` needs 40 MB that a service of months has no other use for:

    python -m inspector.embedded.triton.joining REPOSITORY ENSEMBLE FOLDER

FOLDER gets `config.pbtxt` and `<version>/model.onnx`, and what `onnx_runs.py` needs to compare the
graph with its steps: `steps.json`, and `shown.onnx`, which also answers what passes between them.
If the ensemble cannot be one graph, one line on standard error says why, and the exit code is 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnx
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from inspector.embedded.triton.ensembles import (
    CONFIG,
    Ensemble,
    EnsembleStep,
    one_model_config,
    read_ensemble,
)
from inspector.embedded.triton.one_graph import (
    GraphStep,
    NotOneGraphError,
    one_graph,
    with_tensors_between,
)

STEPS, SHOWN = "steps.json", "shown.onnx"
_BATCHES = 1
"""The dimensions of a file's tensor that its configuration leaves out, where there are batches."""
_TYPES = {
    onnx.TensorProto.BOOL: model_config_pb2.TYPE_BOOL,
    onnx.TensorProto.UINT8: model_config_pb2.TYPE_UINT8,
    onnx.TensorProto.UINT16: model_config_pb2.TYPE_UINT16,
    onnx.TensorProto.UINT32: model_config_pb2.TYPE_UINT32,
    onnx.TensorProto.UINT64: model_config_pb2.TYPE_UINT64,
    onnx.TensorProto.INT8: model_config_pb2.TYPE_INT8,
    onnx.TensorProto.INT16: model_config_pb2.TYPE_INT16,
    onnx.TensorProto.INT32: model_config_pb2.TYPE_INT32,
    onnx.TensorProto.INT64: model_config_pb2.TYPE_INT64,
    onnx.TensorProto.FLOAT16: model_config_pb2.TYPE_FP16,
    onnx.TensorProto.FLOAT: model_config_pb2.TYPE_FP32,
    onnx.TensorProto.DOUBLE: model_config_pb2.TYPE_FP64,
}


def join(ensemble: Ensemble, folder: Path) -> None:
    """Write the graph, its configuration and the list of its steps into an empty folder.

    Raises:
        NotOneGraphError: it cannot be one graph.

    """
    graphs = []
    for step in ensemble.steps:
        model = _loaded(step)
        _require_as_configured(step, model, batched=ensemble.config.max_batch_size > 0)
        outputs = step.outputs
        if step is ensemble.steps[-1]:
            wanted = {tensor.name for tensor in ensemble.config.output}
            outputs = {key: common for key, common in outputs.items() if common in wanted}
        graphs.append(GraphStep(name=step.name, model=model, inputs=step.inputs, outputs=outputs))
    whole = one_graph(graphs)
    missing = {t.name for t in ensemble.config.output} - {t.name for t in whole.graph.output}
    if missing:
        raise NotOneGraphError(f"{', '.join(sorted(missing))} comes from a step before the last")
    try:
        onnx.checker.check_model(whole)
    except onnx.checker.ValidationError as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotOneGraphError(line) from error
    version = folder / ensemble.version
    version.mkdir()
    (version / "model.onnx").write_bytes(whole.SerializeToString(deterministic=True))
    config = text_format.MessageToString(one_model_config(ensemble))
    (folder / CONFIG).write_text(config, encoding="utf-8")
    shown, between = with_tensors_between(whole, graphs)
    (folder / SHOWN).write_bytes(shown.SerializeToString(deterministic=True))
    steps = [
        {"file": str(step.file.resolve()), "inputs": step.inputs, "outputs": step.outputs}
        for step in ensemble.steps
    ]
    compared = {"steps": steps, "shown": str(folder / SHOWN), "between": dict(between)}
    (folder / STEPS).write_text(json.dumps(compared), encoding="utf-8")


def _loaded(step: EnsembleStep) -> onnx.ModelProto:
    try:
        return onnx.load(step.file, load_external_data=False)
    except Exception as error:
        # protobuf's and the file system's errors have no common base class
        raise NotOneGraphError(f"{step.name}: {step.file.name} cannot be read: {error}") from error


def _require_as_configured(step: EnsembleStep, model: onnx.ModelProto, *, batched: bool) -> None:
    """Refuse a file that does not fit its configuration: in steps, the server says so."""
    constants = {constant.name for constant in model.graph.initializer}
    for kind, configured, listed in (
        ("input", step.config.input, [t for t in model.graph.input if t.name not in constants]),
        ("output", step.config.output, list(model.graph.output)),
    ):
        in_file = {tensor.name: tensor.type.tensor_type for tensor in listed}
        for tensor in configured:
            found = in_file.get(tensor.name)
            if found is None or _TYPES.get(found.elem_type) != tensor.data_type:
                raise NotOneGraphError(f"{step.name}: the file has no such {kind} {tensor.name}")
            lengths = _lengths(found)[_BATCHES if batched else 0 :]
            if not _fit(list(tensor.dims), lengths):
                raise NotOneGraphError(f"{step.name}: {kind} {tensor.name} has another shape")


def _lengths(tensor: Any) -> list[int]:
    return [d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim]


def _fit(configured: list[int], in_file: list[int]) -> bool:
    """A length that is free on either side matches any."""
    return len(configured) == len(in_file) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(configured, in_file, strict=True)
    )


def main(repository: str, name: str, folder: str) -> None:
    """Write one ensemble; a refusal is one line on standard error."""
    try:
        join(read_ensemble(Path(repository), name), Path(folder))
    except NotOneGraphError as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main(*sys.argv[1:])
