"""Data sets and a detector made on the spot, small enough to see through.

Boards are white; a defect is a black square of 32x32 pixels on a grid of 32. The detector is a real
ONNX network that finds exactly those: it averages every square of the grid, and the darker one is,
the surer it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SQUARE_PX = 32
Cells = Sequence[tuple[int, int]]


def board_picture(
    cells: Cells = (), *, width_px: int = 640, height_px: int = 640
) -> NDArray[np.uint8]:
    """Gray, white, with a black square in each (column, row) of the grid."""
    picture = np.full((height_px, width_px), 255, np.uint8)
    for column, row in cells:
        x, y = column * SQUARE_PX, row * SQUARE_PX
        picture[y : y + SQUARE_PX, x : x + SQUARE_PX] = 0
    return picture


def corners(cells: Cells) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom of the squares."""
    return [
        (c * SQUARE_PX, r * SQUARE_PX, (c + 1) * SQUARE_PX, (r + 1) * SQUARE_PX) for c, r in cells
    ]


def write_picture(path: Path, picture: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def write_detector(path: Path, classes: int = 2, metadata: dict[str, str] | None = None) -> Path:
    """`images` [n, 3, 640, 640] -> `output` [n, 400, 5 + classes]; all squares are of class 0."""
    side = 640 // SQUARE_PX
    middles = (np.arange(side, dtype=np.float32) + 0.5) * SQUARE_PX
    boxes = np.full((1, side * side, 4), SQUARE_PX, np.float32)
    boxes[0, :, 0], boxes[0, :, 1] = np.tile(middles, side), np.repeat(middles, side)
    kinds = np.zeros((1, side * side, classes), np.float32)
    kinds[..., 0] = 1
    square = [SQUARE_PX, SQUARE_PX]
    nodes = [
        helper.make_node(
            "AveragePool", ["images"], ["levels"], kernel_shape=square, strides=square
        ),
        helper.make_node("ReduceMean", ["levels", "colours"], ["gray"], keepdims=0),
        helper.make_node("Reshape", ["gray", "column"], ["brightness"]),
        helper.make_node("Sub", ["one", "brightness"], ["objectness"]),
        helper.make_node("Mul", ["objectness", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["all_boxes"]),
        helper.make_node("Add", ["nothing", "kinds"], ["all_kinds"]),
        helper.make_node("Concat", ["all_boxes", "objectness", "all_kinds"], ["output"], axis=2),
    ]
    constants: dict[str, NDArray[Any]] = {
        "colours": np.array([1], np.int64),
        "column": np.array([0, side * side, 1], np.int64),
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.float32),
        "boxes": boxes,
        "kinds": kinds,
    }
    return _write_model(
        path, nodes, constants, [3, 640, 640], [side * side, 5 + classes], metadata or {}
    )


def write_other_model(path: Path) -> Path:
    """An ONNX file that is no detector."""
    nodes = [helper.make_node("Identity", ["images"], ["output"])]
    return _write_model(path, nodes, {}, [1, 28, 28], [1, 28, 28], {})


def _write_model(  # noqa: PLR0917 - what a graph is made of
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    taken: list[int],
    given: list[int],
    metadata: dict[str, str],
) -> Path:
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *taken])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", *given])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def write_yolo(
    folder: Path,
    parts: Mapping[str, Mapping[str, Cells]],
    *,
    names: Sequence[str] = ("dent", "scratch"),
    size_px: tuple[int, int] = (640, 640),
) -> Path:
    """`parts`: for train, val, test, each picture's squares; the path of data.yaml."""
    width_px, height_px = size_px
    for part, pictures in parts.items():
        for name, cells in pictures.items():
            shown = board_picture(cells, width_px=width_px, height_px=height_px)
            write_picture(folder / "images" / part / f"{name}.png", shown)
            lines = [
                f"0 {(x1 + x2) / 2 / width_px} {(y1 + y2) / 2 / height_px} "
                f"{(x2 - x1) / width_px} {(y2 - y1) / height_px}"
                for x1, y1, x2, y2 in corners(cells)
            ]
            if lines:
                label = folder / "labels" / part / f"{name}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text("\n".join(lines) + "\n")
    description = folder / "data.yaml"
    sides = [f"{part}: images/{part}" for part in parts]
    description.write_text("\n".join([*sides, f"names: [{', '.join(names)}]"]) + "\n")
    return description


def write_coco(
    path: Path,
    pictures: Mapping[str, Cells],
    *,
    names: Sequence[str] = ("dent", "scratch"),
    beside: Path | None = None,
) -> Path:
    """A JSON file, and the pictures in `beside` (its folder unless given)."""
    images, annotations = [], []
    for number, (name, cells) in enumerate(pictures.items(), 1):
        write_picture((beside or path.parent) / f"{name}.png", board_picture(cells))
        images.append({"id": number, "file_name": f"{name}.png", "width": 640, "height": 640})
        annotations += [
            {"image_id": number, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for x1, y1, x2, y2 in corners(cells)
        ]
    categories = [{"id": at, "name": name} for at, name in enumerate(names, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def write_deep_pcb(folder: Path, trainval: Iterable[str], test: Iterable[str]) -> Path:
    """The flat layout; each board has an `open` in the grid's square (3, 4)."""
    for part, names in (("trainval", list(trainval)), ("test", list(test))):
        for name in names:
            write_picture(folder / f"{name}_test.png", board_picture([(3, 4)]))
            write_picture(folder / f"{name}_temp.png", board_picture())
            (folder / f"{name}.txt").write_text("96 128 128 160 1\n")
        (folder / f"{part}.txt").write_text("\n".join(names) + "\n")
    return folder
