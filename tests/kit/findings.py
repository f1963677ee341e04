"""What a model claims to see, for tests that care where."""

from __future__ import annotations

from typing import Any

from inspector.core.places import WHOLE_UNIT, Box, Point, Polygon
from inspector.core.records import Finding


def boxed(
    *,
    code_index: int = 0,
    confidence: float = 0.9,
    left_px: float,
    top_px: float,
    right_px: float,
    bottom_px: float,
) -> Finding:
    place = Box(left_px=left_px, top_px=top_px, right_px=right_px, bottom_px=bottom_px)
    return Finding(code_index=code_index, confidence=confidence, place=place)


def box_of(finding: Finding) -> Box:
    assert finding.box is not None, "it is about the unit as a whole"
    return finding.box


def corners_of(finding: Finding) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    box = box_of(finding)
    return box.left_px, box.top_px, box.right_px, box.bottom_px


def shifted(finding: Finding, right_px: float, down_px: float) -> Finding:
    left, top, right, bottom = corners_of(finding)
    place = Box(
        left_px=left + right_px,
        top_px=top + down_px,
        right_px=right + right_px,
        bottom_px=bottom + down_px,
    )
    return Finding(code_index=finding.code_index, confidence=finding.confidence, place=place)


def shaped(*points_px: Point, code_index: int = 0, confidence: float = 0.9) -> Finding:
    place = Polygon(points_px=points_px)
    return Finding(code_index=code_index, confidence=confidence, place=place)


def rhombus(x_px: float, y_px: float, half_px: float = 10, **what: Any) -> Finding:
    """A shape whose middle is there."""
    top, bottom = (x_px, y_px - half_px), (x_px, y_px + half_px)
    return shaped(top, (x_px + half_px, y_px), bottom, (x_px - half_px, y_px), **what)


def of_the_whole(*, code_index: int = 0, confidence: float = 0.9) -> Finding:
    return Finding(code_index=code_index, confidence=confidence, place=WHOLE_UNIT)
