"""Makes yolo_postprocessing's graph: the shipped post-processing, its detections as rows.

Needs the `onnx` package, which the training's environment has:

    scripts/bootstrap-training.sh evaluate
    .venv-training/bin/python benchmarks/contenders/ultralytics/make_postprocessing_onnx.py

The file it writes is committed; run it again when the shipped graph has changed. The result is byte
for byte the same on every run with the same `onnx` release.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "model_repository/postprocessing/1/model.onnx"
OUTPUT = ROOT / "benchmarks/contenders/model_repository/yolo_postprocessing/1/model.onnx"
ROWS = 100


def in_rows(model: onnx.ModelProto) -> onnx.ModelProto:
    """`boxes`, `scores` and `classes` become `detections`, float32 (N, 100, 6); `count` goes."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "last_axis"))
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["scores", "last_axis"], ["score_column"]),
            helper.make_node("Cast", ["classes"], ["class_numbers"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["class_numbers", "last_axis"], ["class_column"]),
            helper.make_node(
                "Concat", ["boxes", "score_column", "class_column"], ["detections"], axis=2
            ),
        ]
    )
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["n", ROWS, 6]),
    )
    return model


def main() -> None:
    """Write the file, after ONNX's own checker has agreed with it."""
    model = in_rows(onnx.load(SHIPPED))
    checker.check_model(model, full_check=True)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_bytes(model.SerializeToString(deterministic=True))
    sys.stdout.write(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
