"""Final rows: an end-to-end export, or the queries of a DETR. Pure.

Their shapes fit other heads too, so they are read only where the settings or the model say so, and
each reply is checked for what only such rows can hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.records import Finding, ModelInput, OutputReader, Region
from inspector.inference.outputs.checks import (
    SHARE_PX,
    TOLERANCE,
    Floats,
    class_numbers,
    corners_of_shares,
    findings_of_rows,
    require_numbers,
    require_outputs,
    require_scores,
)
from inspector.inference.outputs.yolo import Rows

END_TO_END_COLUMNS = 6
"""Left, top, right, bottom in pixels, score, class number."""
_RANK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsReader(OutputReader):
    """Reads one output [N, rows, columns] whose rows are defects or empty."""

    output: str
    queries: bool
    """Centre and size in shares of the picture, then a score per class; else end-to-end rows."""
    classes: int
    input: ModelInput
    extra: int = 0
    """Columns behind these of an end-to-end row: the coefficients of its mask, or its angle."""
    centres: bool = False
    """Whether an end-to-end row begins with centre and size, as turned boxes do."""

    @property
    def kind(self) -> str:
        """For people."""
        return "an RT-DETR head" if self.queries else "an end-to-end export"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.output,)

    def decode(
        self,
        reply: Mapping[str, NDArray[Any]],
        regions: tuple[Region, ...],
        *,
        floor: float,
        nms_iou: float,
    ) -> list[list[Finding]]:
        """See `OutputReader`; there is nothing to suppress."""
        rows = self.rows(reply, len(regions), floor=floor, nms_iou=nms_iou)
        found = [(row.corners, row.scores, row.codes) for row in rows]
        return findings_of_rows(found, regions, self.input, floor)

    def rows(
        self, reply: Mapping[str, NDArray[Any]], regions: int, *, floor: float, nms_iou: float
    ) -> list[Rows]:
        """Each region's rows from the floor on, after all of them were checked."""
        del nms_iou
        require_outputs(reply, self.outputs)
        every = [
            self._of_queries(one) if self.queries else self._of_export(one)
            for one in self._checked(reply[self.output], regions)
        ]
        return [rows.of(rows.scores >= floor) for rows in every]

    def _checked(self, head: NDArray[Any], regions: int) -> Floats:
        width = 4 + self.classes if self.queries else END_TO_END_COLUMNS + self.extra
        if head.ndim != _RANK or head.shape[0] != regions or head.shape[2] != width:
            raise MalformedReplyError(
                f"output {self.output} is {head.shape}, expected {regions} x [rows, {width}]"
            )
        if head.dtype.kind != "f":
            raise MalformedReplyError(f"output {self.output} is {head.dtype}, expected floats")
        require_numbers(head, self.output)
        return head

    def _of_queries(self, head: Floats) -> Rows:
        centres, per_class = head[:, :4], head[:, 4:]
        require_scores(per_class)
        last = per_class[:, -1]
        if self.classes == 2 and last.any() and (last == np.rint(last)).all():  # noqa: PLR2004
            raise MalformedReplyError(
                "the last column holds whole numbers, as class numbers are: expected scores "
                '(head "rt_detr_rows" has such rows)'
            )
        corners = corners_of_shares(centres, self.input)
        return Rows(
            corners=corners,
            scores=per_class.max(axis=1),
            codes=per_class.argmax(axis=1),
            extra=head[:, :0],
        )

    def _of_export(self, head: Floats) -> Rows:
        scores, numbers = head[:, 4], head[:, 5]
        require_scores(scores)
        # Over all rows, confident or not: scores of a class are hardly ever whole numbers.
        column = "sixth" if self.extra else "last"
        codes = class_numbers(numbers, self.classes, column=column)
        boxes, used = head[:, :4], scores > TOLERANCE
        if self.centres:
            half = boxes[:, 2:] / 2
            boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
        if (boxes[used, 2:] < boxes[used, :2] - TOLERANCE).any():
            raise MalformedReplyError(
                "the boxes are no corners: right before left, or bottom first"
            )
        if used.any() and boxes[used].max() <= SHARE_PX:
            raise MalformedReplyError("all boxes lie in one pixel, expected pixels, not shares")
        return Rows(corners=boxes, scores=scores, codes=codes, extra=head[:, END_TO_END_COLUMNS:])
