"""Makes model_repository/postprocessing/1/model.onnx: candidates of a YOLO head in, detections out.

Needs the `onnx` package, which the training's environment has:

    scripts/bootstrap-training.sh evaluate
    .venv-training/bin/python scripts/make_postprocessing_onnx.py --score-threshold 0.25

The file it writes is committed; run it again only to change a threshold. The result is byte for
byte the same on every run with the same `onnx` release. Give the same thresholds to
postprocessing/config.pbtxt and pcb_inspection/config.pbtxt, where clients read them; a test
compares. Any number of pictures, candidates and classes fits it; the configurations name one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

ROWS = 100
OUTPUT = Path(__file__).parent.parent / "model_repository/postprocessing/1/model.onnx"
# Old on purpose: any ONNX Runtime of the last years, in any Triton container, can load it.
OPSET = 13
IR_VERSION = 7
NOT_FINITE = "the detector's output is not finite (NaN or infinity)"
"""The name of the node that fails then; ONNX Runtime puts it into its error, and so does Triton."""


class GraphText:
    """A graph being written, one call per node; nodes are named after what they make."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def whole(self, *numbers: int) -> str:
        """The name of an int64 vector constant, added when it is first used."""
        name = "_".join(["whole", *(str(number).replace("-", "minus") for number in numbers)])
        if all(known.name != name for known in self.constants):
            self.constant(name, np.array(numbers, np.int64))
        return name

    def add(
        self,
        kind: str,
        inputs: list[str],
        output: str,
        *,
        name: str = "",
        **attributes: int | list[int],
    ) -> str:
        """Add a node with one output; returns that output's name."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=name or output, **attributes)
        )
        return output


def postprocessing_graph(
    score_threshold: float, iou_threshold: float, *, opset: int = OPSET
) -> onnx.ModelProto:
    """`output` float32 (n, candidates, 5 + classes) -> `boxes`, `scores`, `classes`, `count`.

    The same arithmetic in the same order as deploy/triton/postprocessing_python, to the last bit:
    of a candidate the best class counts, with objectness x class score; boxes suppress their own
    class only; of equal scores the detector's order decides; at most 100 rows per picture, best
    first, zeros behind `count`. A batch needs no loop: pictures are kept apart by giving each class
    of each picture a number of its own. Inputs with NaN or infinity end in an error.
    """
    text = GraphText()
    _finite_or_fail(text, score_threshold)
    _candidates(text)
    _suppress(text, iou_threshold)
    _rows_of_each_picture(text)
    graph = helper.make_graph(
        text.nodes,
        "postprocessing",
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", "candidates", "values"])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", ROWS, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", ROWS]),
            helper.make_tensor_value_info("classes", TensorProto.INT32, ["n", ROWS]),
            helper.make_tensor_value_info("count", TensorProto.INT32, ["n", 1]),
        ],
        text.constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR_VERSION,
        producer_name="inspector",
    )
    helper.set_model_props(
        model,
        {"score_threshold": f"{score_threshold:g}", "iou_threshold": f"{iou_threshold:g}"},
    )
    return model


def _finite_or_fail(text: GraphText, score_threshold: float) -> None:
    """Make `threshold`, by way of a node that fails if any input is NaN or infinite.

    Every comparison with NaN is false: unchecked, it would read as a good board. The sum of numbers
    that are not all finite is not finite, and what is not finite does not equal itself less itself.
    """
    text.constant("zero", np.array(0, np.float32))
    text.constant("the_threshold", np.array([score_threshold], np.float32))
    text.add("ReduceSum", ["output"], "sum", keepdims=0)
    text.add("Sub", ["sum", "sum"], "nothing")
    text.add("Equal", ["nothing", "zero"], "finite")
    text.add("Not", ["finite"], "not_finite")
    text.add("Cast", ["not_finite"], "one_if_not_finite", to=TensorProto.INT64)
    text.add("Add", [text.whole(1), "one_if_not_finite"], "items")
    # One item cannot take the shape of two. (An index out of range would do on a CPU; a GPU answers
    # it with zeros.)
    text.add("Reshape", ["the_threshold", "items"], "threshold", name=NOT_FINITE)


def _candidates(text: GraphText) -> None:
    """Make, of k candidates that pass: `image`, `best`, `class`, (k) each, and `corners` (k, 4)."""
    text.add("Gather", ["output", text.constant("four", np.array(4, np.int64))], "objects", axis=2)
    # A class score is at most 1, so this drops nothing that could pass; it is what makes the rest
    # cheap: a handful of candidates instead of 25200.
    text.add("GreaterOrEqual", ["objects", "threshold"], "likely")
    text.add("NonZero", ["likely"], "likely_by_axis")
    text.add("Transpose", ["likely_by_axis"], "places", perm=[1, 0])
    text.add("GatherND", ["output", "places"], "rows")
    ends = [text.whole(5), text.whole(2**31 - 1), text.whole(1)]
    text.add("Slice", ["rows", *ends], "class_scores")
    text.add("Slice", ["rows", text.whole(4), text.whole(5), text.whole(1)], "objectness")
    text.add("Mul", ["objectness", "class_scores"], "per_class")
    # TopK, for both at once; of equal ones it takes the first.
    text.nodes.append(
        helper.make_node(
            "TopK", ["per_class", text.whole(1)], ["top", "top_class"], name="top", axis=1
        )
    )
    text.add("Reshape", ["top", text.whole(-1)], "likely_best")
    text.add("GreaterOrEqual", ["likely_best", "threshold"], "passes")
    text.add("NonZero", ["passes"], "passing_by_axis")
    text.add("Reshape", ["passing_by_axis", text.whole(-1)], "passing")
    text.add("Gather", ["likely_best", "passing"], "best")
    text.add("Reshape", ["top_class", text.whole(-1)], "likely_class")
    text.add("Gather", ["likely_class", "passing"], "class")
    text.add("Gather", ["places", text.constant("first", np.array(0, np.int64))], "its", axis=1)
    text.add("Gather", ["its", "passing"], "image")
    text.add("Gather", ["rows", "passing"], "chosen")
    text.add("Slice", ["chosen", text.whole(0), text.whole(2), text.whole(1)], "centre")
    text.add("Slice", ["chosen", text.whole(2), text.whole(4), text.whole(1)], "size")
    text.add("Div", ["size", text.constant("two", np.array(2, np.float32))], "half")
    text.add("Sub", ["centre", "half"], "left_top")
    text.add("Add", ["centre", "half"], "right_bottom")
    text.add("Concat", ["left_top", "right_bottom"], "corners", axis=1)


def _suppress(text: GraphText, iou_threshold: float) -> None:
    """Make `kept` (k): the score of each candidate that stays, -1 for the others."""
    text.add("Shape", ["output"], "shape")
    text.add("Gather", ["shape", "first"], "images")
    text.add("Shape", ["class_scores"], "class_scores_shape")
    text.add("Gather", ["class_scores_shape", text.whole(1)], "class_count")
    text.add("Mul", ["image", "class_count"], "offset")
    text.add("Add", ["offset", "class"], "group")
    text.add("Mul", ["images", "class_count"], "group_count")
    text.add("Squeeze", ["group_count", text.whole(0)], "group_end")
    text.constant("step", np.array(1, np.int64))
    text.add("Range", ["first", "group_end", "step"], "groups")
    text.add("Unsqueeze", ["groups", text.whole(1)], "group_rows")
    text.add("Equal", ["group", "group_rows"], "is_of_group")
    text.add("Where", ["is_of_group", "best", "zero"], "group_scores")
    text.add("Unsqueeze", ["group_scores", text.whole(0)], "scores_3d")
    text.add("Unsqueeze", ["corners", text.whole(0)], "corners_3d")
    text.constant("iou_threshold", np.array([iou_threshold], np.float32))
    text.constant("above_zero", np.array([0], np.float32))
    limits = [text.whole(ROWS), "iou_threshold", "above_zero"]
    text.add("NonMaxSuppression", ["corners_3d", "scores_3d", *limits], "selected")
    text.add("Gather", ["selected", text.constant("box", np.array(2, np.int64))], "stay", axis=1)
    text.add("Gather", ["best", "stay"], "stay_scores")
    text.add("Shape", ["best"], "best_shape")
    nodes_value = numpy_helper.from_array(np.array([-1], np.float32))
    text.nodes.append(
        helper.make_node("ConstantOfShape", ["best_shape"], ["nobody"], "nobody", value=nodes_value)
    )
    text.add("ScatterElements", ["nobody", "stay", "stay_scores"], "kept", axis=0)


def _rows_of_each_picture(text: GraphText) -> None:
    """Sort what stays into the rows of its picture. Candidates are padded so that 100 exist."""
    text.constant("minus_one", np.array(-1, np.float32))
    text.add("Range", ["first", "images", "step"], "image_numbers")
    text.add("Unsqueeze", ["image_numbers", text.whole(1)], "image_rows")
    text.add("Equal", ["image", "image_rows"], "is_of_image")
    text.add("Where", ["is_of_image", "kept", "minus_one"], "kept_by_image")
    text.add("Pad", ["kept_by_image", text.whole(0, 0, 0, ROWS), "minus_one"], "long_enough")
    # The best first; of equal scores the first.
    text.nodes.append(
        helper.make_node(
            "TopK", ["long_enough", text.whole(ROWS)], ["sorted", "order"], name="sorted", axis=1
        )
    )
    text.add("Greater", ["sorted", "zero"], "is_row")
    text.add("Where", ["is_row", "sorted", "zero"], "scores")
    text.add("Cast", ["is_row"], "ones", to=TensorProto.INT32)
    text.add("ReduceSum", ["ones", text.whole(1)], "count", keepdims=1)
    text.add("Cast", ["class"], "class_32", to=TensorProto.INT32)
    text.add("Pad", ["class_32", text.whole(0, ROWS)], "classes_padded")
    text.add("Gather", ["classes_padded", "order"], "class_rows")
    text.add("Mul", ["class_rows", "ones"], "classes")
    text.add("Pad", ["corners", text.whole(0, 0, ROWS, 0)], "corners_padded")
    text.add("Gather", ["corners_padded", "order"], "corner_rows")
    text.add("Unsqueeze", ["is_row", text.whole(2)], "is_row_3d")
    text.add("Where", ["is_row_3d", "corner_rows", "zero"], "boxes")


def share(text: str) -> float:
    """A number above 0 and up to 1, for argparse."""
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text}, expected more than 0, at most 1")
    return number


def main() -> None:
    """Write the file, after ONNX's own checker has agreed with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--score-threshold", type=share, default=0.25)
    parser.add_argument("--iou-threshold", type=share, default=0.45)
    parser.add_argument("--out", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    model = postprocessing_graph(arguments.score_threshold, arguments.iou_threshold)
    checker.check_model(model, full_check=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(model.SerializeToString(deterministic=True))
    sys.stdout.write(f"{arguments.out.name}: {arguments.out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
