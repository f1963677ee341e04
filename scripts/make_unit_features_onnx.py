"""Makes model_repository/unit_features/1/model.onnx: what a unit looks like, cell by cell.

Needs the `onnx` package, which the training's environment has:

    scripts/bootstrap-training.sh evaluate
    .venv-training/bin/python scripts/make_unit_features_onnx.py

It is pcb_detector's INT8 network, cut behind its second stage. Models that are taught from good
units begin with it; the file is committed, and a model that was taught holds a copy of its own. So
a detector that is trained anew changes nothing about what was taught before.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, checker, helper, utils

if __package__ is None:  # run as a file: the folder above is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from inspector.embedded.triton.one_graph import GraphStep, one_graph
from scripts.make_preprocessing_onnx import preprocessing_graph

REPOSITORY = Path(__file__).parent.parent / "model_repository"
NETWORK = REPOSITORY / "pcb_detector/1/model.onnx"
OUTPUT = REPOSITORY / "unit_features/1/model.onnx"
STAGES = (
    "/network/stage4/stage4.1/leave/leave.2/Relu_output_0",
    "/network/stage8/stage8.1/leave/leave.2/Relu_output_0",
)
"""Of strides 4 and 8: 32 and 96 channels."""
CELLS, CHANNELS = 80, 128
AROUND = 3
"""Cells on a side whose mean a cell gets: specks of a pixel or two fade, damage does not."""


def features_graph(network: Path) -> onnx.ModelProto:
    """`image` uint8 (n, 640, 640, 3) BGR -> `features` float16 (n, 128, 80, 80)."""
    cut = utils.Extractor(onnx.load(network)).extract_model(["images"], list(STAGES))
    del cut.graph.value_info[:]  # they name the input too, which would be renamed with them
    images, stages = {"images": "images"}, {stage: stage for stage in STAGES}
    whole = one_graph(
        [
            GraphStep(
                name="pre", model=preprocessing_graph(), inputs={"image": "image"}, outputs=images
            ),
            GraphStep(name="network", model=cut, inputs=images, outputs=stages),
        ]
    )
    graph = whole.graph
    fine, coarse = STAGES
    graph.node.extend(
        [
            helper.make_node(
                "AveragePool", [fine], ["halved"], kernel_shape=[2, 2], strides=[2, 2]
            ),
            helper.make_node("Concat", ["halved", coarse], ["stacked"], axis=1),
            helper.make_node(
                "AveragePool",
                ["stacked"],
                ["around"],
                kernel_shape=[AROUND, AROUND],
                pads=[AROUND // 2] * 4,
            ),
            helper.make_node("Cast", ["around"], ["features"], to=TensorProto.FLOAT16),
        ]
    )
    del graph.output[:], graph.value_info[:]
    shape = ["n", CHANNELS, CELLS, CELLS]
    graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT16, shape))
    graph.name = "unit features"
    return whole


def main() -> None:
    """Write the file, after ONNX's own checker has agreed with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", type=Path, default=NETWORK)
    parser.add_argument("out", nargs="?", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    whole = features_graph(arguments.network)
    checker.check_model(whole)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(whole.SerializeToString(deterministic=True))
    sys.stdout.write(f"{arguments.out.name}: {arguments.out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
