"""Instances with their shapes: YOLO's segmentation heads, before or after suppression. Pure.

    yolo export model=best-seg.pt format=onnx dynamic=True      (YOLOv8, 11, 12, 26)
    python export.py --weights best-seg.pt --include onnx       (YOLOv5)

Two outputs: a detection head each of whose candidates has some further columns, and [N, columns,
height, width] masks, the *prototypes*. A candidate's mask is the sum of the prototypes, each times
its column; the object is where this is positive inside the candidate's box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.places import Box, Place
from inspector.core.records import Finding, ModelInput, OutputReader, Region
from inspector.inference.description import TensorDescription
from inspector.inference.outputs.checks import (
    Floats,
    boxed,
    require_boxes,
    require_numbers,
    require_outputs,
    task_objection,
)
from inspector.inference.outputs.kind import (
    AUTO,
    END_TO_END,
    Ambiguity,
    Described,
    Recognised,
    Unfit,
)
from inspector.inference.outputs.rows import END_TO_END_COLUMNS, RowsReader
from inspector.inference.outputs.shapes import outline_of, polygon_of, scale_to
from inspector.inference.outputs.yolo import (
    HEAD_RANK,
    MOST_KEPT,
    UNKNOWN,
    Head,
    HeadLayout,
    HeadShape,
    Rows,
    YoloReader,
)

EXPECTS = "a YOLO head with mask coefficients and its prototypes"
MASKS_RANK = 4
_LAYOUTS = {
    "transposed": HeadLayout.TRANSPOSED,
    "with_objectness": HeadLayout.WITH_OBJECTNESS,
    "candidates_first": HeadLayout.CANDIDATES_FIRST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MasksReader(OutputReader):
    """Reads the boxes as their own reader does, and gives each the shape of its mask."""

    boxes: YoloReader | RowsReader
    prototypes: str
    input: ModelInput

    @property
    def kind(self) -> str:
        """For people."""
        return f"{self.boxes.kind} with masks"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (*self.boxes.outputs, self.prototypes)

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
        rows = self.boxes.rows(reply, len(regions), floor=floor, nms_iou=nms_iou)
        prototypes = self._checked(reply[self.prototypes], len(regions))
        for row in rows:
            require_boxes(row.corners, self.input)
            require_numbers(row.extra, "mask coefficients")
        return [
            self._findings(row, planes, region)
            for row, planes, region in zip(rows, prototypes, regions, strict=True)
        ]

    def _checked(self, prototypes: NDArray[Any], regions: int) -> Floats:
        wanted = (regions, self.boxes.extra)
        shape = prototypes.shape
        if len(shape) != MASKS_RANK or shape[:2] != wanted or prototypes.dtype.kind != "f":
            raise MalformedReplyError(
                f"output {self.prototypes} is {prototypes.dtype} {shape}, expected floats "
                f"{wanted} x [height, width]"
            )
        return prototypes

    def _findings(self, rows: Rows, planes: Floats, region: Region) -> list[Finding]:
        findings = []
        for corners, score, code, weights in zip(
            rows.corners, rows.scores.tolist(), rows.codes.tolist(), rows.extra, strict=True
        ):
            box = boxed(corners.tolist(), region)
            if box is None:
                continue
            shape = self._shape(corners, weights, planes, region)
            # An empty mask does not remove a defect.
            findings.append(
                Finding(code_index=code, confidence=min(score, 1.0), place=shape or box)
            )
        return sorted(findings, key=lambda found: -found.confidence)

    def _shape(
        self, corners: Floats, weights: Floats, planes: Floats, region: Region
    ) -> Place | None:
        """The part of a candidate's box that its mask covers."""
        _, height, width = planes.shape
        across, down = scale_to(self.input, width, height)
        left, top, right, bottom = _within(corners, self.input)
        if right <= left or bottom <= top:
            return None
        # One more on each side, so that the enlarged mask has neighbours up to its border.
        x0, x1 = max(0, math.floor(left / across) - 1), min(width, math.ceil(right / across) + 1)
        y0, y1 = max(0, math.floor(top / down) - 1), min(height, math.ceil(bottom / down) + 1)
        part = planes[:, y0:y1, x0:x1]
        require_numbers(part, self.prototypes)
        heights = np.tensordot(weights, part, axes=1).astype(np.float32, copy=False)
        size = (round((x1 - x0) * across), round((y1 - y0) * down))
        drawn = cv2.resize(heights, size, interpolation=cv2.INTER_LINEAR) > 0
        origin_x, origin_y = round(x0 * across), round(y0 * down)
        columns = slice(max(0, math.floor(left) - origin_x), math.ceil(right) - origin_x)
        lines = slice(max(0, math.floor(top) - origin_y), math.ceil(bottom) - origin_y)
        outline = outline_of(drawn[lines, columns])
        if outline is None:
            return None
        outline += (origin_x + columns.start, origin_y + lines.start)
        return polygon_of(outline, (1.0, 1.0), region)


def _within(corners: Floats, model_input: ModelInput) -> tuple[float, float, float, float]:
    box = Box(
        left_px=max(0.0, float(corners[0])),
        top_px=max(0.0, float(corners[1])),
        right_px=min(float(model_input.width_px), float(corners[2])),
        bottom_px=min(float(model_input.height_px), float(corners[3])),
    )
    return box.left_px, box.top_px, box.right_px, box.bottom_px


def recognise(described: Described) -> Recognised:
    """By the ranks of its two outputs, and by the shape of the first without mask columns."""
    by_rank = {len(tensor.shape): tensor for tensor in described.outputs}
    if len(described.outputs) != 2 or by_rank.keys() != {HEAD_RANK, MASKS_RANK}:  # noqa: PLR2004
        return None
    head, masks = by_rank[HEAD_RANK], by_rank[MASKS_RANK]
    model = described.model
    if head.dtype != "FP32" or masks.dtype != "FP32":
        return Unfit(
            f"model {model}: {described.told(head)}, {described.told(masks)}; expected FP32"
        )
    if objection := task_objection(model, described.notes.task, "segment"):
        return Unfit(objection)
    extra, (rows, columns) = masks.shape[1], head.shape[1:]
    if extra < 1:
        return Unfit(f"model {model}: {described.told(masks)} has no fixed number of prototypes")
    stated = described.head
    if stated == AUTO and described.notes.suppresses and 0 < rows <= MOST_KEPT:
        stated = END_TO_END
    boxes = (
        _stated(described, head, stated, extra)
        if stated != AUTO
        else _by_shape(described, head, rows, columns, extra)
    )
    if not isinstance(boxes, YoloReader | RowsReader):
        return boxes
    return MasksReader(boxes=boxes, prototypes=masks.name, input=described.input)


def _stated(
    described: Described, head: TensorDescription, stated: str, extra: int
) -> YoloReader | RowsReader | Unfit:
    rows, columns = head.shape[1:]
    classes = described.classes
    if stated == END_TO_END:
        expected = END_TO_END_COLUMNS + extra
    elif stated in _LAYOUTS:
        expected = classes + extra + (5 if stated == "with_objectness" else 4)
    else:
        return Unfit(f'model {described.model}: answers with masks, and head is "{stated}"')
    found = rows if stated == "transposed" else columns
    if found not in (expected, UNKNOWN):
        return Unfit(
            f'model {described.model}: {described.told(head)} is no "{stated}" head of {classes} '
            f"classes with {extra} mask coefficients; expected {expected} columns where it has "
            f"{found}"
        )
    if stated == END_TO_END:
        return RowsReader(
            output=head.name, queries=False, classes=classes, input=described.input, extra=extra
        )
    number = columns if stated == "transposed" else rows
    of = Head(_LAYOUTS[stated], classes, () if number == UNKNOWN else (number,))
    return YoloReader(output=head.name, head=of, input=described.input, extra=extra)


def _by_shape(
    described: Described, head: TensorDescription, rows: int, columns: int, extra: int
) -> YoloReader | Unfit | Ambiguity:
    size = {"width_px": described.input.width_px, "height_px": described.input.height_px}
    without = columns if columns == UNKNOWN else columns - extra
    as_rows = HeadShape(rows=rows, columns=without, **size)
    as_columns = HeadShape(rows=rows if rows == UNKNOWN else rows - extra, columns=columns, **size)
    told = f"model {described.model}: {described.told(head)}, less {extra} mask coefficients,"
    if as_rows.other_readings():
        return Ambiguity(f"{told} {as_rows.objection(described.classes)}")
    readings = [
        *(one for one in as_rows.readings() if one.layout is HeadLayout.WITH_OBJECTNESS),
        *(one for one in as_columns.readings() if one.layout is HeadLayout.TRANSPOSED),
    ]
    fitting = [one for one in readings if one.classes == described.classes]
    if fitting:
        return YoloReader(output=head.name, head=fitting[0], input=described.input, extra=extra)
    if readings:
        return Unfit(
            f"inspection.codes names {described.classes} classes, but {told} has "
            f"{readings[0].classes}"
        )
    return Unfit(f"{told} {as_columns.objection(described.classes)}")
