"""Checks that every reply must pass, and boxes from replies to findings: pure arithmetic.

A reply that cannot be read as a result must never read as "no defects".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.geometry import on_picture
from inspector.core.places import Box, Place
from inspector.core.records import Finding, ModelInput, Region

Floats = NDArray[np.float32]
TOLERANCE = 1e-3
SHARE_PX = 1.5
"""A box that ends before this is not in pixels but in shares of the picture."""
_FURTHEST_PX = 1e6
"""No box reaches this far; the squares of it are still finite."""
_TELLING_ROWS = 20
"""So many boxes are not all wider and higher than their middles are far from the top left corner:
a single large one may be."""


def require_outputs(reply: Mapping[str, NDArray[Any]], names: Iterable[str]) -> None:
    """Refuse a reply that lacks one of its tensors."""
    missing = [name for name in names if name not in reply]
    if missing:
        raise MalformedReplyError(f"output {', '.join(missing)} missing or truncated")


def require_numbers(array: Floats, name: str) -> None:
    """Refuse numbers that no picture's pixels or scores can be."""
    # NaN fails every comparison.
    if array.size and not (array.min() >= -_FURTHEST_PX and array.max() <= _FURTHEST_PX):
        raise MalformedReplyError(f"output {name} holds NaN, infinity or absurd numbers")


def require_scores(scores: Floats) -> None:
    """Refuse scores that are no confidences."""
    if scores.size and not (scores.min() >= -TOLERANCE and scores.max() <= 1 + TOLERANCE):
        raise MalformedReplyError(
            f"scores reach from {scores.min():g} to {scores.max():g}, expected 0 to 1"
        )


def class_numbers(numbers: Floats, classes: int, *, column: str) -> NDArray[np.int64]:
    """The class numbers in a column of floats; refuses any others."""
    codes = np.rint(numbers).astype(np.int64)
    if np.abs(numbers - codes).max(initial=0.0) > TOLERANCE:
        raise MalformedReplyError(f"the {column} column holds fractions, expected class numbers")
    if codes.size and not (codes.min() >= 0 and codes.max() < classes):
        raise MalformedReplyError(
            f"class {int(codes.max())} reported, inspection.codes names {classes}"
        )
    return codes


def corners_of_shares(centres: Floats, model_input: ModelInput) -> Floats:
    """Corners in pixels of boxes given by centre and size, in shares of the picture."""
    if centres.size and not (centres.min() >= -SHARE_PX and centres.max() <= SHARE_PX):
        raise MalformedReplyError(
            f"boxes reach from {centres.min():g} to {centres.max():g}, expected shares of the "
            "picture"
        )
    if len(centres) >= _TELLING_ROWS and (centres[:, 2:] > centres[:, :2]).all():
        raise MalformedReplyError("the boxes are corners, expected centre and size")
    half = centres[:, 2:] / 2
    corners = np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)
    size = np.array([model_input.width_px, model_input.height_px] * 2, np.float32)
    return np.asarray(corners * size, np.float32)


def require_boxes(corners: Floats, model_input: ModelInput) -> None:
    """Refuse confident boxes outside a picture of this size."""
    size = np.array([model_input.width_px, model_input.height_px] * 2, np.float32)
    beside = (corners[:, 2:] <= 0).any(axis=1) | (corners[:, :2] >= size[:2]).any(axis=1)
    far = (corners < -size).any(axis=1) | (corners > 2 * size).any(axis=1)
    if (wrong := beside | far).any():
        box = ", ".join(f"{edge:g}" for edge in corners[wrong][0])
        raise MalformedReplyError(
            f"box {box} lies outside the model's picture of "
            f"{model_input.width_px}x{model_input.height_px}"
        )


def findings_of(
    corners: Floats, scores: Floats, codes: NDArray[np.int64], region: Region, floor: float
) -> list[Finding]:
    """The findings of these boxes in a region, best first, without those below `floor`."""
    findings = []
    for box, score, code in zip(corners.tolist(), scores.tolist(), codes.tolist(), strict=True):
        if score >= floor and (place := boxed(box, region)) is not None:
            confidence = min(score, 1.0)
            findings.append(Finding(code_index=code, confidence=confidence, place=place))
    return sorted(findings, key=lambda found: -found.confidence)


def boxed(corners: Sequence[float], region: Region) -> Place | None:
    """A box on the region's picture; None if it lies in the padding, not on the unit."""
    x0, y0, x1, y1 = corners
    if not (x1 > x0 and y1 > y0 and max(x1, y1) > SHARE_PX):
        raise MalformedReplyError(
            f"box {x0:g}, {y0:g}, {x1:g}, {y1:g} is not left, top, right, bottom in pixels"
        )
    return on_picture(Box(left_px=x0, top_px=y0, right_px=x1, bottom_px=y1), region)


def findings_of_rows(
    rows: Sequence[tuple[Floats, Floats, NDArray[np.int64]]],
    regions: Sequence[Region],
    model_input: ModelInput,
    floor: float,
) -> list[list[Finding]]:
    """The findings of each region's corners, scores and codes; all are checked first."""
    for corners, scores, _codes in rows:
        require_boxes(corners[scores >= floor], model_input)
    return [findings_of(*row, region, floor) for row, region in zip(rows, regions, strict=True)]


def task_objection(model: str, task: str, wanted: str) -> str:
    """Why the model's task, as its exporter noted it, contradicts a kind; or ""."""
    if task in ("", wanted):
        return ""
    return f'model {model}: its metadata names the task "{task}"; expected {wanted}'
