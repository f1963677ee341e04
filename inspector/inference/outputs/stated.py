"""One head with a stated layout, because its shape fits several. Pure."""

from __future__ import annotations

from inspector.core.records import OutputReader
from inspector.inference.outputs import yolo
from inspector.inference.outputs.checks import task_objection
from inspector.inference.outputs.kind import (
    END_TO_END,
    RT_DETR,
    Described,
    Recognised,
    Unfit,
    stated_head,
)
from inspector.inference.outputs.rows import END_TO_END_COLUMNS, RowsReader
from inspector.inference.outputs.yolo import (
    HEAD_RANK,
    OTHER_TASKS,
    UNKNOWN,
    Head,
    HeadLayout,
    YoloReader,
)

EXPECTS = yolo.EXPECTS

_LAYOUTS = {
    "transposed": HeadLayout.TRANSPOSED,
    "with_objectness": HeadLayout.WITH_OBJECTNESS,
    "candidates_first": HeadLayout.CANDIDATES_FIRST,
}


def recognise(described: Described) -> Recognised:
    """As stated, if the shape agrees."""
    stated = stated_head(described)
    has_masks = any(len(tensor.shape) > HEAD_RANK for tensor in described.outputs)
    if stated not in (*_LAYOUTS, END_TO_END, RT_DETR) or has_masks:
        return None
    if described.notes.task in OTHER_TASKS:
        return None
    model, wanted, expected = described.model, described.classes, _columns(described, stated)
    if len(described.outputs) != 1:
        names = ", ".join(tensor.name for tensor in described.outputs)
        return Unfit(f'model {model} has outputs {names}; expected one, as head is "{stated}"')
    (tensor,) = described.outputs
    told = f'output "{tensor.name}" {list(tensor.shape)}'
    if tensor.dtype != "FP32" or len(tensor.shape) != HEAD_RANK:
        return Unfit(f"model {model}: {told} is {tensor.dtype}; expected FP32 [N,rows,columns]")
    rows, columns = tensor.shape[1:]
    if stated == "transposed":
        rows, columns = columns, rows
    if columns not in (expected, UNKNOWN):
        return Unfit(
            f'model {model}: {told} is no "{stated}" head of the {wanted} classes that '
            f"inspection.codes names; expected {expected} columns where it has {columns}"
        )
    if objection := task_objection(model, described.notes.task, "detect"):
        return Unfit(objection)
    return _reader(described, stated, tensor.name, rows)


def _columns(described: Described, stated: str) -> int:
    if stated == END_TO_END:
        return END_TO_END_COLUMNS
    return described.classes + (5 if stated == "with_objectness" else 4)


def _reader(described: Described, stated: str, output: str, rows: int) -> OutputReader:
    if stated in (END_TO_END, RT_DETR):
        return RowsReader(
            output=output,
            queries=stated == RT_DETR,
            classes=described.classes,
            input=described.input,
        )
    candidates = () if rows == UNKNOWN else (rows,)
    head = Head(_LAYOUTS[stated], described.classes, candidates)
    return YoloReader(output=output, head=head, input=described.input)
