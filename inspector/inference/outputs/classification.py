"""One class for the whole picture: classification networks. Pure.

    yolo export model=best-cls.pt format=onnx dynamic=True      (its metadata says that it is one)
    torch.onnx.export(model, ...)                               (torchvision, timm: logits)

One output [N, classes]. Probabilities and logits look alike in a description, so `[inference]
head` says which they are, and each reply is held to it. Which class means that nothing is wrong
stands in `[inference] good`.

The claim is that the unit is not good: its confidence is 1 minus that of all good classes together,
and its code is the likeliest other class. A network that hesitates between two kinds of damage is
still certain that there is damage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.records import Finding, OutputReader, Region
from inspector.inference.outputs.checks import (
    TOLERANCE,
    Floats,
    require_numbers,
    require_outputs,
    require_scores,
)
from inspector.inference.outputs.kind import (
    AUTO,
    Described,
    Recognised,
    Unfit,
    good_is_unknown,
    only_output,
    values_are_unknown,
)
from inspector.inference.outputs.shapes import all_of, as_floats

EXPECTS = "one class for the whole picture [N, classes]"
PROBABILITIES, LOGITS = "classification", "classification_logits"
_SUM_TOLERANCE = 0.02
"""Half floats of a thousand classes add up to less than this beside one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassReader(OutputReader):
    """Reads how sure a network is of each class."""

    output: str
    classes: int
    good: frozenset[int]
    logits: bool

    @property
    def kind(self) -> str:
        """For people."""
        return "a class for the whole picture"

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
        shares = self._shares(reply[self.output], len(regions))
        bad = [number for number in range(self.classes) if number not in self.good]
        if self.classes == 1:
            surely_bad = shares[:, 0]
        else:
            surely_bad = 1 - shares[:, sorted(self.good)].sum(axis=1)
        codes = np.array(bad)[shares[:, bad].argmax(axis=1)]
        return [
            [Finding(code_index=code, confidence=min(max(sure, 0.0), 1.0), place=all_of(region))]
            if sure >= floor
            else []
            for sure, code, region in zip(surely_bad.tolist(), codes.tolist(), regions, strict=True)
        ]

    def _shares(self, values: NDArray[Any], regions: int) -> Floats:
        """(regions, classes): how likely each class is, 0 to 1."""
        wanted = (regions, self.classes)
        if math.prod(values.shape) != math.prod(wanted) or values.shape[:2] != wanted:
            raise MalformedReplyError(f"output {self.output} is {values.shape}, expected {wanted}")
        if values.dtype.kind != "f":
            raise MalformedReplyError(f"output {self.output} is {values.dtype}, expected floats")
        values = as_floats(values.reshape(wanted))
        require_numbers(values, self.output)
        if self.logits:
            return self._of_logits(values)
        require_scores(values)
        sums = values.sum(axis=1)
        if self.classes > 1 and np.abs(sums - 1).max() > _SUM_TOLERANCE:
            raise MalformedReplyError(
                f"the classes' probabilities add up to {sums[np.abs(sums - 1).argmax()]:g}, "
                f'expected 1; logits are head = "{LOGITS}"'
            )
        return values

    def _of_logits(self, values: Floats) -> Floats:
        if self.classes == 1:
            single: Floats = as_floats(1 / (1 + np.exp(-np.clip(values, -60, 60))))
            return single
        if values.min() >= -TOLERANCE and np.abs(values.sum(axis=1) - 1).max() <= TOLERANCE:
            raise MalformedReplyError(
                f"the classes' values add up to 1, as probabilities do, which are head = "
                f'"{PROBABILITIES}"; expected logits'
            )
        raised = np.exp(values - values.max(axis=1, keepdims=True))
        shares: Floats = raised / raised.sum(axis=1, keepdims=True)
        return shares


def recognise(described: Described) -> Recognised:
    """By the shape of its only output, where it is stated what its values are."""
    output = only_output(described, (PROBABILITIES, LOGITS))
    if output is None:
        return None
    is_stated, of_task = described.head != AUTO, described.notes.task == "classify"
    shape, model = output.shape, described.model
    is_flat = len(shape) > 1 and all(side == 1 for side in shape[2:])
    if not is_flat or output.dtype not in ("FP32", "FP16") or len(shape) == 3:  # noqa: PLR2004
        told = f"model {model}: {described.told(output)}; expected floats [N,classes]"
        return Unfit(told) if is_stated or of_task else None
    if shape[1] != described.classes:
        return Unfit(
            f"inspection.codes names {described.classes} classes, but model {model} has {shape[1]} "
            f"({described.told(output)})"
        )
    if not is_stated and not of_task:
        return values_are_unknown(described, "classes of pictures", (PROBABILITIES, LOGITS))
    if len(described.good) == described.classes or (described.classes > 1 and not described.good):
        return good_is_unknown(described)
    return ClassReader(
        output=output.name,
        classes=described.classes,
        good=described.good,
        logits=described.head == LOGITS,
    )
