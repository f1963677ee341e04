"""Boxes and scores in two outputs, before thresholds: DETRs, D-FINE, RF-DETR, YOLO-NAS. Pure.

    optimum-cli export onnx -m MODEL out/       (d_fine, detr: logits, pred_boxes)
    model.export()                              (RF-DETR: dets, labels)
    python tools/deployment/export_onnx.py      (D-FINE without its postprocessor)

Queries are centre and size in shares of the picture, and a logit per class. The meaning of a
further column differs: in DETR the last one is "nothing", in the softmax with the others; in
RF-DETR the last one or the first is never a class. YOLO-NAS has corners in pixels and
probabilities, and leaves suppression to us. Names and shapes do not distinguish them: `[inference]
head` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.records import Finding, ModelInput, OutputReader, Region
from inspector.inference.description import TensorDescription
from inspector.inference.outputs.checks import (
    SHARE_PX,
    Floats,
    corners_of_shares,
    findings_of_rows,
    require_numbers,
    require_outputs,
    require_scores,
    task_objection,
)
from inspector.inference.outputs.kind import AUTO, Ambiguity, Described, Recognised, Unfit
from inspector.inference.outputs.yolo import HEAD_RANK, MAX_CANDIDATES, Rows, kept

EXPECTS = "boxes [N, rows, 4] and scores [N, rows, classes]"
D_FINE, DETR, RF_DETR, RF_DETR_FROM_1, YOLO_NAS = HEADS = (
    "d_fine",
    "detr",
    "rf_detr",
    "rf_detr_from_1",
    "yolo_nas",
)
_MEANS = {
    D_FINE: "a logit per class",
    DETR: "logits, the last of which is no class",
    RF_DETR: "a logit per class, and a last one that is none",
    RF_DETR_FROM_1: "a logit per class, and a first one that is none",
    YOLO_NAS: "corners in pixels and probabilities",
}
_KNOWN = {("pred_boxes", "pred_logits"), ("pred_boxes", "logits"), ("dets", "labels")}
"""Names of boxes and logits in exports of DETRs."""
_BOX = 4
_NOTHING_SHARE = 0.5
"""Of the rows of a DETR, those that find nothing, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriesReader(OutputReader):
    """Reads boxes, and beside them the network's confidence in each class."""

    boxes: str
    scores: str
    head: str
    classes: int
    input: ModelInput

    @property
    def kind(self) -> str:
        """For people."""
        return f"boxes, and {_MEANS[self.head]}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return self.boxes, self.scores

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
        boxes, scores = self._checked(reply, len(regions))
        found = []
        for corners, values in zip(boxes, scores, strict=True):
            rows = _from_floor(self._corners(corners), self._shares(values, floor), floor)
            if self.head == YOLO_NAS:
                rows = rows.of(kept(rows, nms_iou))
            found.append((rows.corners, rows.scores, rows.codes))
        return findings_of_rows(found, regions, self.input, floor)

    def _checked(self, reply: Mapping[str, NDArray[Any]], regions: int) -> tuple[Floats, Floats]:
        boxes, scores = reply[self.boxes], reply[self.scores]
        rows = boxes.shape[1] if boxes.ndim == HEAD_RANK else -1
        columns = self.classes + (self.head in (DETR, RF_DETR, RF_DETR_FROM_1))
        for array, shape, name in (
            (boxes, (regions, rows, _BOX), self.boxes),
            (scores, (regions, rows, columns), self.scores),
        ):
            if array.shape != shape or array.dtype.kind != "f":
                raise MalformedReplyError(
                    f"output {name} is {array.dtype} {array.shape}, expected floats {shape}"
                )
            require_numbers(array, name)
        if self.head == YOLO_NAS:
            require_scores(scores)
        elif scores.size and scores.min() >= 0:
            # Nearly every query finds nothing: its logits are negative.
            raise MalformedReplyError(
                f"output {self.scores} has no negative number, expected logits"
            )
        return boxes, scores

    def _corners(self, boxes: Floats) -> Floats:
        if self.head != YOLO_NAS:
            return corners_of_shares(boxes, self.input)
        if boxes.size and boxes.max() <= SHARE_PX:
            raise MalformedReplyError("all boxes lie in one pixel, expected pixels, not shares")
        if (boxes[:, 2:] < boxes[:, :2] - 1).any():
            raise MalformedReplyError("the boxes are no corners: right before left")
        return boxes

    def _shares(self, values: Floats, floor: float) -> Floats:
        """(rows, classes): the confidence in each class, 0 to 1."""
        if self.head == YOLO_NAS:
            return values
        if self.head == DETR:
            _require_mostly_nothing(values, self.scores)
            raised = np.exp(values - values.max(axis=1, keepdims=True))
            shares: Floats = (raised / raised.sum(axis=1, keepdims=True))[:, :-1]
            return shares
        sure: Floats = (1 / (1 + np.exp(-np.clip(values, -60, 60)))).astype(np.float32)
        if self.head == D_FINE:
            return sure
        unused = -1 if self.head == RF_DETR else 0
        if sure[:, unused].max(initial=0.0) >= floor:
            other = RF_DETR_FROM_1 if self.head == RF_DETR else RF_DETR
            raise MalformedReplyError(
                f"the column that is no class reaches {sure[:, unused].max():g}; perhaps it is, "
                f'and head is "{other}"'
            )
        return np.delete(sure, unused, axis=1)


def _require_mostly_nothing(values: Floats, name: str) -> None:
    """Refuse logits whose last column is a class: then few rows, if any, are likeliest in it.

    A DETR answers with the same number of rows, mostly 100, whatever a picture shows, and its
    "nothing" is a positive number there. Where each column is a class of its own, rows that find
    nothing have negative numbers only, and the last may well be the largest of them.
    """
    last = values[:, -1]
    nothing = (values.argmax(axis=1) == values.shape[1] - 1) & (last > 0)
    if nothing.size and not nothing.mean() >= _NOTHING_SHARE:
        raise MalformedReplyError(
            f"output {name}: the last column is positive and the largest in {nothing.sum()} of "
            f'{nothing.size} rows, expected "nothing" in most of them; perhaps head is '
            f'"{RF_DETR_FROM_1}"'
        )


def _from_floor(corners: Floats, shares: Floats, floor: float) -> Rows:
    """Each row and class from the floor on, best first: one box may be of two classes."""
    rows, codes = np.nonzero(shares >= floor)
    if rows.size > MAX_CANDIDATES:
        raise MalformedReplyError(
            f"{rows.size} candidates reach {floor:g}, expected at most {MAX_CANDIDATES}"
        )
    scores = shares[rows, codes]
    order = np.argsort(-scores, kind="stable")
    return Rows(
        corners=corners[rows[order]],
        scores=scores[order],
        codes=codes[order],
        extra=corners[rows[order], :0],
    )


def recognise(described: Described) -> Recognised:
    """As stated, if the shapes of its two outputs agree."""
    stated, outputs = described.head, described.outputs
    is_stated = stated in HEADS
    if stated != AUTO and not is_stated:
        return None
    shapes = [tensor.shape for tensor in outputs]
    fits = len(outputs) == 2 and all(  # noqa: PLR2004 - boxes, scores
        len(tensor.shape) == HEAD_RANK and tensor.dtype in ("FP32", "FP16") for tensor in outputs
    )
    if not fits or _BOX not in (shapes[0][2], shapes[1][2]):
        told = ", ".join(described.told(tensor) for tensor in outputs)
        expected = f'model {described.model}: {told}; expected {EXPECTS}, as head is "{stated}"'
        return Unfit(expected) if is_stated else None
    if objection := task_objection(described.model, described.notes.task, "detect"):
        return Unfit(objection)
    return _read(described, *_told_apart(outputs))


def _read(described: Described, boxes: TensorDescription, scores: TensorDescription) -> Recognised:
    classes, columns = described.classes, scores.shape[2]
    told = f"model {described.model}: {described.told(boxes)}, {described.told(scores)}"
    possible = {classes: (D_FINE, YOLO_NAS), classes + 1: (DETR, RF_DETR, RF_DETR_FROM_1)}
    head = described.head
    if head == AUTO:
        heads = possible.get(columns, ())
        if not heads:
            return Unfit(
                f"inspection.codes names {classes} classes, but {told} has {columns} columns"
            )
        # A DETR whose recipe has one code too many looks like a D-FINE.
        names = " or ".join(f'"{name}" ({_MEANS[name]})' for name in heads)
        return Ambiguity(f"{told}: what they mean has to be said: [inference] head = {names}")
    if head not in possible.get(columns, ()):
        expected = classes + (head in possible[classes + 1])
        return Unfit(
            f'{told} is no "{head}" head of the {classes} classes that inspection.codes names; '
            f"expected {expected} columns"
        )
    return QueriesReader(
        boxes=boxes.name, scores=scores.name, head=head, classes=classes, input=described.input
    )


def _told_apart(
    outputs: Sequence[TensorDescription],
) -> tuple[TensorDescription, TensorDescription]:
    """Boxes and scores: by the names of known exports, else by the four columns of boxes.

    If both have four columns, the first is the boxes: a mistake is refused at each reply.
    """
    first, second = outputs
    if (second.name, first.name) in _KNOWN:
        return second, first
    if (first.name, second.name) in _KNOWN or first.shape[2] == _BOX:
        return first, second
    return second, first
