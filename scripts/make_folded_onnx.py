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

import onnx
from onnx import checker

if __package__ is None:  # run as a file: the folder above is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from inspector.embedded.triton.one_graph import GraphStep, one_graph
from scripts.make_postprocessing_onnx import postprocessing_graph
from scripts.make_preprocessing_onnx import preprocessing_graph


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
    before = preprocessing_graph() if preprocessing is None else preprocessing
    after = postprocessing_graph(score_threshold, iou_threshold)
    answers = {tensor.name: tensor.name for tensor in after.graph.output}
    images, output = {"images": "images"}, {"output": "output"}
    return one_graph(
        [
            GraphStep(name="pre", model=before, inputs={"image": "image"}, outputs=images),
            GraphStep(name="network", model=network, inputs=images, outputs=output),
            GraphStep(name="post", model=after, inputs=output, outputs=answers),
        ]
    )


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
