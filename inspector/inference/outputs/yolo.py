"""Raw YOLO heads, before non-maximum suppression: identified by their shape, or refused. Pure.

Many exports share a shape with another one, and read in the wrong way they report nothing at all:
a one-class end-to-end export [300, 6] read as a YOLOv5 head multiplies each score by the class
number, which is 0. So a shape is read only if exactly one reading fits it. The number of rows is
evidence: a YOLO head has its candidates for every cell of its grids, and the size of the picture
gives the number of cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.records import Finding, ModelInput, OutputReader, Region
from inspector.inference.description import TensorDescription
from inspector.inference.outputs.checks import (
    SHARE_PX,
    TOLERANCE,
    Floats,
    findings_of_rows,
    require_numbers,
    require_outputs,
    require_scores,
    task_objection,
)
from inspector.inference.outputs.kind import (
    END_TO_END,
    RT_DETR,
    RT_DETR_ROWS,
    Ambiguity,
    Described,
    Recognised,
    Unfit,
    stated_head,
)

EXPECTS = "one raw YOLO head"
HEAD_RANK = 3
MAX_CANDIDATES = 3000
"""Above the floor, per region: a head that fires everywhere is broken, and suppressing its 25200
candidates held the event loop for 47 s."""


ANCHORS = 3
"""How many candidates a cell has in a head with objectness: YOLOv5 and v7."""
UNKNOWN = -1
_STRIDES = (4, 8, 16, 32, 64, 128)
_USUAL_STRIDES = (8, 16, 32)
_COARSEST_FIRST_STRIDE = 16
"""A head with anchors has a grid at least as fine as this; yolov3-tiny begins there."""
MOST_KEPT = 1000
"""The most rows that a suppression or a query decoder leaves; 100, 300 and 900 are usual."""
_END_TO_END_COLUMNS = 6
OTHER_TASKS = ("obb", "segment", "classify")
"""Tasks of Ultralytics' models that have kinds of their own."""


class HeadLayout(StrEnum):
    """What the axes of a head mean."""

    WITH_OBJECTNESS = "[candidates, 5 + classes]"
    """cx, cy, w, h, objectness, then one score per class (YOLOv5 and v7)."""
    TRANSPOSED = "[4 + classes, candidates]"
    """cx, cy, w, h, then one score per class, column per candidate (YOLOv8 and later)."""
    CANDIDATES_FIRST = "[candidates, 4 + classes]"
    """The same with its axes swapped; read only if that is stated."""


@dataclass(frozen=True, slots=True)
class Head:
    """A raw head that is understood."""

    layout: HeadLayout
    classes: int
    candidates: tuple[int, ...]
    """The possible numbers of candidates; one number if the description names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadShape:
    """An output [N, rows, columns] of a model for pictures of this size; -1 is not known."""

    rows: int
    columns: int
    width_px: int
    height_px: int

    def readings(self) -> list[Head]:
        """Every understood head that has this shape."""
        found = []
        anchored, plain = self._with_anchors(), self._one_per_cell()
        if _may_be(self.rows, anchored) and self.columns > 5:  # noqa: PLR2004 - box, objectness
            exact = anchored if self.rows == UNKNOWN else (self.rows,)
            found.append(Head(HeadLayout.WITH_OBJECTNESS, self.columns - 5, exact))
        if _may_be(self.columns, plain) and self.rows > 4:  # noqa: PLR2004 - the box
            exact = plain if self.columns == UNKNOWN else (self.columns,)
            found.append(Head(HeadLayout.TRANSPOSED, self.rows - 4, exact))
        return found

    def other_readings(self) -> list[tuple[str, str]]:
        """Every export that has this shape and is read only if its layout is stated.

        In words, and as `[inference] head` names it.
        """
        others = []
        sure = self.rows > MOST_KEPT and self.rows in self._with_anchors()
        if self.columns == _END_TO_END_COLUMNS and not sure:
            told = "an end-to-end export (left, top, right, bottom, score, class number)"
            others.append((told, END_TO_END))
        few = 0 < self.rows <= MOST_KEPT and self.rows % 100 == 0
        if few and self.columns > 4 and self.columns not in self._one_per_cell():  # noqa: PLR2004
            others.append((f"an RT-DETR head of {_classes(self.columns - 4)}", RT_DETR))
            if self.columns == _END_TO_END_COLUMNS:
                told = "rows of an RT-DETR (centre and size in shares, score, class number)"
                others.append((told, RT_DETR_ROWS))
        if self.rows in self._pyramids() and self.columns > 5:  # noqa: PLR2004
            one, two = _classes(self.columns - 4), _classes(self.columns - 5)
            others += [
                (f"a YOLOv8 head of {one} with its axes swapped", "candidates_first"),
                (f"a YOLOX head of {two} in pixels", "with_objectness"),
                (f"a YOLOX head of {two} that is not decoded", "yolox"),
            ]
        return others

    def objection(self, classes: int) -> str:
        """Why this is not the head of a model with this many classes; follows the output's name."""
        if others := self.other_readings():
            told = ", or like ".join(words for words, _ in others)
            heads = " or ".join(f'"{name}"' for _, name in others)
            return f"looks like {told}; which it is has to be said: [inference] head = {heads}"
        usual = sum(self._cells(stride) for stride in _USUAL_STRIDES)
        return (
            f"is no YOLO head for pictures of {self.width_px}x{self.height_px}; expected FP32 "
            f"[N,{ANCHORS * usual},{5 + classes}] or [N,{4 + classes},{usual}]"
        )

    def _one_per_cell(self) -> tuple[int, ...]:
        return self._cells_of_grids(least=1, coarsest_first=_STRIDES[-1])

    def _with_anchors(self) -> tuple[int, ...]:
        return tuple(ANCHORS * cells for cells in self._pyramids())

    def _pyramids(self) -> tuple[int, ...]:
        return self._cells_of_grids(least=2, coarsest_first=_COARSEST_FIRST_STRIDE)

    def _cells_of_grids(self, *, least: int, coarsest_first: int) -> tuple[int, ...]:
        """The possible numbers of cells, for strides with at least this many grids."""
        cells = [self._cells(stride) for stride in _STRIDES]
        return tuple(
            sum(cells[first:end])
            for first, stride in enumerate(_STRIDES)
            if stride <= coarsest_first
            for end in range(first + least, len(_STRIDES) + 1)
        )

    def _cells(self, stride: int) -> int:
        """Cells of a grid, including a partly filled last one."""
        return -(-self.width_px // stride) * -(-self.height_px // stride)


def _may_be(number: int, allowed: tuple[int, ...]) -> bool:
    return number == UNKNOWN or number in allowed


def _classes(number: int) -> str:
    return "1 class" if number == 1 else f"{number} classes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A picture's candidates, row by row."""

    corners: Floats
    """(rows, 4): left, top, right, bottom in pixels of the model's input."""
    scores: Floats
    codes: NDArray[np.int64]
    extra: Floats
    """(rows, columns): the columns behind the scores, such as coefficients of masks."""

    def of(self, chosen: NDArray[Any]) -> Rows:
        """Some of the rows, chosen by a mask or by their numbers."""
        return Rows(
            corners=self.corners[chosen],
            scores=self.scores[chosen],
            codes=self.codes[chosen],
            extra=self.extra[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloReader(OutputReader):
    """Reads one raw head, and does the suppression that the model leaves to us."""

    output: str
    head: Head
    input: ModelInput
    extra: int = 0
    """Columns behind the scores that mean something else: coefficients of masks, or an angle."""

    @property
    def kind(self) -> str:
        """For people."""
        return f"a YOLO head {self.head.layout.value}"

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
        """See `OutputReader`."""
        rows = self.rows(reply, len(regions), floor=floor, nms_iou=nms_iou)
        found = [(row.corners, row.scores, row.codes) for row in rows]
        return findings_of_rows(found, regions, self.input, floor)

    def rows(
        self, reply: Mapping[str, NDArray[Any]], regions: int, *, floor: float, nms_iou: float
    ) -> list[Rows]:
        """Each region's candidates after suppression within each class."""
        return [one.of(kept(one, nms_iou)) for one in self.candidates(reply, regions, floor=floor)]

    def candidates(
        self, reply: Mapping[str, NDArray[Any]], regions: int, *, floor: float
    ) -> list[Rows]:
        """Each region's candidates from the floor on, before suppression."""
        require_outputs(reply, self.outputs)
        head = self._checked(reply[self.output], regions)
        for one in head:
            self._require_dense(one, floor)
        return [_candidates(one, self.head, floor) for one in head]

    @property
    def _has_objectness(self) -> bool:
        return self.head.layout is HeadLayout.WITH_OBJECTNESS

    def _checked(self, head: NDArray[Any], regions: int) -> Floats:
        """The raw head, checked: (n, candidates, 5 + classes) or (n, 4 + classes, c)."""
        layout, classes = self.head.layout, self.head.classes
        axis = 1 if layout is HeadLayout.TRANSPOSED else 2
        width = classes + self.extra + (5 if self._has_objectness else 4)
        if head.ndim != HEAD_RANK or head.shape[0] != regions or head.shape[axis] != width:
            raise MalformedReplyError(
                f"output {self.output} is {head.shape}, expected {regions} x "
                f"{self.head.layout.value}"
            )
        if head.dtype.kind != "f":
            raise MalformedReplyError(f"output {self.output} is {head.dtype}, expected floats")
        candidates = head.shape[3 - axis]
        if self.head.candidates and candidates not in self.head.candidates:
            raise MalformedReplyError(
                f"output {self.output} has {candidates} candidates, which is no grid of "
                f"{self.input.width_px}x{self.input.height_px}"
            )
        require_numbers(head, self.output)
        sure = slice(4, width - self.extra)
        require_scores(head[:, sure, :] if axis == 1 else head[:, :, sure])
        is_swapped = layout is HeadLayout.CANDIDATES_FIRST
        return head.transpose(0, 2, 1) if is_swapped else head

    def _require_dense(self, head: Floats, floor: float) -> None:
        """Refuse values that no grid of candidates can hold: they have another meaning.

        Every cell of the picture has its candidates, confident or not, so the checks also work for
        a picture without findings. They distinguish a misread reply from one without defects.
        """
        with_objectness = self._has_objectness
        columns = head.T if with_objectness else head
        centres, sizes = columns[:2], columns[2:4]
        filled = columns[:4].any(axis=0)
        # Not for a head whose candidates are mostly zeros: they prove nothing.
        if 2 * np.count_nonzero(filled) > filled.size:
            if centres.max() <= SHARE_PX:
                raise MalformedReplyError(
                    "all centres lie in one pixel, expected pixels, not shares"
                )
            if (sizes >= centres)[:, filled].all():
                raise MalformedReplyError("the boxes are corners, expected centre and size")
        if sizes.min(initial=0.0) < -TOLERANCE:
            raise MalformedReplyError(
                f"a candidate is {sizes.min():g} pixels wide or high: the head is not decoded"
            )
        scores = columns[5 : 5 + self.head.classes]
        if with_objectness and columns[4].max(initial=0.0) >= floor and not scores.any():
            raise MalformedReplyError(
                f"objectness reaches {columns[4].max():g}, and no candidate has a class: "
                "the columns mean something else"
            )


def _candidates(head: Floats, of: Head, floor: float) -> Rows:
    """One region's candidates from the floor on, best first."""
    if of.layout is HeadLayout.WITH_OBJECTNESS:
        columns = head.T
        per_class = columns[4] * columns[5 : 5 + of.classes]
        extra = columns[5 + of.classes :]
    else:
        columns = head
        per_class, extra = columns[4 : 4 + of.classes], columns[4 + of.classes :]
    scores = per_class.max(axis=0)
    above = np.flatnonzero(scores >= floor)
    if above.size > MAX_CANDIDATES:
        raise MalformedReplyError(
            f"{above.size} candidates reach {floor:g}, expected at most {MAX_CANDIDATES}"
        )
    order = above[np.argsort(-scores[above], kind="stable")]
    centres = columns[:4, order].T
    half = centres[:, 2:] / 2
    return Rows(
        corners=np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1),
        scores=scores[order],
        codes=per_class[:, order].argmax(axis=0),
        extra=extra[:, order].T,
    )


def kept(rows: Rows, nms_iou: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression within each class; rows must be sorted, best first."""
    corners, codes, order = rows.corners, rows.codes, np.arange(len(rows.scores))
    chosen: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        chosen.append(int(best))
        overlaps = _iou(corners[best], corners[rest]) > nms_iou
        order = rest[~(overlaps & (codes[rest] == codes[best]))]
    return np.array(chosen, np.int64)


def _iou(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box (4,) with others (n, 4), as corners."""
    top_left = np.maximum(box[:2], others[:, :2])
    bottom_right = np.minimum(box[2:], others[:, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=1)
    area = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1)
    overlap: Floats = shared / np.maximum(area - shared, 1e-9)
    return overlap


def recognise(described: Described) -> Recognised:
    """By the shape of its only output, if exactly one reading fits it."""
    if len(described.outputs) != 1 or stated_head(described):
        return None
    if described.notes.task in OTHER_TASKS or len(described.outputs[0].shape) != HEAD_RANK:
        return None
    (head,) = described.outputs
    model, classes = described.model, described.classes
    if "INT" in head.dtype:
        return None
    if head.dtype != "FP32":
        return Unfit(
            f'model {model}: output "{head.name}" is {head.dtype} {list(head.shape)}; expected a '
            f"YOLO head, FP32 [N,candidates,{5 + classes}] or [N,{4 + classes},candidates]"
        )
    shape = HeadShape(
        rows=head.shape[1],
        columns=head.shape[2],
        width_px=described.input.width_px,
        height_px=described.input.height_px,
    )
    told = f'output "{head.name}" {list(head.shape)}'
    if shape.other_readings():
        return Ambiguity(f"model {model}: {told} {shape.objection(classes)}")
    readings = shape.readings()
    if not readings:
        return Unfit(f"model {model}: {told} {shape.objection(classes)}")
    for reading in readings:
        if reading.classes == classes:
            return _unless_contradicted(described, head, reading)
    return Unfit(_other_classes(described, readings[0], told))


def _unless_contradicted(described: Described, head: TensorDescription, of: Head) -> Recognised:
    """Refuse a reading that the exporting program's notes contradict."""
    if objection := task_objection(described.model, described.notes.task, "detect"):
        return Unfit(objection)
    if described.notes.suppresses:
        return Unfit(
            f"model {described.model}: its metadata says that it answers after non-maximum "
            "suppression (end2end or nms); expected the head without it (nms=False, end2end=False)"
        )
    return YoloReader(output=head.name, head=of, input=described.input)


def _other_classes(described: Described, has: Head, told: str) -> str:
    angle = ""
    if has.layout is HeadLayout.TRANSPOSED and has.classes == described.classes + 1:
        angle = (
            "; one of oriented boxes, whose last row is an angle, has to be called so: "
            '[inference] head = "oriented"'
        )
    return (
        f"inspection.codes names {described.classes} classes, but model {described.model} has "
        f"{has.classes} ({told}){angle}"
    )
