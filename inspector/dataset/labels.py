"""Decides the labels of a unit's picture, and which units are left out. Pure.

A wrong label teaches the network the wrong thing, and a missing one teaches it that a defect is
none. So a unit is used completely or not at all: if anything on it is in doubt, was judged only in
part, or has no place on the picture, it is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from inspector.core.places import Box, Point, clipped
from inspector.core.records import Judgement, KeptFor, Result
from inspector.reviews.standing import KeptReview

LEAST_PX = 1.0
"""The smallest side of a label, once it is cut at the picture's border."""
_DIGITS = 2
_FEWEST_CORNERS = 3

Size = tuple[int, int]
"""Width and height of a picture."""


class Also(StrEnum):
    """Kinds of units without a review that can be requested. A closed list."""

    FAILED = "failed"
    NEAR = "near"
    SAMPLE = "sample"


class LeftOut(StrEnum):
    """Why a unit is not in the data set. A closed list."""

    UNSURE = "unsure"
    """A reviewer was unsure."""
    PARTLY_JUDGED = "partly_judged"
    """Not every reported defect on it was reviewed."""
    TAKEN_BACK = "taken_back"
    """It was in the data set, and all its reviews were withdrawn."""
    NO_PLACE = "no_place"
    """A defect is about the unit as a whole: it has no box."""
    NO_CODE = "no_code"
    """A missed defect has none of the codes."""
    OUTSIDE = "outside"
    """A defect lies beyond the border of the picture."""
    CALLS_GONE = "calls_gone"
    """It has more defects than its event names, and their own events are deleted."""
    NO_PICTURE = "no_picture"
    """No picture was kept."""
    PICTURE_GONE = "picture_gone"
    """The picture was deleted since."""
    PICTURE_ALTERED = "picture_altered"
    """The file is not the one that the unit's event names."""
    UNIT_GONE = "unit_gone"
    """It was reviewed, and is no longer in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One defect on a picture, in its pixels; 0, 0 is the corner of the first one."""

    code: str
    bbox_px: tuple[float, float, float, float]
    """x, y, width, height."""
    polygon_px: tuple[tuple[float, float], ...] | None = None
    """Its shape, if known; the box is around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The labels of a picture."""

    labels: tuple[Label, ...]
    is_reviewed: bool
    """Whether people said so; otherwise it is the station's claim."""


Call = Mapping[str, Any]
"""A defect as in events."""


def is_wanted(event: Mapping[str, Any], held: Sequence[KeptReview], also: frozenset[Also]) -> bool:
    """Whether the unit was reviewed, or its kind is requested."""
    return bool(held) or _kind_of(event) in also


def labelled(
    event: Mapping[str, Any],
    calls: Sequence[Call],
    held: Sequence[KeptReview],
    size: Size,
    also: frozenset[Also] = frozenset(),
) -> Labelled | LeftOut:
    """The labels of a requested unit, or why it is left out.

    `calls` are all its defects, `held` the reviews that count, `size` is that of its picture.
    """
    said = {one.defect_id: one.judgement for one in held if one.judgement is not Judgement.MISSED}
    missed = [one for one in held if one.judgement is Judgement.MISSED]
    if Judgement.UNSURE in said.values():
        return LeftOut.UNSURE
    whole = said.get(None)
    judged = [said.get(call["id"], whole) for call in calls]
    is_reviewed = bool(held) and None not in judged
    if not is_reviewed and _kind_of(event) not in also:
        return LeftOut.PARTLY_JUDGED
    true_calls = [
        call
        for call, judgement in zip(calls, judged, strict=True)
        if judgement is not Judgement.FALSE_CALL
    ]
    labels: list[Label] = []
    for found in (*map(_of_call, true_calls), *map(_of_missed, missed)):
        if isinstance(found, LeftOut):
            return found
        inside = _within(found, size)
        if inside is None:
            return LeftOut.OUTSIDE
        labels.append(inside)
    return Labelled(labels=tuple(labels), is_reviewed=is_reviewed)


def _kind_of(event: Mapping[str, Any]) -> Also | None:
    if event["result"] == Result.FAILED:
        return Also.FAILED
    if event["result"] != Result.PASSED or not event["evidence"]:
        return None
    kept_for = event["evidence"][0].get("kept_for", KeptFor.SAMPLE)
    return Also.NEAR if kept_for == KeptFor.NEAR_THRESHOLD else Also.SAMPLE


def _of_call(call: Call) -> Label | LeftOut:
    if call["bbox_px"] is None:
        return LeftOut.NO_PLACE
    x, y, width, height = call["bbox_px"]
    polygon = call.get("polygon_px")
    return Label(
        code=call["code"],
        bbox_px=(x, y, width, height),
        polygon_px=None if polygon is None else tuple((px, py) for px, py in polygon),
    )


def _of_missed(review: KeptReview) -> Label | LeftOut:
    if review.bbox_px is None:
        return LeftOut.NO_PLACE
    if review.code is None:
        return LeftOut.NO_CODE
    return Label(code=review.code, bbox_px=review.bbox_px)


def _within(label: Label, size: Size) -> Label | None:
    """The label, cut at the picture's border; None if nothing of it is left."""
    picture = Box(left_px=0.0, top_px=0.0, right_px=float(size[0]), bottom_px=float(size[1]))
    x, y, width, height = label.bbox_px
    box = Box(
        left_px=max(0.0, x),
        top_px=max(0.0, y),
        right_px=min(picture.right_px, x + width),
        bottom_px=min(picture.bottom_px, y + height),
    )
    wide, high = box.right_px - box.left_px, box.bottom_px - box.top_px
    if wide < LEAST_PX or high < LEAST_PX:
        return None
    corners = () if label.polygon_px is None else clipped(label.polygon_px, picture)
    return Label(
        code=label.code,
        bbox_px=(_rounded(box.left_px), _rounded(box.top_px), _rounded(wide), _rounded(high)),
        polygon_px=_reaching(corners, box),
    )


def _reaching(corners: Sequence[Point], box: Box) -> tuple[Point, ...] | None:
    """The shape with its outermost corners on the sides of the box around the whole of it.

    None if there is no shape, or one without an area.

    Events thin a shape's corners out and leave its box as it was: trainers that make a box of the
    shape again would get a smaller one.
    """
    if len(corners) < _FEWEST_CORNERS or any(
        len({c[axis] for c in corners}) == 1 for axis in (0, 1)
    ):
        return None
    reaching = [list(corner) for corner in corners]
    for axis, side, outermost in (
        (0, box.left_px, min),
        (0, box.right_px, max),
        (1, box.top_px, min),
        (1, box.bottom_px, max),
    ):
        limit = outermost(corner[axis] for corner in corners)
        for corner, before in zip(reaching, corners, strict=True):
            if before[axis] == limit:
                corner[axis] = side
    return tuple((_rounded(x), _rounded(y)) for x, y in reaching)


def _rounded(value_px: float) -> float:
    return round(value_px, _DIGITS)
