"""Final boxes in three outputs `labels`, `boxes` and `scores`: RT-DETR and D-FINE, deployed. Pure.

    python tools/export_onnx.py --check         (RT-DETR, D-FINE, DEIM: class numbers from 0)
    torch.onnx.export(model, ...)               (torchvision: class numbers from 1)

Corners are in pixels of the model's input, and every row is valid. Whether class numbers begin at 0
or at 1 is not in the names: `[inference] head` is `labels` or `labels_from_1`. A torchvision
detector answers one picture without an axis for pictures, which has to be added in the export.
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
    findings_of_rows,
    require_numbers,
    require_outputs,
    require_scores,
)
from inspector.inference.outputs.kind import AUTO, Described, Recognised, Unfit

OUTPUTS = ("labels", "boxes", "scores")
EXPECTS = ", ".join(OUTPUTS)
FROM_0, FROM_1 = "labels", "labels_from_1"
_FLAT_RANK, _RANK = 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsReader(OutputReader):
    """Reads `labels` and `scores` [N, rows] and `boxes` [N, rows, 4]."""

    first: int
    """The number of the first class."""
    classes: int
    input: ModelInput

    @property
    def kind(self) -> str:
        """For people."""
        return f"{EXPECTS}, class numbers from {self.first}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return OUTPUTS

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
        require_outputs(reply, OUTPUTS)
        labels, boxes, scores = (reply[name] for name in OUTPUTS)
        rows = scores.shape[1] if scores.ndim == _FLAT_RANK else -1
        for array, shape, kinds, name in zip(
            (labels, boxes, scores),
            ((len(regions), rows), (len(regions), rows, 4), (len(regions), rows)),
            ("iu", "f", "f"),
            OUTPUTS,
            strict=True,
        ):
            if array.shape != shape or array.dtype.kind not in kinds:
                raise MalformedReplyError(
                    f"output {name} is {array.dtype} {array.shape}, expected {shape}"
                )
        require_scores(scores)
        require_numbers(boxes, "boxes")
        codes = labels.astype(np.int64) - self.first
        sure = scores >= floor
        if sure.any():
            self._require_meaning(codes[sure], boxes[sure])
        found = [
            (boxes[row][sure[row]], scores[row][sure[row]], codes[row][sure[row]])
            for row in range(len(regions))
        ]
        return findings_of_rows(found, regions, self.input, floor)

    def _require_meaning(self, codes: NDArray[np.int64], boxes: NDArray[Any]) -> None:
        """Refuse what confident rows cannot hold."""
        if not (codes.min() >= 0 and codes.max() < self.classes):
            wrong = codes.max() if codes.max() >= self.classes else codes.min()
            raise MalformedReplyError(
                f"class {int(wrong) + self.first} reported, inspection.codes names {self.classes} "
                f"from {self.first} on"
            )
        if boxes.max() <= SHARE_PX:
            raise MalformedReplyError("all boxes lie in one pixel, expected pixels, not shares")


def recognise(described: Described) -> Recognised:
    """By the names of its outputs, if it is stated with which number classes begin."""
    stated, by_name = described.head, {tensor.name: tensor for tensor in described.outputs}
    is_stated = stated in (FROM_0, FROM_1)
    if not by_name.keys() >= set(OUTPUTS) or (stated != AUTO and not is_stated):
        return (
            Unfit(
                f"model {described.model} has outputs {', '.join(by_name)}; expected {EXPECTS}, as "
                f'head is "{stated}"'
            )
            if is_stated
            else None
        )
    labels, boxes, scores = (by_name[name] for name in OUTPUTS)
    if len(boxes.shape) < _RANK:
        return Unfit(
            f"model {described.model}: {described.told(boxes)} has no axis for pictures; expected "
            "[N,rows,4]: export it so that labels, boxes and scores begin with one"
        )
    if "INT" not in labels.dtype or "FP" not in boxes.dtype or "FP" not in scores.dtype:
        return Unfit(
            f"model {described.model}: {described.told(labels)}, {described.told(boxes)}, "
            f"{described.told(scores)}; expected whole numbers, floats and floats"
        )
    if not is_stated:
        return Unfit(
            f"model {described.model} has {EXPECTS}; whether class numbers begin at 0 (RT-DETR, "
            f'D-FINE) or at 1 (torchvision) has to be said: [inference] head = "{FROM_0}" or '
            f'"{FROM_1}"'
        )
    return LabelsReader(
        first=int(stated == FROM_1), classes=described.classes, input=described.input
    )
