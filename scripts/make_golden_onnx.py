"""Makes one graph of the golden network: the unit beside its reference in, detections out.

Needs the `onnx` package, which the training's environment has:

    scripts/bootstrap-training.sh evaluate
    .venv-training/bin/python scripts/make_golden_onnx.py NETWORK.onnx GOLDEN.onnx

`make train ARGS=--golden` does this by itself, for model_repository/pcb_golden_inspection. See
docs/decisions/0006-ensemble.md for why this network is one graph while pcb_inspection is three.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, checker, helper, numpy_helper

if __package__ is None:  # run as a file: the folder above is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.make_folded_onnx import folded_graph
from scripts.make_preprocessing_onnx import IR_VERSION, OPSET, SIZE_PX

NETWORK_KEY = "network_sha256"
"""Of the served file's metadata: the file whose numbers its evaluation shows."""
_BLOCK = 2
_MIXED = ["one", "zero", "mixing", "half", "signed_zero", "one", "zero"]
"""Scales and zero points of what goes in, of the weights and of what comes out."""


def golden_preprocessing_graph() -> onnx.ModelProto:
    """`image` uint8 (n, 640, 640, 2) -> `images` float32 (n, 3, 640, 640), 0..1.

    Channel 0 is the gray of the unit, channel 1 that of its reference; the third channel is
    128 plus half their difference, rounded to even and saturated as OpenCV's addWeighted does it,
    with which the network was trained. A convolution of bytes with 1x1 pixels does all of it at
    once; the same in steps of floats took 9 ms longer.
    """
    nodes = [
        helper.make_node("Transpose", ["image"], ["pair"], perm=[0, 3, 1, 2]),
        helper.make_node("QLinearConv", ["pair", *_MIXED, "offsets"], ["stacked"]),
        helper.make_node("Cast", ["stacked"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "white"], ["images"]),
    ]
    mixing = np.array([[2, 0], [0, 2], [1, -1]], np.int8)
    constants = {
        "one": np.array(1, np.float32),
        "half": np.array(0.5, np.float32),
        "zero": np.array(0, np.uint8),
        "signed_zero": np.array(0, np.int8),
        "mixing": mixing[:, :, None, None],
        "offsets": np.array([0, 0, 256], np.int32),
        "white": np.array(255, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "golden preprocessing",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 2])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIZE_PX, SIZE_PX])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="inspector",
    )


def golden_graph(network: onnx.ModelProto) -> onnx.ModelProto:
    """`image` uint8 (n, 640, 640, 2) -> `boxes`, `scores`, `classes`, `count`.

    Of an INT8 network the first convolution is rewritten; what it computes stays the same.

    Raises:
        ValueError: its input or output has another name than pcb_detector's.

    """
    whole = folded_graph(network, preprocessing=golden_preprocessing_graph())
    _begin_with_blocks(whole.graph)
    return whole


def golden_file(network: Path) -> bytes:
    """What is served of a network's file; its metadata say which network it was made of.

    Raises:
        ValueError: as for `golden_graph`.

    """
    content = network.read_bytes()
    whole = golden_graph(onnx.load_from_string(content))
    helper.set_model_props(whole, {NETWORK_KEY: hashlib.sha256(content).hexdigest()})
    served: bytes = whole.SerializeToString(deterministic=True)
    return served


def _begin_with_blocks(graph: GraphProto) -> None:
    """Read blocks of 2x2 pixels as one pixel of twelve channels, where bytes enter the network.

    The first convolution looks at 3x3 pixels of three channels, every second one, and takes a third
    of the time: rows of three bytes are the slowest to gather. As 2x2 blocks of twelve channels,
    of which it ignores those beyond its 3x3 pixels, it sums the same products: 26.8 ms of one core
    instead of 30.7 for the whole graph.
    """
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    mixed = makers["pre/stacked"]
    [entered] = [node for node in graph.node if "pre/stacked" in node.input]
    if entered.op_type != "DequantizeLinear":  # a float network, behind its cast
        return
    [stem] = [node for node in graph.node if entered.output[0] in node.input]
    weights = constants[makers[stem.input[1]].input[0]]
    before = numpy_helper.to_array(weights)
    if not _is_stem(stem, before):
        return
    weights.CopyFrom(numpy_helper.from_array(_by_blocks(before), weights.name))
    _set(stem, kernel_shape=[2, 2], strides=[1, 1], pads=[1, 1, 0, 0])
    mixing = numpy_helper.to_array(constants["pre/mixing"])
    blocks = np.zeros((_BLOCK**2, *mixing.shape[:2], _BLOCK, _BLOCK), np.int8)
    for place, (row, column) in enumerate(np.ndindex(_BLOCK, _BLOCK)):
        blocks[place, :, :, row, column] = mixing[:, :, 0, 0]
    offsets = np.tile(numpy_helper.to_array(constants["pre/offsets"]), _BLOCK**2)
    for name, value in (("pre/mixing", np.concatenate(blocks)), ("pre/offsets", offsets)):
        constants[name].CopyFrom(numpy_helper.from_array(value, name))
    _set(mixed, kernel_shape=[_BLOCK, _BLOCK], strides=[_BLOCK, _BLOCK])


def _is_stem(node: NodeProto, weights: NDArray[np.int8]) -> bool:
    told = {a.name: list(a.ints) for a in node.attribute}
    shape = (*weights.shape[1:], told["strides"], told["pads"])
    return node.op_type == "Conv" and shape == (3, 3, 3, [2, 2], [1, 1, 1, 1])


def _by_blocks(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """[out, channels, 3, 3] at every second pixel -> [out, 4 x channels, 2, 2] at every block."""
    out, channels = weights.shape[:2]
    blocks = np.zeros((out, _BLOCK, _BLOCK, channels, 2, 2), np.int8)
    for row, column in np.ndindex(3, 3):
        # The first row and column lie in the block before, as its second ones.
        (down, inner_row), (across, inner_column) = divmod(row + 1, 2), divmod(column + 1, 2)
        blocks[:, inner_row, inner_column, :, down, across] = weights[:, :, row, column]
    return blocks.reshape(out, _BLOCK**2 * channels, 2, 2)


def _set(node: NodeProto, **attributes: list[int]) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())


def main() -> None:
    """Write the file, after ONNX's own checker has agreed with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    served = golden_file(arguments.network)
    checker.check_model(onnx.load_from_string(served))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(served)
    sys.stdout.write(f"{arguments.out.name}: {arguments.out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
