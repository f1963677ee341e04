"""Which raw detection head the shape of a tensor tells: pure decisions.

Many exports share a shape with another one, and read by the wrong rule they report nothing at all:
a one-class end-to-end export [300, 6] read as a YOLOv5 head multiplies each score by the class
number, which is 0. So a shape is read only where one reading fits it. The number of rows is
evidence: a YOLO head has its candidates for every cell of its grids, and the size of the picture
gives the number of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

from inspector.core.records import OutputLayout

ANCHORS = 3
"""Candidates per cell of a head with objectness: YOLOv5 and v7."""
UNKNOWN = -1
_STRIDES = (4, 8, 16, 32, 64, 128)
_USUAL_STRIDES = (8, 16, 32)
_COARSEST_FIRST_STRIDE = 16
"""A head with anchors has a grid at least as fine as this; yolov3-tiny begins there."""
_MOST_KEPT = 1000
"""Rows that a suppression or a query decoder leaves; 100, 300 and 900 are usual."""
_END_TO_END_COLUMNS = 6

_WAY_OUT = (
    "export the head without its suppression (Ultralytics: nms=False, end2end=False), or deploy it "
    "behind an ensemble that answers boxes, scores, classes and count"
)


@dataclass(frozen=True, slots=True)
class Head:
    """A raw head that is understood."""

    layout: OutputLayout
    classes: int
    candidates: tuple[int, ...]
    """How many it may have; one number where the description names it."""


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
            found.append(Head(OutputLayout.YOLO_WITH_OBJECTNESS, self.columns - 5, exact))
        if _may_be(self.columns, plain) and self.rows > 4:  # noqa: PLR2004 - the box
            exact = plain if self.columns == UNKNOWN else (self.columns,)
            found.append(Head(OutputLayout.YOLO_TRANSPOSED, self.rows - 4, exact))
        return found

    def other_readings(self) -> list[str]:
        """In words, every export with this shape that is not understood."""
        others = []
        sure = self.rows > _MOST_KEPT and self.rows in self._with_anchors()
        if self.columns == _END_TO_END_COLUMNS and not sure:
            others.append("an end-to-end export (left, top, right, bottom, score, class number)")
        few = 0 < self.rows <= _MOST_KEPT and self.rows % 100 == 0
        if few and self.columns > 4 and self.columns not in self._one_per_cell():  # noqa: PLR2004
            others.append(f"an RT-DETR head of {_classes(self.columns - 4)}")
        if self.rows in self._pyramids() and self.columns > 5:  # noqa: PLR2004
            one, two = _classes(self.columns - 4), _classes(self.columns - 5)
            others += [f"a YOLOv8 head of {one} with its axes swapped", f"a YOLOX head of {two}"]
        return others

    def objection(self, classes: int) -> str:
        """Why this is not the head of a model of so many classes, after the output's name."""
        if others := self.other_readings():
            told = ", or like ".join(others)
            return f"looks like {told}; this is not read here: {_WAY_OUT}"
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
        """Of every run of strides with at least so many grids."""
        cells = [self._cells(stride) for stride in _STRIDES]
        return tuple(
            sum(cells[first:end])
            for first, stride in enumerate(_STRIDES)
            if stride <= coarsest_first
            for end in range(first + least, len(_STRIDES) + 1)
        )

    def _cells(self, stride: int) -> int:
        """A grid covers what does not fill its last cell, too."""
        return -(-self.width_px // stride) * -(-self.height_px // stride)


def _may_be(number: int, allowed: tuple[int, ...]) -> bool:
    return number == UNKNOWN or number in allowed


def _classes(number: int) -> str:
    return "1 class" if number == 1 else f"{number} classes"
