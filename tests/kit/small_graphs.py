"""Small ONNX graphs that answer as networks of several kinds do, and honestly: from the pixels.

What is bright in a picture is what they find. Their input is FP32 [N, 3, SIDE, SIDE] in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
PROTOTYPES = 8
BRIGHT = 0.6
"""From here on a pixel is something."""
SURE = 20.0
"""How steep: 0.1 above is a share of 0.88."""
Shape = Sequence[int | str]


class Graph:
    """Nodes one after another; each is called as its one output is."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, kind: str, *inputs: str, to: str, **attributes: object) -> str:
        self._nodes.append(helper.make_node(kind, list(inputs), [to], **attributes))
        return to

    def save(self, repository: Path, model: str, outputs: Sequence[tuple[str, int, Shape]]) -> None:
        """A model of a repository, with parameters left to the caller."""
        graph = helper.make_graph(
            self._nodes,
            model,
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
            [
                helper.make_tensor_value_info(name, kind, list(shape))
                for name, kind, shape in outputs
            ],
            self._constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(proto)
        folder = repository / model / "1"
        folder.mkdir(parents=True)
        onnx.save(proto, folder / "model.onnx")


def _brightness(graph: Graph) -> str:
    """[N, 1, SIDE, SIDE]: how much brighter than `BRIGHT` each pixel is, times `SURE`."""
    grey = graph.add("ReduceMean", "images", to="grey", axes=[1], keepdims=1)
    border = graph.constant("border", np.array(BRIGHT, np.float32))
    sure = graph.constant("sure", np.array(SURE, np.float32))
    return graph.add("Mul", graph.add("Sub", grey, border, to="above"), sure, to="steep")


def _brightest(graph: Graph) -> str:
    """[N, 1, 1, 1]: that of the brightest pixel."""
    return graph.add("ReduceMax", _brightness(graph), to="brightest", axes=[2, 3], keepdims=1)


def write_config(
    repository: Path, model: str, dims: dict[str, tuple[str, list[int]]], **said: str
) -> None:
    """As NVIDIA's examples write it; `dims` of the outputs with Triton's names of their types."""
    outputs = ", ".join(
        f'{{ name: "{name}" data_type: {kind} dims: {shape} }}'
        for name, (kind, shape) in dims.items()
    )
    parameters = "".join(
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n'
        for key, value in {"pixel_range": "0..1", **said}.items()
    )
    (repository / model / "config.pbtxt").write_text(
        f'name: "{model}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 4\n'
        f'input [ {{ name: "images" data_type: TYPE_FP32 dims: [3, {SIDE}, {SIDE}] }} ]\n'
        f"output [ {outputs} ]\n{parameters}"
    )


def classifier(repository: Path, model: str, **said: str) -> None:
    """[N, 2] probabilities: that the picture has something bright, and that it is good."""
    graph = Graph()
    flat = graph.constant("flat", np.array([0, 1], np.int64))
    one = graph.add("Reshape", _brightest(graph), flat, to="one")
    other = graph.add("Neg", one, to="other")
    both = graph.add("Concat", one, other, to="both", axis=1)
    graph.add("Softmax", both, to="output0", axis=1)
    graph.save(repository, model, [("output0", TensorProto.FLOAT, ["n", 2])])
    write_config(repository, model, {"output0": ("TYPE_FP32", [2])}, **said)


def anomaly_model(repository: Path, model: str, **said: str) -> None:
    """Anomalib's four outputs: what is bright is unlike good units."""
    graph = Graph()
    half = graph.constant("half", np.array(0.5, np.float32))
    heat = graph.add("Sigmoid", _brightness(graph), to="anomaly_map")
    graph.add("Greater", heat, half, to="pred_mask")
    top = graph.add("ReduceMax", heat, to="top", axes=[2, 3], keepdims=1)
    flat = graph.constant("flat", np.array([-1, 1], np.int64))
    score = graph.add("Reshape", top, flat, to="pred_score")
    graph.add("Greater", score, half, to="pred_label")
    plane: Shape = ["n", 1, SIDE, SIDE]
    graph.save(
        repository,
        model,
        [
            ("pred_score", TensorProto.FLOAT, ["n", 1]),
            ("pred_label", TensorProto.BOOL, ["n", 1]),
            ("anomaly_map", TensorProto.FLOAT, plane),
            ("pred_mask", TensorProto.BOOL, plane),
        ],
    )
    dims = {
        "pred_score": ("TYPE_FP32", [1]),
        "pred_label": ("TYPE_BOOL", [1]),
        "anomaly_map": ("TYPE_FP32", [1, SIDE, SIDE]),
        "pred_mask": ("TYPE_BOOL", [1, SIDE, SIDE]),
    }
    write_config(repository, model, dims, **said)


def yolo_with_masks(repository: Path, model: str, **said: str) -> None:
    """A YOLOv8 head for one class, one of whose candidates has the whole picture for its box.

    Its mask is where the picture is bright.
    """
    graph = Graph()
    cells = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    middles = np.concatenate(
        [
            np.stack(np.meshgrid(steps, steps), axis=0).reshape(2, -1)
            for steps in (np.arange(stride // 2, SIDE, stride) for stride in (8, 16, 32))
        ],
        axis=1,
    )
    boxes = np.concatenate([middles, np.full((2, cells), 8)]).astype(np.float32)
    boxes[:, 0] = SIDE / 2, SIDE / 2, SIDE, SIDE
    first = np.zeros((1, 1, cells), np.float32)
    first[..., 0] = 1
    weights = np.zeros((1, PROTOTYPES, cells), np.float32)
    weights[0, 0, 0] = 1
    steep = _brightness(graph)
    top = graph.add("ReduceMax", steep, to="top", axes=[2, 3], keepdims=1)
    share = graph.add("Sigmoid", top, to="share")
    plane = graph.constant("plane", np.array([-1, 1, 1], np.int64))
    share = graph.add("Reshape", share, plane, to="share3")
    scores = graph.add("Mul", share, graph.constant("first", first), to="scores")
    zero = graph.add(
        "Mul", share, graph.constant("zero", np.zeros((1, 1, 1), np.float32)), to="nil"
    )
    fixed = [
        graph.add("Add", zero, graph.constant(name, value), to=f"{name}_n")
        for name, value in (("boxes", boxes[None]), ("weights", weights))
    ]
    graph.add("Concat", fixed[0], scores, fixed[1], to="output0", axis=1)
    small = graph.add("AveragePool", steep, to="small", kernel_shape=[4, 4], strides=[4, 4])
    blank = graph.add(
        "Mul", small, graph.constant("none", np.zeros((1, 1, 1, 1), np.float32)), to="blank"
    )
    graph.add("Concat", small, *([blank] * (PROTOTYPES - 1)), to="output1", axis=1)
    rows = 4 + 1 + PROTOTYPES
    graph.save(
        repository,
        model,
        [
            ("output0", TensorProto.FLOAT, ["n", rows, cells]),
            ("output1", TensorProto.FLOAT, ["n", PROTOTYPES, SIDE // 4, SIDE // 4]),
        ],
    )
    dims = {
        "output0": ("TYPE_FP32", [rows, cells]),
        "output1": ("TYPE_FP32", [PROTOTYPES, SIDE // 4, SIDE // 4]),
    }
    write_config(repository, model, dims, **said)


def pixel_classifier(repository: Path, model: str, **said: str) -> None:
    """[N, 1, SIDE, SIDE] logits: where it is bright."""
    graph = Graph()
    graph.add("Identity", _brightness(graph), to="logits")
    graph.save(repository, model, [("logits", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])])
    write_config(repository, model, {"logits": ("TYPE_FP32", [1, SIDE, SIDE])}, **said)
