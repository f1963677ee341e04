"""A class for each pixel: semantic segmentation. Pure.

    torch.onnx.export(model, ...)       (torchvision, segmentation_models_pytorch: logits)

One output: [N, classes, height, width] or [N, height, width, classes] floats, which are logits or
probabilities as `[inference] head` says; or [N, height, width] whole numbers, a class per pixel.
`[inference] good` names the classes without a defect, such as the background; for a network with
one class that is the rest.

Pixels of one class that touch are one defect, with box, shape and area. Its confidence is the mean
of its pixels'; whole numbers have none and count as certain.
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
    TOLERANCE,
    Floats,
    require_numbers,
    require_outputs,
    require_scores,
)
from inspector.inference.outputs.kind import (
    AUTO,
    Ambiguity,
    Described,
    Recognised,
    Unfit,
    good_is_unknown,
    only_output,
    values_are_unknown,
)
from inspector.inference.outputs.shapes import (
    Mask,
    as_floats,
    outline_of,
    parts_of,
    polygon_of,
    scale_to,
)

EXPECTS = "a class for each pixel [N, classes, height, width]"
PROBABILITIES, LOGITS = "segmentation", "segmentation_logits"
MOST_REGIONS = 50
"""The most regions of a picture and class; the largest ones are kept."""
_SUM_TOLERANCE = 0.02
_SAMPLED_EVERY = 8
"""The step, across and down, at which pixels are checked for a sum of 1."""
_FLAT_RANK, _RANK = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelReader(OutputReader):
    """Reads the parts of a picture whose class is not a good one."""

    output: str
    classes: int
    good: frozenset[int]
    input: ModelInput
    values: str
    """`PROBABILITIES`, `LOGITS`, or nothing for whole numbers."""
    channels_last: bool = False

    @property
    def kind(self) -> str:
        """For people."""
        return "a class for each pixel"

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
        array = reply[self.output]
        if not self.values:
            maps = self._numbers(array, len(regions))
            return [
                self._findings(numbers, None, region, floor)
                for numbers, region in zip(maps, regions, strict=True)
            ]
        planes = self._planes(array, len(regions))
        return [
            self._findings(self._classes(one), one, region, floor)
            for one, region in zip(planes, regions, strict=True)
        ]

    def _numbers(self, array: NDArray[Any], regions: int) -> NDArray[Any]:
        """(regions, height, width): the class of each pixel."""
        if array.ndim == _RANK and 1 in (array.shape[1], array.shape[3]):
            array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
        if array.ndim != _FLAT_RANK or len(array) != regions or array.dtype.kind not in "iu":
            raise MalformedReplyError(
                f"output {self.output} is {array.dtype} {array.shape}, expected whole numbers "
                f"({regions}, height, width)"
            )
        if array.size and not (array.min() >= 0 and array.max() < self.classes):
            raise MalformedReplyError(
                f"class {int(array.max())} reported, inspection.codes names {self.classes}"
            )
        return array

    def _planes(self, array: NDArray[Any], regions: int) -> Floats:
        """(regions, classes, height, width), as the network gave them."""
        if array.ndim == _RANK and self.channels_last:
            array = array.transpose(0, 3, 1, 2)
        if array.ndim != _RANK or array.shape[:2] != (regions, self.classes):
            raise MalformedReplyError(
                f"output {self.output} is {array.shape}, expected ({regions}, {self.classes}, "
                "height, width)"
            )
        if array.dtype.kind != "f" or array.size == 0:
            raise MalformedReplyError(f"output {self.output} is {array.dtype}, expected floats")
        planes = as_floats(array)
        require_numbers(planes, self.output)
        if self.values == PROBABILITIES:
            require_scores(planes)
        if self.classes > 1:
            self._require_sums(planes)
        return planes

    def _require_sums(self, planes: Floats) -> None:
        """Refuse logits that are stated as probabilities, and the reverse."""
        some = planes[:, :, ::_SAMPLED_EVERY, ::_SAMPLED_EVERY]
        off = np.abs(some.sum(axis=1) - 1)
        if self.values == PROBABILITIES and off.max() > _SUM_TOLERANCE:
            raise MalformedReplyError(
                "the classes' probabilities of a pixel do not add up to 1; logits are head = "
                f'"{LOGITS}"'
            )
        if self.values == LOGITS and off.max() <= TOLERANCE and some.min() >= -TOLERANCE:
            raise MalformedReplyError(
                "the classes' values of each pixel add up to 1, as probabilities do, which are "
                f'head = "{PROBABILITIES}"; expected logits'
            )

    def _classes(self, planes: Floats) -> NDArray[np.int16]:
        """(height, width): the likeliest class of each pixel where it is a defect; else -1.

        Most pixels are good: the class is computed only for the others.
        """
        bad = self._bad
        most = planes[bad[0]]
        for number in bad[1:]:
            most = np.maximum(most, planes[number])
        if self.classes == 1:
            defective = most > (0.0 if self.values == LOGITS else 0.5)
        else:
            good = planes[sorted(self.good)].max(axis=0)
            defective = most > good
        classes = np.full(most.shape, -1, np.int16)
        if defective.any():
            classes[defective] = np.array(bad, np.int16)[planes[bad][:, defective].argmax(axis=0)]
        return classes

    @property
    def _bad(self) -> list[int]:
        return [number for number in range(self.classes) if number not in self.good]

    def _findings(
        self, classes: NDArray[Any], planes: Floats | None, region: Region, floor: float
    ) -> list[Finding]:
        scale = scale_to(self.input, classes.shape[1], classes.shape[0])
        findings = []
        for code in self._bad:
            mask = classes == code
            if not mask.any():
                continue
            for rows, columns, part in parts_of(mask, at_most=MOST_REGIONS):
                sure = 1.0 if planes is None else self._sure(planes[:, rows, columns], part, code)
                outline = outline_of(part) if sure >= floor else None
                if outline is None:
                    continue
                outline += (columns.start, rows.start)
                place = polygon_of(outline, scale, region)
                if place is not None:
                    findings.append(Finding(code_index=code, confidence=sure, place=place))
        return sorted(findings, key=lambda found: -found.confidence)

    def _sure(self, planes: Floats, part: Mask, code: int) -> float:
        """The mean confidence of a part's pixels in their class."""
        values = planes[:, part]
        if self.values == PROBABILITIES:
            shares = values[code]
        elif self.classes == 1:
            shares = 1 / (1 + np.exp(-np.clip(values[0], -60, 60)))
        else:
            raised = np.exp(values - values.max(axis=0))
            shares = raised[code] / raised.sum(axis=0)
        return min(float(shares.mean()), 1.0)


def recognise(described: Described) -> Recognised:
    """By the shape and type of its only output, where it is stated what its values are."""
    output = only_output(described, (PROBABILITIES, LOGITS))
    if output is None:
        return None
    is_stated = described.head != AUTO
    shape, model, classes = output.shape, described.model, described.classes
    if "INT" in output.dtype:
        is_map = len(shape) == _FLAT_RANK or (len(shape) == _RANK and 1 in (shape[1], shape[3]))
        if is_stated:
            return Unfit(f"model {model}: {described.told(output)}; expected floats")
        if not is_map:
            return None
        return good_is_unknown(described) if _lacks_good(described) else _reader(described, "")
    if len(shape) != _RANK or shape[2] == shape[3] == 1:
        told = f"model {model}: {described.told(output)}; expected [N,classes,height,width]"
        return Unfit(told) if is_stated else None
    if classes not in (shape[1], shape[3]):
        return Unfit(
            f"inspection.codes names {classes} classes, but model {model} has "
            f"{described.told(output)}; expected an axis of that length (the background is a class)"
        )
    if shape[1] == shape[3] == classes:
        return Ambiguity(f"model {model}: {described.told(output)}: which axis are the classes?")
    if not is_stated:
        return values_are_unknown(described, "a class for each pixel", (PROBABILITIES, LOGITS))
    if _lacks_good(described):
        return good_is_unknown(described)
    return _reader(described, described.head, channels_last=shape[1] != classes)


def _lacks_good(described: Described) -> bool:
    is_all = len(described.good) == described.classes
    needs = described.classes > 1 or "INT" in described.outputs[0].dtype
    return is_all or (needs and not described.good)


def _reader(described: Described, values: str, *, channels_last: bool = False) -> PixelReader:
    return PixelReader(
        output=described.outputs[0].name,
        classes=described.classes,
        good=described.good,
        input=described.input,
        values=values,
        channels_last=channels_last,
    )
