"""Moves what was seen in a frame onto the unit in it: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from inspector.core.geometry import moved, polygon_within, upright_matrix, upright_size_px
from inspector.core.places import Box, Place, Polygon, WholeUnit
from inspector.core.records import Finding, Outline


def on_unit(findings: Iterable[Finding], outline: Outline) -> tuple[Finding, ...]:
    """Findings in frame pixels, in the pixels of the unit's upright picture, clipped to it.

    What lies beside the unit, by its middle, is dirt on the belt or another unit's defect. What is
    true of the unit as a whole has no place to be moved.
    """
    found = []
    for seen in findings:
        place = _moved(seen.place, outline)
        if place is not None:
            found.append(replace(seen, place=place))
    return tuple(found)


def _moved(place: Place, outline: Outline) -> Place | None:
    """None where it lies beside the unit."""
    if isinstance(place, WholeUnit):
        return place
    width_px, height_px = upright_size_px(outline)
    matrix = upright_matrix(outline)
    middle_x_px, middle_y_px = moved(matrix, *place.middle_px)
    if not (0 <= middle_x_px < width_px and 0 <= middle_y_px < height_px):
        return None
    corners = [moved(matrix, x_px, y_px) for x_px, y_px in place.corners_px]
    unit = Box(left_px=0.0, top_px=0.0, right_px=float(width_px), bottom_px=float(height_px))
    if isinstance(place, Polygon):
        return polygon_within(corners, unit)
    around = Polygon(points_px=tuple(corners)).around
    return Box(
        left_px=max(unit.left_px, around.left_px),
        top_px=max(unit.top_px, around.top_px),
        right_px=min(unit.right_px, around.right_px),
        bottom_px=min(unit.bottom_px, around.bottom_px),
    )
