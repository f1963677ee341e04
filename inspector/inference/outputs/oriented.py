"""Turned boxes: YOLO's oriented heads, before or after suppression. Pure.

    yolo export model=best-obb.pt format=onnx dynamic=True                 (oriented)
    yolo export model=best-obb.pt format=onnx dynamic=True nms=True        (oriented_end_to_end)

A candidate is centre, size, a score per class, and an angle in radians, clockwise as seen. After
suppression a row is centre, size, score, class number and angle. The shape does not distinguish an
angle from one more class: the model's metadata (task `obb`) or `[inference] head` has to say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.geometry import on_picture
from inspector.core.places import Polygon
from inspector.core.records import Finding, OutputReader, Region
from inspector.inference.description import TensorDescription
from inspector.inference.outputs.checks import Floats, require_boxes
from inspector.inference.outputs.kind import AUTO, Ambiguity, Described, Recognised, Unfit
from inspector.inference.outputs.rows import RowsReader
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

EXPECTS = "a YOLO head of oriented boxes"
ORIENTED, END_TO_END = "oriented", "oriented_end_to_end"
_COLUMNS = 7
"""The columns of a row after suppression."""
_LARGEST_ANGLE = 2 * np.pi
_EPS = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class OrientedReader(OutputReader):
    """Reads turned boxes as shapes of four corners."""

    boxes: YoloReader | RowsReader
    """The reader whose one further column is the angle."""

    @property
    def kind(self) -> str:
        """For people."""
        return f"{self.boxes.kind} of oriented boxes"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return self.boxes.outputs

    def decode(
        self,
        reply: Mapping[str, NDArray[Any]],
        regions: tuple[Region, ...],
        *,
        floor: float,
        nms_iou: float,
    ) -> list[list[Finding]]:
        """See `OutputReader`."""
        if isinstance(self.boxes, RowsReader):
            every = self.boxes.rows(reply, len(regions), floor=floor, nms_iou=nms_iou)
            turned = [_turned(rows) for rows in every]
        else:
            every = self.boxes.candidates(reply, len(regions), floor=floor)
            turned = [_turned(_suppressed(rows, nms_iou)) for rows in every]
        for _, corners in turned:
            around = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
            require_boxes(around, self.boxes.input)
        return [
            _findings(rows, corners, region)
            for (rows, corners), region in zip(turned, regions, strict=True)
        ]


def _turned(rows: Rows) -> tuple[Rows, Floats]:
    """The rows, and the four corners (rows, 4, 2) of each box."""
    angles = rows.extra[:, 0]
    if angles.size and np.abs(angles).max() > _LARGEST_ANGLE:
        raise MalformedReplyError(
            f"an angle is {angles[np.abs(angles).argmax()]:g}, expected radians"
        )
    left, top, right, bottom = rows.corners.T
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1) * ((right - left) / 2)[:, None]
    across = np.stack([-np.sin(angles), np.cos(angles)], axis=1) * ((bottom - top) / 2)[:, None]
    middle = np.stack([left + right, top + bottom], axis=1) / 2
    corners = [middle - along - across, middle + along - across]
    corners += [middle + along + across, middle - along + across]
    return rows, np.stack(corners, axis=1)


def _findings(rows: Rows, corners: Floats, region: Region) -> list[Finding]:
    findings = []
    for four, score, code in zip(
        corners.tolist(), rows.scores.tolist(), rows.codes.tolist(), strict=True
    ):
        place = on_picture(Polygon(points_px=tuple((x, y) for x, y in four)), region)
        if place is not None:
            findings.append(Finding(code_index=code, confidence=min(score, 1.0), place=place))
    return sorted(findings, key=lambda found: -found.confidence)


def _suppressed(rows: Rows, nms_iou: float) -> Rows:
    """Suppression within each class, by the overlap of two turned boxes as normal distributions.

    As in Ultralytics, a box that is suppressed itself suppresses others too, so that the result is
    that of its own `predict`.
    """
    shapes, codes = _blurs(rows), rows.codes
    is_kept = np.ones(len(codes), np.bool_)
    for sure in range(len(codes) - 1):
        behind = slice(sure + 1, None)
        overlaps = _likeness(shapes[sure], shapes[behind]) >= nms_iou
        is_kept[behind] &= ~(overlaps & (codes[behind] == codes[sure]))
    return rows.of(is_kept)


def _blurs(rows: Rows) -> NDArray[np.float64]:
    """(rows, 5): middle x, y, and the covariance xx, yy, xy of a normal distribution like the box.

    ProbIoU (Llerena and others, 2021), by which Ultralytics suppresses oriented boxes.
    """
    left, top, right, bottom = rows.corners.T.astype(np.float64)
    wide, high = (right - left) ** 2 / 12, (bottom - top) ** 2 / 12
    cos, sin = np.cos(rows.extra[:, 0]), np.sin(rows.extra[:, 0])
    return np.stack(
        [
            (left + right) / 2,
            (top + bottom) / 2,
            wide * cos**2 + high * sin**2,
            wide * sin**2 + high * cos**2,
            (wide - high) * cos * sin,
        ],
        axis=1,
    )


def _likeness(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 minus the Hellinger distance of one distribution (5,) and each of the others (n, 5)."""
    x, y, xx, yy, xy = one
    dx, dy = others[:, 0] - x, others[:, 1] - y
    sxx, syy, sxy = others[:, 2] + xx, others[:, 3] + yy, others[:, 4] + xy
    area = sxx * syy - sxy**2 + _EPS
    apart = (sxx * dy**2 + syy * dx**2) / area / 4 - sxy * dx * dy / area / 2
    own = np.clip(xx * yy - xy**2, 0, None)
    theirs = np.clip(others[:, 2] * others[:, 3] - others[:, 4] ** 2, 0, None)
    unlike = np.log(area / (4 * np.sqrt(own * theirs) + _EPS) + _EPS) / 2
    distance = np.clip(apart + unlike, _EPS, 100.0)
    likeness: NDArray[np.float64] = 1 - np.sqrt(1 - np.exp(-distance) + _EPS)
    return likeness


def recognise(described: Described) -> Recognised:
    """If the model's metadata or the settings say so, and the shape agrees."""
    stated = described.head
    if stated not in (ORIENTED, END_TO_END) and not (
        stated == AUTO and described.notes.task == "obb"
    ):
        return None
    model, classes = described.model, described.classes
    if len(described.outputs) != 1:
        names = ", ".join(tensor.name for tensor in described.outputs)
        return Unfit(f"model {model} has outputs {names}; expected one, of oriented boxes")
    (head,) = described.outputs
    if head.dtype != "FP32" or len(head.shape) != HEAD_RANK:
        return Unfit(f"model {model}: {described.told(head)}; expected FP32 [N,rows,columns]")
    rows, columns = head.shape[1:]
    is_final = columns == _COLUMNS and rows <= MOST_KEPT
    is_raw = rows == 5 + classes
    if stated == AUTO and is_final and (is_raw or not described.notes.suppresses):
        return Ambiguity(
            f"model {model}: {described.told(head)} looks like oriented boxes after suppression; "
            f'that has to be said: [inference] head = "{END_TO_END}"'
        )
    if stated == END_TO_END or (stated == AUTO and is_final):
        return _final(described, rows, columns, head.name)
    if not is_raw:
        return Unfit(
            f"inspection.codes names {classes} classes, but model {model} has {rows - 5} with an "
            f"angle ({described.told(head)})"
        )
    return _raw(described, columns, head)


def _raw(described: Described, columns: int, head: TensorDescription) -> Recognised:
    classes = described.classes
    shape = HeadShape(
        rows=4 + classes,
        columns=columns,
        width_px=described.input.width_px,
        height_px=described.input.height_px,
    )
    fitting = [one for one in shape.readings() if one.layout is HeadLayout.TRANSPOSED]
    if not fitting:
        told = described.told(head)
        return Unfit(f"model {described.model}: {told} {shape.objection(classes)}")
    of = Head(HeadLayout.TRANSPOSED, classes, fitting[0].candidates)
    boxes = YoloReader(output=head.name, head=of, input=described.input, extra=1)
    return OrientedReader(boxes=boxes)


def _final(described: Described, rows: int, columns: int, output: str) -> Recognised:
    if columns not in (_COLUMNS, UNKNOWN) or rows > MOST_KEPT:
        return Unfit(
            f"model {described.model}: {described.told(described.outputs[0])}; expected "
            f"[N,rows,{_COLUMNS}] of oriented boxes after suppression"
        )
    reader = RowsReader(
        output=output,
        queries=False,
        classes=described.classes,
        input=described.input,
        extra=1,
        centres=True,
    )
    return OrientedReader(boxes=reader)
