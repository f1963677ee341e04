"""Which ensembles of a model repository the embedded server serves as one graph. Reads files.

An ensemble passes each tensor from process to process, which costs the shipped one a fifth of its
time. Served as one graph it answers the same, bit for bit; its folder and files stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from inspector.embedded.triton.one_graph import NotOneGraphError

CONFIG = "config.pbtxt"
SWITCH = "one_graph"
"""The parameter in an ensemble's config.pbtxt that, set to `false`, keeps it in steps."""
_NEWEST = -1
_THREADS = ("intra_op_thread_count", "inter_op_thread_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleStep:
    """One step: its own configuration and file, and the names around it."""

    name: str
    config: Any
    """model_config_pb2.ModelConfig."""
    file: Path
    inputs: dict[str, str]
    """From the model's own names to those of the ensemble."""
    outputs: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """An ensemble all of whose steps are ONNX models on the CPU."""

    name: str
    version: str
    config: Any
    """model_config_pb2.ModelConfig."""
    steps: tuple[EnsembleStep, ...]


def ensembles_in(repository: Path) -> Iterator[str]:
    """The names of all ensembles of a repository."""
    for config in sorted(repository.glob(f"*/{CONFIG}")):
        try:
            text = config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if "ensemble_scheduling" in text:
            yield config.parent.name


def read_ensemble(repository: Path, name: str) -> Ensemble:
    """An ensemble that can be served as one graph, as far as its configurations tell.

    Raises:
        NotOneGraphError: it cannot; Triton serves it, or refuses it, in steps.

    """
    folder = repository / name
    config = _read_config(folder)
    told = config.parameters
    if SWITCH in told and told[SWITCH].string_value.lower() == "false":
        raise NotOneGraphError(f"{name}: parameter {SWITCH} is false")
    if config.name not in ("", name):
        raise NotOneGraphError(f"{name}: it is named {config.name}")
    _require_plain(name, config)
    steps = tuple(
        _read_step(repository, step, config.max_batch_size)
        for step in config.ensemble_scheduling.step
    )
    if not steps:
        raise NotOneGraphError(f"{name}: it has no steps")
    if len({step.name for step in steps}) != len(steps):
        raise NotOneGraphError(f"{name}: one of its models is a step twice")
    _require_shapes_agree(name, config, steps)
    return Ensemble(name=name, version=_newest_version(folder), config=config, steps=steps)


def one_model_config(ensemble: Ensemble) -> Any:
    """The configuration of the one graph: a model_config_pb2.ModelConfig.

    It shows clients what the ensemble shows them. Batching, instances and threads are those of the
    largest step, which is the network; so is the warm-up, with the ensemble's inputs.
    """
    largest = max(ensemble.steps, key=lambda step: step.file.stat().st_size).config
    config = model_config_pb2.ModelConfig()
    config.CopyFrom(ensemble.config)
    config.ClearField("ensemble_scheduling")
    config.name = ensemble.name
    config.platform = "onnxruntime_onnx"
    config.instance_group.MergeFrom(largest.instance_group)
    if largest.HasField("dynamic_batching"):
        config.dynamic_batching.CopyFrom(largest.dynamic_batching)
        sizes = largest.dynamic_batching.preferred_batch_size
        fitting = [size for size in sizes if size <= config.max_batch_size]
        del config.dynamic_batching.preferred_batch_size[:]
        config.dynamic_batching.preferred_batch_size.extend(fitting)
    for key in _THREADS:
        if key in largest.parameters and key not in config.parameters:
            config.parameters[key].CopyFrom(largest.parameters[key])
    if not config.model_warmup and all(_is_fixed(tensor) for tensor in config.input):
        for warmup in largest.model_warmup:
            own = config.model_warmup.add(
                name=warmup.name, batch_size=warmup.batch_size, count=warmup.count
            )
            for tensor in config.input:
                own.inputs[tensor.name].data_type = tensor.data_type
                own.inputs[tensor.name].dims.extend(tensor.dims)
                own.inputs[tensor.name].zero_data = True
    return config


def _read_config(folder: Path) -> Any:
    config = model_config_pb2.ModelConfig()
    try:
        text_format.Parse((folder / CONFIG).read_text(encoding="utf-8"), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotOneGraphError(f"{folder.name}: {line}") from error
    return config


def _read_step(repository: Path, step: Any, batch: int) -> EnsembleStep:
    name = step.model_name
    folder = repository / name
    config = _read_config(folder)
    if step.model_version != _NEWEST or step.model_namespace:
        raise NotOneGraphError(f"{name}: the ensemble names a version or a namespace")
    if config.platform != "onnxruntime_onnx" and config.backend != "onnxruntime":
        raise NotOneGraphError(f"{name}: it is no ONNX model")
    _require_plain(name, config)
    kinds = {group.kind for group in config.instance_group}
    if kinds - {model_config_pb2.ModelInstanceGroup.KIND_AUTO, _ON_CPU}:
        raise NotOneGraphError(f"{name}: it is not for the CPU")
    if not config.input or not config.output:
        raise NotOneGraphError(f"{name}: {CONFIG} does not name its tensors")
    if (config.max_batch_size > 0) != (batch > 0) or config.max_batch_size < batch:
        raise NotOneGraphError(f"{name}: max_batch_size is {config.max_batch_size}, not {batch}")
    file = folder / _newest_version(folder) / (config.default_model_filename or "model.onnx")
    if not file.is_file():
        raise NotOneGraphError(f"{name}: {file.name} does not exist")
    return EnsembleStep(
        name=name,
        config=config,
        file=file,
        inputs=dict(step.input_map),
        outputs=dict(step.output_map),
    )


_ON_CPU = model_config_pb2.ModelInstanceGroup.KIND_CPU


def _require_plain(name: str, config: Any) -> None:
    """Refuse what the ONNX file does not tell, or what one graph would do differently."""
    special = (
        "version_policy",
        "sequence_batching",
        "model_transaction_policy",
        "response_cache",
        "model_operations",
    )
    for field in special:
        if config.HasField(field):
            raise NotOneGraphError(f"{name}: it has a {field}")
    if config.batch_input or config.batch_output:
        raise NotOneGraphError(f"{name}: it has tensors that the server makes")
    for tensor in (*config.input, *config.output):
        if tensor.HasField("reshape") or tensor.is_shape_tensor:
            raise NotOneGraphError(f"{name}: {tensor.name} is reshaped")
    if any(tensor.optional for tensor in config.input):
        raise NotOneGraphError(f"{name}: it has an optional input")


def _require_shapes_agree(name: str, config: Any, steps: tuple[EnsembleStep, ...]) -> None:
    """Refuse tensors that two configurations describe differently: Triton says what is wrong."""
    seen = {tensor.name: tensor for tensor in config.input}
    for step in steps:
        own = {tensor.name: tensor for tensor in step.config.input}
        for key, common in step.inputs.items():
            _require_same(f"{name}: {common} into {step.name}", seen.get(common), own.get(key))
        own = {tensor.name: tensor for tensor in step.config.output}
        for key, common in step.outputs.items():
            if key not in own:
                raise NotOneGraphError(f"{name}: {step.name} has no output {key}")
            seen[common] = own[key]
    for tensor in config.output:
        _require_same(f"{name}: {tensor.name}", seen.get(tensor.name), tensor)


def _require_same(what: str, given: Any, wanted: Any) -> None:
    if given is None or wanted is None:
        raise NotOneGraphError(f"{what}: there is no such tensor")
    if (given.data_type, list(given.dims)) != (wanted.data_type, list(wanted.dims)):
        raise NotOneGraphError(f"{what}: its type or shape differs")


def _is_fixed(tensor: Any) -> bool:
    return all(length > 0 for length in tensor.dims)


def _newest_version(folder: Path) -> str:
    versions = [int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal()]
    if not versions:
        raise NotOneGraphError(f"{folder.name}: it has no version")
    return str(max(versions))
