"""Makes ../model_repository/yolo_rows/1/model.onnx: detections in columns in, in rows out.

Needs the `onnx` package, which the training's environment has:

    scripts/bootstrap-training.sh evaluate
    .venv-training/bin/python benchmarks/contenders/ultralytics/make_rows_onnx.py

The file it writes is committed. The result is byte for byte the same on every run with the same
`onnx` release.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

ROWS = 100
OUTPUT = Path(__file__).parent.parent / "model_repository/yolo_rows/1/model.onnx"
# Old on purpose: any ONNX Runtime of the last years, in any Triton container, can load it.
OPSET = 13
IR_VERSION = 7


def rows_graph() -> onnx.ModelProto:
    """`boxes`, `scores`, `classes` (N, 100, ...) -> `rows` float32 (N, 100, 6)."""
    nodes = [
        helper.make_node("Unsqueeze", ["scores", "last"], ["score"]),
        helper.make_node("Cast", ["classes"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "last"], ["class"]),
        helper.make_node("Concat", ["boxes", "score", "class"], ["rows"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "yolo_rows",
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", ROWS, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", ROWS]),
            helper.make_tensor_value_info("classes", TensorProto.INT32, ["n", ROWS]),
        ],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", ROWS, 6])],
        [numpy_helper.from_array(np.array([2], np.int64), "last")],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="inspector",
    )


def main() -> None:
    """Write the file, after ONNX's own checker has agreed with it."""
    model = rows_graph()
    checker.check_model(model, full_check=True)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_bytes(model.SerializeToString(deterministic=True))
    sys.stdout.write(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
