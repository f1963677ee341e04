"""How unlike good units a picture is, and where: Anomalib's exports, and taught models. Pure.

    anomalib export --model Padim --ckpt_path model.ckpt --export_type onnx

The outputs have Anomalib's names: `pred_score` [N] or [N, 1], and, where the model has them,
`anomaly_map` [N, 1, height, width], `pred_mask` of the same shape, and `pred_label`. Scores are
normalised: 0.5 is the threshold that was found in training, so that the code's threshold is 0.5
unless the settings say otherwise.

The score of the picture decides whether anything is claimed. The map says where: each part of the
mask becomes a region. The one that differs most has the picture's score, and each other one
proportionally less by its highest point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.recipes import ANOMALY, ANOMALY_THRESHOLD
from inspector.core.records import Finding, ModelInput, OutputReader, Region
from inspector.inference.outputs.checks import (
    Floats,
    require_numbers,
    require_outputs,
    require_scores,
    task_objection,
)
from inspector.inference.outputs.kind import Described, Recognised, Unfit
from inspector.inference.outputs.shapes import (
    Mask,
    all_of,
    as_floats,
    outline_of,
    parts_of,
    polygon_of,
    scale_to,
)

SCORE, MAP, MASK, LABEL = "pred_score", "anomaly_map", "pred_mask", "pred_label"
EXPECTS = f"{SCORE}, with {MAP} and {MASK} where there are some"
MOST_REGIONS = 20
"""The most regions of a picture. A map with more is noise, or does not show a unit."""
_BORDER_TOLERANCE = 0.02
"""Scores this near to the threshold may be rounded to its other side."""
_OF_PEAK = 0.8
"""Without a mask, a place extends down to this share of its highest point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyReader(OutputReader):
    """Reads a score per picture, and the places that it comes from if the model gives them."""

    tensors: tuple[str, ...]
    input: ModelInput

    @property
    def kind(self) -> str:
        """For people."""
        return "an anomaly score" + (" and map" if MAP in self.tensors else "")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return self.tensors

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
        require_outputs(reply, self.tensors)
        count = len(regions)
        scores = self._scores(reply, count)
        maps = self._planes(reply, MAP, count)
        masks = self._planes(reply, MASK, count)
        if maps is not None:
            require_scores(maps)
        found: list[list[Finding]] = []
        for row, region in enumerate(regions):
            score = min(float(scores[row]), 1.0)
            if score < floor:
                found.append([])
                continue
            heat = None if maps is None else maps[row]
            mask = _mask(heat, None if masks is None else masks[row] > 0)
            found.append(self._findings(score, heat, mask, region))
        return found

    def _scores(self, reply: Mapping[str, NDArray[Any]], count: int) -> Floats:
        scores = reply[SCORE]
        if scores.shape not in ((count,), (count, 1)) or scores.dtype.kind != "f":
            raise MalformedReplyError(
                f"output {SCORE} is {scores.dtype} {scores.shape}, expected floats ({count},)"
            )
        scores = as_floats(scores.reshape(count))
        require_numbers(scores, SCORE)
        require_scores(scores)
        if LABEL in self.tensors:
            _require_border(scores, reply[LABEL])
        return scores

    def _planes(
        self, reply: Mapping[str, NDArray[Any]], name: str, count: int
    ) -> NDArray[Any] | None:
        """(regions, height, width) of a map or mask; None where the model has none."""
        if name not in self.tensors:
            return None
        planes = reply[name]
        if planes.ndim == 4 and planes.shape[1] == 1:  # noqa: PLR2004 - a channel
            planes = planes[:, 0]
        if planes.ndim != 3 or planes.shape[0] != count or 0 in planes.shape:  # noqa: PLR2004
            raise MalformedReplyError(
                f"output {name} is {reply[name].shape}, expected ({count}, 1, height, width)"
            )
        if name == MASK:
            return planes
        planes = as_floats(planes)
        require_numbers(planes, name)
        return planes

    def _findings(
        self, score: float, heat: Floats | None, mask: Mask | None, region: Region
    ) -> list[Finding]:
        """At least one finding: a score is never lost because its place is unknown."""
        seen = []
        if mask is not None:
            scale = scale_to(self.input, mask.shape[1], mask.shape[0])
            for rows, columns, part in parts_of(mask, at_most=MOST_REGIONS):
                outline = outline_of(part)
                if outline is None:
                    continue
                outline += (columns.start, rows.start)
                place = polygon_of(outline, scale, region)
                peak = 1.0 if heat is None else float(heat[rows, columns][part].max())
                if place is not None:
                    seen.append((peak, place))
        highest = max((peak for peak, _ in seen), default=0.0)
        if not seen:
            return [Finding(code_index=0, confidence=score, place=all_of(region))]
        findings = [
            Finding(
                code_index=0,
                confidence=score * (peak / highest if highest > 0 else 1.0),
                place=place,
            )
            for peak, place in seen
        ]
        return sorted(findings, key=lambda finding: -finding.confidence)


def _mask(heat: Floats | None, mask: Mask | None) -> Mask | None:
    """Where something is unlike good units; None if that is unknown."""
    if mask is None and heat is not None:
        mask = heat >= ANOMALY_THRESHOLD
    if heat is not None and mask is not None and not mask.any():
        # The picture is above its threshold and no pixel is above theirs.
        peak = float(heat.max())
        return heat >= _OF_PEAK * peak if peak > 0 and heat.min() < _OF_PEAK * peak else None
    return mask


def _require_border(scores: Floats, labels: NDArray[Any]) -> None:
    """Refuse scores with another threshold than ours: they are not normalised."""
    if labels.size != scores.size:
        raise MalformedReplyError(f"output {LABEL} is {labels.shape}, expected ({scores.size},)")
    is_bad = labels.reshape(scores.size).astype(bool)
    below = is_bad & (scores < ANOMALY_THRESHOLD - _BORDER_TOLERANCE)
    above = ~is_bad & (scores > ANOMALY_THRESHOLD + _BORDER_TOLERANCE)
    if (wrong := below | above).any():
        called = "anomalous" if is_bad[wrong][0] else "normal"
        raise MalformedReplyError(
            f"{LABEL} calls a score of {scores[wrong][0]:g} {called}; expected a border at "
            f"{ANOMALY_THRESHOLD:g}: the scores are not normalised"
        )


def recognise(described: Described) -> Recognised:
    """By the names of its outputs."""
    by_name = {tensor.name: tensor for tensor in described.outputs}
    model = described.model
    if SCORE not in by_name:
        if MAP in by_name:
            return Unfit(
                f"model {model} has {MAP} and no {SCORE}; expected both, as Anomalib 2 has"
            )
        return None
    for name in (SCORE, MAP):
        if name in by_name and by_name[name].dtype not in ("FP32", "FP16"):
            dtype = by_name[name].dtype
            return Unfit(f'model {model}: output "{name}" is {dtype}; expected floats')
    if described.classes != 1:
        return Unfit(
            f"model {model} tells good from anomalous, which is one code, and has "
            f'{described.classes}; expected ["{ANOMALY}"] for it (inspection.codes, or '
            f"inspection.codes_of.{model} of a further model)"
        )
    if objection := task_objection(model, described.notes.task, "anomaly"):
        return Unfit(objection)
    tensors = tuple(name for name in (SCORE, MAP, MASK, LABEL) if name in by_name)
    return AnomalyReader(tensors=tensors, input=described.input)
