"""Makes model_repository/preprocessing/1/model.onnx: camera bytes in, the detector's floats out.

Needs the `onnx` package, which the training's environment has:

    scripts/bootstrap-training.sh evaluate
    .venv-training/bin/python scripts/make_preprocessing_onnx.py

The file it writes is committed; run it again only to change the arithmetic, the size or the colour
order. The result is byte for byte the same on every run with the same `onnx` release.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

SIZE_PX = 640
OUTPUT = Path(__file__).parent.parent / "model_repository/preprocessing/1/model.onnx"
# Old on purpose: any ONNX Runtime of the last years, in any Triton container, can load it.
OPSET = 13
IR_VERSION = 7


def preprocessing_graph() -> onnx.ModelProto:
    """`image` uint8 (N, 640, 640, 3) BGR -> `images` float32 (N, 3, 640, 640) RGB, 0..1.

    Bytes are transposed and reordered before they become floats: a quarter of the memory moves.
    The division is by 255 and not a product with 1/255, which differs in the last bit; the model
    was trained on the quotient.
    """
    nodes = [
        helper.make_node("Transpose", ["image"], ["bgr"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["bgr", "rgb_order"], ["rgb"], axis=1),
        helper.make_node("Cast", ["rgb"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "white"], ["images"]),
    ]
    graph = helper.make_graph(
        nodes,
        "preprocessing",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 3])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIZE_PX, SIZE_PX])],
        [
            numpy_helper.from_array(np.array([2, 1, 0], np.int64), "rgb_order"),
            numpy_helper.from_array(np.array(255, np.float32), "white"),
        ],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="inspector",
    )


def main() -> None:
    """Write the file, after ONNX's own checker has agreed with it."""
    model = preprocessing_graph()
    checker.check_model(model, full_check=True)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_bytes(model.SerializeToString(deterministic=True))
    sys.stdout.write(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
