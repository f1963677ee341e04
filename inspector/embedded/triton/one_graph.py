"""Makes one ONNX graph of graphs that follow each other, for the same numbers with fewer copies.

Pure. Needs `onnx` and numpy only, because the training's scripts use it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    compose,
    helper,
    numpy_helper,
    shape_inference,
    version_converter,
)
from onnx.external_data_helper import uses_external_data

_DEFAULT_DOMAINS = ("", "ai.onnx")
_WHITE = np.float32(255)
_QUANTISE_INPUTS = 3
"""What is quantised, the step, and the zero point."""


class NotOneGraphError(ValueError):
    """The steps cannot be joined; says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphStep:
    """One graph, and the names that its tensors have between the steps."""

    name: str
    """Becomes the prefix of everything inside it."""
    model: ModelProto
    inputs: Mapping[str, str]
    """From the graph's own names to the common ones; all of its inputs."""
    outputs: Mapping[str, str]
    """As `inputs`; an output that is not listed is dropped."""


def one_graph(steps: Sequence[GraphStep]) -> ModelProto:
    """What the steps compute one after another, as one graph; the steps stay as they are.

    Its inputs are those of the first step, its outputs those of the last one, under their common
    names. The files' metadata are left out. Where the network begins by quantising what was bytes,
    the bytes enter as they are (see `let_bytes_in`).

    Raises:
        NotOneGraphError: a step needs something else than what the step before it gives, the
            graphs were made for different versions of ONNX and cannot be converted, or the weights
            of one lie in files of their own.

    """
    opset = max(_opset(step.model) for step in steps)
    format_version = max(step.model.ir_version for step in steps)
    whole: ModelProto | None = None
    given: Mapping[str, str] = {}
    for step in steps:
        part = _part(step, opset, format_version)
        if whole is None:
            whole = part
        else:
            _require_follows(step, given)
            pairs = [(given[common], own) for own, common in step.inputs.items()]
            whole = _merged(whole, part, step, pairs)
        given = {common: own for own, common in step.outputs.items()}
    assert whole is not None  # noqa: S101 - there is a step
    _rename(whole.graph, steps[0].inputs, steps[-1].outputs)
    whole.producer_name = "inspector"
    let_bytes_in(whole)
    return whole


def with_tensors_between(
    whole: ModelProto, steps: Sequence[GraphStep]
) -> tuple[ModelProto, Mapping[str, str]]:
    """A copy that also answers what passes between its steps, for a comparison with these.

    Returns it with the added outputs: the common name of each by its name in the graph. What
    `let_bytes_in` has dropped is not among them.
    """
    shown = ModelProto()
    shown.CopyFrom(whole)
    there = {output for node in whole.graph.node for output in node.output}
    added: dict[str, str] = {}
    for step in steps[:-1]:
        for tensor in step.model.graph.output:
            if tensor.name in step.outputs and tensor.name in there:
                added[tensor.name] = step.outputs[tensor.name]
                shown.graph.output.add().CopyFrom(tensor)
    return shown, added


def let_bytes_in(model: ModelProto) -> None:
    """Drop cast, division and quantisation where they cancel out: round(x / 255 * 255) is x.

    That is where bytes are cast to floats and divided by 255, and all that reads the quotient is
    one quantisation with a step of 1/255: the same numbers, without a float picture in between.
    """
    graph, bytes_in = model.graph, _bytes_in(model)
    constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer if not c.data_location}
    makers = {output: node for node in graph.node for output in node.output}
    for quantise in [node for node in graph.node if node.op_type == "QuantizeLinear"]:
        divide = makers.get(quantise.input[0])
        if divide is None or divide.op_type != "Div":
            continue
        cast = makers.get(divide.input[0])
        if cast is None or cast.op_type != "Cast" or not _is_white(constants, divide.input[1]):
            continue
        if not _is_byte_step(constants, quantise) or cast.input[0] not in bytes_in:
            continue
        dropped = (cast, divide, quantise)
        if any(_readers(graph, node.output[0]) != 1 for node in dropped[:2]):
            continue
        for node in graph.node:
            _replace(node, quantise.output[0], cast.input[0])
        for node in dropped:
            graph.node.remove(node)
        _drop_unused(graph, {name for node in dropped for name in node.input})


def _opset(model: ModelProto) -> int:
    return int(max(o.version for o in model.opset_import if o.domain in _DEFAULT_DOMAINS))


def _part(step: GraphStep, opset: int, format_version: int) -> ModelProto:
    """The step's graph with names of its own, and of the common version."""
    model = step.model
    if any(map(uses_external_data, model.graph.initializer)):
        raise NotOneGraphError(f"{step.name} keeps its weights in files of their own")
    listed = {tensor.name for tensor in model.graph.input}
    listed -= {constant.name for constant in model.graph.initializer}
    if listed != set(step.inputs):
        raise NotOneGraphError(
            f"the inputs of {step.name} are {_names(listed)}, but it is given {_names(step.inputs)}"
        )
    missing = set(step.outputs) - {tensor.name for tensor in model.graph.output}
    if missing:
        raise NotOneGraphError(f"{step.name} has no output {_names(missing)}")
    if _opset(model) != opset:
        described = list(model.graph.value_info)
        try:
            model = version_converter.convert_version(model, opset)
        except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise NotOneGraphError(
                f"{step.name} cannot be converted to version {opset} of ONNX: {line}"
            ) from error
        del model.graph.value_info[:]  # it describes every tensor
        model.graph.value_info.extend(described)
    part = compose.add_prefix(model, f"{step.name}/", rename_inputs=False, rename_outputs=False)
    others = {o.domain: o.version for o in part.opset_import if o.domain not in _DEFAULT_DOMAINS}
    used = {node.domain for node in _all_nodes(part.graph)}
    del part.opset_import[:]
    part.opset_import.append(helper.make_opsetid("", opset))
    for domain in sorted(used & others.keys()):
        part.opset_import.append(helper.make_opsetid(domain, others[domain]))
    part.ir_version = format_version
    part.ClearField("metadata_props")
    return part


def _require_follows(step: GraphStep, given: Mapping[str, str]) -> None:
    missing = set(step.inputs.values()) - given.keys()
    if missing:
        raise NotOneGraphError(
            f"{step.name} needs {_names(missing)}, which the step before it does not give"
        )


def _merged(
    whole: ModelProto, part: ModelProto, step: GraphStep, pairs: list[tuple[str, str]]
) -> ModelProto:
    # Tensors between the steps carry the names that the earlier graph gave them. An output with the
    # name of an input would be taken for that input.
    taken = {name for node in whole.graph.node for name in (*node.input, *node.output)}
    own = {output for node in part.graph.node for output in node.output}
    clash = (taken & own) - {tensor.name for tensor in part.graph.input}
    if clash:
        raise NotOneGraphError(f"{_names(clash)} of {step.name} is the name of another tensor")
    try:
        return compose.merge_models(whole, part, pairs, outputs=list(step.outputs))
    except (ValueError, onnx.checker.ValidationError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotOneGraphError(f"{step.name} cannot follow: {line}") from error


def _rename(graph: GraphProto, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Give inputs and outputs their common names; a node that only passes on costs nothing."""
    before, after = [], []
    for tensor in graph.input:
        own, common = tensor.name, inputs.get(tensor.name, tensor.name)
        if own != common:
            before.append(helper.make_node("Identity", [common], [own]))
            tensor.name = common
    kept = [tensor for tensor in graph.output if tensor.name in outputs]
    for tensor in kept:
        own, common = tensor.name, outputs[tensor.name]
        if own != common:
            after.append(helper.make_node("Identity", [own], [common]))
            tensor.name = common
    del graph.output[:]
    graph.output.extend(kept)
    if before or after:
        nodes = [*before, *graph.node, *after]
        del graph.node[:]
        graph.node.extend(nodes)


def _all_nodes(graph: GraphProto) -> Iterable[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _all_nodes(inner)


def _is_white(constants: Mapping[str, NDArray[Any]], name: str) -> bool:
    value = constants.get(name)
    return value is not None and value.size == 1 and value.dtype == np.float32 and value == _WHITE


def _is_byte_step(constants: Mapping[str, NDArray[Any]], quantise: NodeProto) -> bool:
    if len(quantise.input) != _QUANTISE_INPUTS:
        return False
    step, zero = (constants.get(name) for name in quantise.input[1:])
    if step is None or zero is None or zero.dtype != np.uint8 or zero.any():
        return False
    return bool(step == np.float32(1) / _WHITE)


def _bytes_in(model: ModelProto) -> set[str]:
    """The names of all tensors of bytes."""
    graph = shape_inference.infer_shapes(model).graph
    return {
        tensor.name
        for tensor in (*graph.input, *graph.value_info)
        if tensor.type.tensor_type.elem_type == TensorProto.UINT8
    }


def _readers(graph: GraphProto, name: str) -> int:
    inside = sum(name in node.input for node in _all_nodes(graph))
    return inside + sum(bool(tensor.name == name) for tensor in graph.output)


def _drop_unused(graph: GraphProto, candidates: set[str]) -> None:
    unused = candidates - {name for node in _all_nodes(graph) for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name not in unused]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _replace(node: NodeProto, old: str, new: str) -> None:
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
