"""Makes one graph of preprocessing, network and post-processing: camera bytes in, detections out.

Needs the `onnx` package, which the training's environment has:

    scripts/bootstrap-training.sh evaluate
    .venv-training/bin/python scripts/make_folded_onnx.py NETWORK.onnx FOLDED.onnx

The ensemble does the same in three models, of which each can be changed alone. See
docs/decisions/0006-ensemble.md for what the one graph buys.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, checker, compose, numpy_helper

if __package__ is None:  # run as a file: the folder above is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.make_postprocessing_onnx import postprocessing_graph
from scripts.make_preprocessing_onnx import preprocessing_graph

WHITE = np.float32(255)


def folded_graph(
    network: onnx.ModelProto,
    *,
    preprocessing: onnx.ModelProto | None = None,
    score_threshold: float = 0.25,
    iou_threshold: float = 0.45,
) -> onnx.ModelProto:
    """`image` uint8 (n, 640, 640, 3) BGR -> `boxes`, `scores`, `classes`, `count`.

    Another `preprocessing` makes `images` of another `image`, by a cast of bytes to `levels` and a
    division. The network's input must be `images`, its output `output`, as pcb_detector's. Where it
    begins by quantising `images` with a step of 1/255, the bytes are what it quantises to, and
    enter as they are: the same numbers without a float picture in between.

    Raises:
        ValueError: its input or output has another name.

    """
    for kind, wanted, found in (
        ("input", "images", [t.name for t in network.graph.input]),
        ("output", "output", [t.name for t in network.graph.output]),
    ):
        if found != [wanted]:
            raise ValueError(f"the network's {kind} is {', '.join(found)}, expected {wanted}")
    opset = next(o.version for o in network.opset_import if o.domain in ("", "ai.onnx"))
    before = preprocessing_graph() if preprocessing is None else preprocessing
    after = postprocessing_graph(score_threshold, iou_threshold)
    parts = []
    for prefix, model in (("pre/", before), ("network/", network), ("post/", after)):
        part = compose.add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)
        # The operators of ours mean the same from opset 13 to the newest.
        del part.opset_import[:]
        part.opset_import.append(onnx.helper.make_opsetid("", opset))
        part.ir_version = network.ir_version
        part.ClearField("metadata_props")
        parts.append(part)
    seen = compose.merge_models(parts[0], parts[1], [("images", "images")])
    whole = compose.merge_models(seen, parts[2], [("output", "output")])
    whole.producer_name = "inspector"
    let_bytes_in(whole.graph)
    return whole


def let_bytes_in(graph: GraphProto) -> None:
    """Drop cast, division and quantisation where they cancel out: round(x / 255 * 255) is x."""
    readers = [node for node in graph.node if "images" in node.input]
    if len(readers) != 1 or readers[0].op_type != "QuantizeLinear":
        return
    constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    step, zero = (constants.get(name) for name in readers[0].input[1:3])
    if zero is None or zero.dtype != np.uint8 or zero != 0 or step != np.float32(1) / WHITE:
        return
    floats = [node for node in graph.node if node.output[0] in ("pre/levels", "images")]
    [bytes_in] = [node.input[0] for node in floats if node.output[0] == "pre/levels"]
    for node in graph.node:
        _replace(node, readers[0].output[0], bytes_in)
    for node in (*floats, readers[0]):
        graph.node.remove(node)
    unused = {name for node in (*floats, readers[0]) for name in node.input}
    unused -= {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name not in unused]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _replace(node: NodeProto, old: str, new: str) -> None:
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new


def main() -> None:
    """Write the file, after ONNX's own checker has agreed with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    whole = folded_graph(onnx.load(arguments.network))
    checker.check_model(whole)
    arguments.out.write_bytes(whole.SerializeToString(deterministic=True))
    sys.stdout.write(f"{arguments.out.name}: {arguments.out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
