"""Boxes after non-maximum suppression: our own ensembles, and TensorRT's EfficientNMS. Pure.

    python export.py --weights best.pt --grid --end2end     (YOLOv7: num_dets, det_boxes, …)

Both mean the same under different names: corners in pixels, scores, class numbers, and how many of
the rows are valid.
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
    findings_of,
    require_boxes,
    require_numbers,
    require_outputs,
    require_scores,
    task_objection,
)
from inspector.inference.outputs.kind import Described, Recognised, Unfit

OUTPUTS = ("boxes", "scores", "classes", "count")
EFFICIENT_NMS = ("det_boxes", "det_scores", "det_classes", "num_dets")
"""Names of NVIDIA's plug-in, and of the exports that use it."""
EXPECTS = ", ".join(OUTPUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionsReader(OutputReader):
    """Reads `boxes` [N, room, 4], `scores` and `classes` [N, room], and `count` [N, 1].

    Corners are in pixels of the model's input, and only the first `count` rows are valid.
    """

    input: ModelInput
    classes: int
    names: tuple[str, str, str, str] = OUTPUTS
    """Of the boxes, scores, classes and count."""

    @property
    def kind(self) -> str:
        """For people."""
        return ", ".join(self.names)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return self.names

    def decode(
        self,
        reply: Mapping[str, NDArray[Any]],
        regions: tuple[Region, ...],
        *,
        floor: float,
        nms_iou: float,
    ) -> list[list[Finding]]:
        """See `OutputReader`; the model did the suppression."""
        del nms_iou
        require_outputs(reply, self.names)
        boxes, scores, codes, used = self._checked(reply, len(regions))
        sure = used & (scores >= floor)
        if not sure.any():
            return [[] for _ in regions]
        require_boxes(boxes[sure], self.input)
        return [
            findings_of(boxes[i, sure[i]], scores[i, sure[i]], codes[i, sure[i]], region, floor)
            for i, region in enumerate(regions)
        ]

    def _checked(
        self, reply: Mapping[str, NDArray[Any]], regions: int
    ) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.bool_]]:
        """Boxes, scores, codes, and which of the rows are valid."""
        boxes, scores, codes, counts = (np.asarray(reply[name]) for name in self.names)
        room = scores.shape[1] if scores.ndim == 2 else -1  # noqa: PLR2004 - region, row
        for array, shape, kinds, name in zip(
            (boxes, scores, codes, counts),
            ((regions, room, 4), (regions, room), (regions, room), (regions, 1)),
            ("f", "f", "iu", "iu"),
            self.names,
            strict=True,
        ):
            if array.shape != shape:
                raise MalformedReplyError(f"output {name} is {array.shape}, expected {shape}")
            if array.dtype.kind not in kinds:
                wanted = "floats" if kinds == "f" else "integers"
                raise MalformedReplyError(f"output {name} is {array.dtype}, expected {wanted}")
        counts = counts[:, 0].astype(np.int64)
        if counts.min() < 0 or counts.max() > room:
            raise MalformedReplyError(f"count is {counts.tolist()}, expected 0 to {room}")
        used = np.arange(room)[None, :] < counts[:, None]
        codes = codes.astype(np.int64)
        if (reported := codes[used]).size:
            require_numbers(boxes[used], self.names[0])
            require_scores(scores[used])
            if not (reported.min() >= 0 and reported.max() < self.classes):
                raise MalformedReplyError(
                    f"class {int(reported.max())} reported, inspection.codes names {self.classes}"
                )
        return boxes, scores, codes, used


def recognise(described: Described) -> Recognised:
    """By the names of its outputs."""
    by_name = {tensor.name: tensor for tensor in described.outputs}
    complete = [names for names in (OUTPUTS, EFFICIENT_NMS) if by_name.keys() >= set(names)]
    if not complete:
        return None
    names = complete[0]
    for output, kind in zip(names, ("FP", "FP", "INT", "INT"), strict=True):
        dtype = by_name[output].dtype
        if kind not in dtype:
            wanted = "integers" if kind == "INT" else "floats"
            return Unfit(
                f'model {described.model}: output "{output}" is {dtype}; expected {wanted}'
            )
    if objection := task_objection(described.model, described.notes.task, "detect"):
        return Unfit(objection)
    return DetectionsReader(input=described.input, classes=described.classes, names=names)
