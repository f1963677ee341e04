"""A memory of good units as one ONNX graph that a Triton server serves.

It consists of the features' network, the memory, and the comparison of both. Its outputs have
Anomalib's names. `anomaly_map` is 0.5 at the limit and nears 1 far beyond it; `pred_score` is the
highest of it. The map has three pixels on a side for each cell, so that the maximum of a cell is
preserved in the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inspector.core.errors import ConfigurationError
from inspector.products.memory import PlacedMemory

IMAGE, FEATURES = "image", "features"
SCORE, MAP, MASK = "pred_score", "anomaly_map", "pred_mask"
PIXELS_PER_CELL = 3
BORDER = 0.5


def taught_graph(features: bytes, memory: PlacedMemory) -> bytes:
    """An ONNX file: `image` as of the features' network -> pred_score, anomaly_map, pred_mask.

    Raises:
        ConfigurationError: the network's file is not one.

    """
    model = _features_model(features)
    graph = model.graph
    last = graph.node[-1]  # the cast of what is sent when a memory is made
    around = last.input[0]
    graph.node.remove(last)
    del graph.output[:], graph.value_info[:]
    nodes, constants = _scoring(around, memory)
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    rows, columns = (side * PIXELS_PER_CELL for side in memory.limit.shape)
    graph.output.extend(
        [
            helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info(MAP, TensorProto.FLOAT, ["n", 1, rows, columns]),
            helper.make_tensor_value_info(MASK, TensorProto.BOOL, ["n", 1, rows, columns]),
        ]
    )
    graph.name = "taught from good units"
    model.producer_name = "inspector"
    written: bytes = model.SerializeToString(deterministic=True)
    return written


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSizes:
    """Sizes of a taught model's input, and of its map."""

    width_px: int
    height_px: int
    map_columns: int
    map_rows: int


def sizes_of(graph: bytes) -> GraphSizes:
    """The metadata of a taught model's file."""
    model = onnx.load_from_string(graph)
    shapes = {
        tensor.name: [side.dim_value for side in tensor.type.tensor_type.shape.dim]
        for tensor in (*model.graph.input, *model.graph.output)
    }
    _, height_px, width_px, _ = shapes[IMAGE]
    _, _, rows, columns = shapes[MAP]
    return GraphSizes(width_px=width_px, height_px=height_px, map_columns=columns, map_rows=rows)


def _features_model(features: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(features)
    except Exception as error:  # noqa: BLE001 - protobuf has a class for it that nobody promises
        raise ConfigurationError(f"the features' network is no ONNX file: {error}") from None
    outputs = [tensor.name for tensor in model.graph.output]
    if outputs != [FEATURES] or model.graph.node[-1].op_type != "Cast":
        raise ConfigurationError(
            f"the features' network has the outputs {', '.join(outputs) or 'none'}; expected"
            f" {FEATURES}, cast to what is sent"
        )
    return model


def _scoring(
    around: str, memory: PlacedMemory
) -> tuple[list[onnx.NodeProto], dict[str, NDArray[np.generic]]]:
    node = helper.make_node
    nodes = [
        node("Sub", [around, "memory/mean"], ["memory/difference"]),
        node("Conv", ["memory/difference", "memory/whitening"], ["memory/white"]),
        node("ReduceL2", ["memory/white"], ["memory/distance"], axes=[1], keepdims=1),
        node("Add", ["memory/distance", "memory/limit"], ["memory/both"]),
        node("Div", ["memory/distance", "memory/both"], ["memory/cells"]),
        *_answers("memory/cells"),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "memory/mean": memory.mean[None],
        "memory/whitening": memory.whitening[:, :, None, None],
        "memory/limit": memory.limit[None, None],
        **_ANSWERS_CONSTANTS,
    }
    return nodes, constants


_ANSWERS_CONSTANTS: dict[str, NDArray[np.generic]] = {
    "answers/scales": np.array([1, 1, PIXELS_PER_CELL, PIXELS_PER_CELL], np.float32),
    "answers/no_region": np.array([], np.float32),
    "answers/border": np.array(BORDER, np.float32),
}


def _answers(cells: str) -> list[onnx.NodeProto]:
    """Anomalib's outputs, made of a score for each cell."""
    node = helper.make_node
    enlarging = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return [
        node("ReduceMax", [cells], [SCORE], axes=[2, 3], keepdims=0),
        node("Resize", [cells, "answers/no_region", "answers/scales"], [MAP], **enlarging),
        node("Less", [MAP, "answers/border"], ["answers/below"]),
        node("Not", ["answers/below"], [MASK]),
    ]
