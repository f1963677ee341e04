"""Rows of a DETR that are final: centre and size in shares, a score, and a class number. Pure.

    yolo export model=rtdetr-l.pt format=onnx       (Ultralytics 8.4 and later)

[N, queries, 6], whatever the number of classes, the most confident first. The shape is that of an
end-to-end export, whose boxes are corners in pixels, and with two classes that of an RT-DETR head
of earlier versions, whose last two columns are scores. So it is read only where the settings, the
model or the exporting program say so (`head`), and each reply is checked for what only such rows
can hold.
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
    Floats,
    class_numbers,
    corners_of_shares,
    findings_of_rows,
    require_numbers,
    require_outputs,
    require_scores,
    task_objection,
)
from inspector.inference.outputs.kind import RT_DETR_ROWS, Described, Recognised, Unfit, stated_head

EXPECTS = "rows of an RT-DETR"
COLUMNS = 6
_RANK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DetrRowsReader(OutputReader):
    """Reads one output [N, rows, 6]."""

    output: str
    classes: int
    input: ModelInput

    @property
    def kind(self) -> str:
        """For people."""
        return EXPECTS

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
        del nms_iou
        require_outputs(reply, self.outputs)
        head = reply[self.output]
        if head.ndim != _RANK or head.shape[0] != len(regions) or head.shape[2] != COLUMNS:
            raise MalformedReplyError(
                f"output {self.output} is {head.shape}, expected {len(regions)} x [rows, {COLUMNS}]"
            )
        if head.dtype.kind != "f":
            raise MalformedReplyError(f"output {self.output} is {head.dtype}, expected floats")
        require_numbers(head, self.output)
        return findings_of_rows([self._row(one) for one in head], regions, self.input, floor)

    def _row(self, head: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
        centres, scores, numbers = head[:, :4], head[:, 4], head[:, 5]
        require_scores(scores)
        codes = class_numbers(numbers, self.classes, column="last")
        return corners_of_shares(centres, self.input), scores, codes


def recognise(described: Described) -> Recognised:
    """As it is stated."""
    if stated_head(described) != RT_DETR_ROWS:
        return None
    shapes = [tensor.shape for tensor in described.outputs]
    if len(shapes) != 1 or len(shapes[0]) != _RANK or shapes[0][2] not in (COLUMNS, -1):
        told = ", ".join(f"{t.name} {list(t.shape)}" for t in described.outputs)
        return Unfit(
            f"model {described.model} has outputs {told}; expected one [N,rows,{COLUMNS}], as head "
            f'is "{RT_DETR_ROWS}"'
        )
    if objection := task_objection(described.model, described.notes.task, "detect"):
        return Unfit(objection)
    (tensor,) = described.outputs
    return DetrRowsReader(output=tensor.name, classes=described.classes, input=described.input)
