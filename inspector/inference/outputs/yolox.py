"""YOLOX as exported by default: a head that is not decoded. Pure.

    python tools/export_onnx.py -c best.pth -f exp.py                           (yolox)
    python tools/export_onnx.py -c best.pth -f exp.py --decode_in_inference     (with_objectness)

One output [N, cells, 5 + classes] whose boxes are offsets from the corner of their cell, in cells,
and logarithms of a size in cells; objectness and scores are probabilities. The shape is that of the
decoded head: `[inference] head` has to say which it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.records import Finding, OutputReader, Region
from inspector.inference.outputs.checks import Floats, require_numbers, require_outputs
from inspector.inference.outputs.kind import Described, Recognised, Unfit
from inspector.inference.outputs.yolo import (
    HEAD_RANK,
    UNKNOWN,
    Head,
    HeadLayout,
    YoloReader,
)

EXPECTS = "one raw YOLO head"
YOLOX = "yolox"
STRIDES = (8, 16, 32)
_LARGEST_LOG = 10.0
"""A box of 22000 cells: a larger value was decoded already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloxReader(OutputReader):
    """Decodes the boxes; the rest is as in every head with objectness."""

    decoded: YoloReader

    @property
    def kind(self) -> str:
        """For people."""
        return "a YOLOX head that is not decoded"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return self.decoded.outputs

    def decode(
        self,
        reply: Mapping[str, NDArray[Any]],
        regions: tuple[Region, ...],
        *,
        floor: float,
        nms_iou: float,
    ) -> list[list[Finding]]:
        """See `OutputReader`."""
        require_outputs(reply, self.outputs)
        head = reply[self.outputs[0]]
        cells = cells_of(self.decoded.input.width_px, self.decoded.input.height_px)
        if head.ndim != HEAD_RANK or head.shape[1] != len(cells) or head.dtype.kind != "f":
            raise MalformedReplyError(
                f"output {self.outputs[0]} is {head.dtype} {head.shape}, expected floats "
                f"({len(regions)}, {len(cells)}, {5 + self.decoded.head.classes})"
            )
        require_numbers(head, self.outputs[0])
        if head[..., 2:4].max(initial=0.0) > _LARGEST_LOG:
            raise MalformedReplyError(
                "boxes are too large for logarithms of cells: the head is decoded, expected one "
                'that is not (head = "with_objectness")'
            )
        pixels: Floats = head.astype(np.float32)
        corner, stride = cells[:, :2], cells[:, 2:]
        pixels[..., :2] = (pixels[..., :2] + corner) * stride
        pixels[..., 2:4] = np.exp(pixels[..., 2:4]) * stride
        reply = {self.outputs[0]: pixels}
        return self.decoded.decode(reply, regions, floor=floor, nms_iou=nms_iou)


@cache
def cells_of(width_px: int, height_px: int) -> Floats:
    """(cells, 3): column and row of each cell of all grids, and its stride in pixels."""
    grids = []
    for stride in STRIDES:
        columns, rows = -(-width_px // stride), -(-height_px // stride)
        across, down = np.meshgrid(np.arange(columns), np.arange(rows))
        cell = [across.ravel(), down.ravel(), np.full(across.size, stride)]
        grids.append(np.stack(cell, axis=1))
    cells = np.concatenate(grids).astype(np.float32)
    cells.setflags(write=False)
    return cells


def recognise(described: Described) -> Recognised:
    """If it is stated, and the shape agrees."""
    if described.head != YOLOX:
        return None
    model, model_input, classes = described.model, described.input, described.classes
    cells = len(cells_of(model_input.width_px, model_input.height_px))
    shapes = [(t.dtype, t.shape[1:]) for t in described.outputs]
    fits = any(shapes == [("FP32", (rows, 5 + classes))] for rows in (cells, UNKNOWN))
    if not fits:
        told = ", ".join(described.told(tensor) for tensor in described.outputs)
        return Unfit(
            f'model {model}: {told}; expected FP32 [N,{cells},{5 + classes}] of a "{YOLOX}"'
        )
    of = Head(HeadLayout.WITH_OBJECTNESS, classes, (cells,))
    decoded = YoloReader(output=described.outputs[0].name, head=of, input=model_input)
    return YoloxReader(decoded=decoded)
