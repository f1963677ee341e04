"""Moves what was seen in a frame onto the unit in it: pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from inspector.core.geometry import (
    Affine,
    back,
    moved,
    polygon_within,
    then,
    upright_matrix,
    upright_size_px,
)
from inspector.core.places import Box, Place, Polygon, WholeUnit
from inspector.core.records import DIFFERING_CELL_PX, Finding, Outline, Region


def of_region(findings: Iterable[Finding], region: Region) -> tuple[Finding, ...]:
    """What was seen in a region, in the pixels of the unit's picture; without one, of the frame."""
    outline, placed = region.frame.ref.outline, region.frame.ref.placed
    if region.on_reference and placed is not None:
        findings = [seen for seen in findings if _differs_there(seen.place, region)]
        to_frame = back(placed.matrix)
        if outline is None:
            return _from_reference(findings, to_frame, None)
        unit = _whole(outline)
        return _from_reference(findings, then(to_frame, upright_matrix(outline)), unit)
    if region.upright is not None or outline is None:
        return tuple(findings)
    return on_unit(findings, outline)


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


def _differs_there(place: Place, region: Region) -> bool:
    """Whether the unit differs from its reference anywhere in that place, or that is not known."""
    cells = region.differing
    if cells is None or isinstance(place, WholeUnit):
        return True
    around = place.around if isinstance(place, Polygon) else place
    rect, box = region.rect, region.letterbox
    left, right = (
        (x_px - rect.x_px) * box.scale + box.left_px for x_px in (around.left_px, around.right_px)
    )
    top, bottom = (
        (y_px - rect.y_px) * box.scale_down + box.top_px
        for y_px in (around.top_px, around.bottom_px)
    )
    rows = slice(max(0, int(top / DIFFERING_CELL_PX)), int(bottom / DIFFERING_CELL_PX) + 1)
    columns = slice(max(0, int(left / DIFFERING_CELL_PX)), int(right / DIFFERING_CELL_PX) + 1)
    return bool(cells[rows, columns].any())


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
    unit = _whole(outline)
    if isinstance(place, Polygon):
        return polygon_within(corners, unit)
    return _clipped(Polygon(points_px=tuple(corners)).around, unit)


def _from_reference(
    findings: Iterable[Finding], matrix: Affine, unit: Box | None
) -> tuple[Finding, ...]:
    """Findings on the reference, in the pixels of a picture that is hardly turned against it.

    `unit`: what lies beside it, by its middle, is left out, and what reaches over it is clipped.
    """
    found = []
    for seen in findings:
        place = _laid(seen.place, matrix, unit)
        if place is not None:
            found.append(replace(seen, place=place))
    return tuple(found)


def _laid(place: Place, matrix: Affine, unit: Box | None) -> Place | None:
    """A box keeps its size times the scale: one around its turned corners would be larger."""
    if isinstance(place, WholeUnit):
        return place
    x_px, y_px = moved(matrix, *place.middle_px)
    if unit is not None and not (0 <= x_px < unit.right_px and 0 <= y_px < unit.bottom_px):
        return None
    if isinstance(place, Polygon):
        corners = tuple(moved(matrix, *point) for point in place.points_px)
        return Polygon(points_px=corners) if unit is None else polygon_within(corners, unit)
    (a, _, _), (d, _, _) = matrix
    half_scale = math.hypot(a, d) / 2
    half_width_px = half_scale * (place.right_px - place.left_px)
    half_height_px = half_scale * (place.bottom_px - place.top_px)
    box = Box(
        left_px=x_px - half_width_px,
        top_px=y_px - half_height_px,
        right_px=x_px + half_width_px,
        bottom_px=y_px + half_height_px,
    )
    return box if unit is None else _clipped(box, unit)


def _whole(outline: Outline) -> Box:
    width_px, height_px = upright_size_px(outline)
    return Box(left_px=0.0, top_px=0.0, right_px=float(width_px), bottom_px=float(height_px))


def _clipped(box: Box, unit: Box) -> Box:
    return Box(
        left_px=max(unit.left_px, box.left_px),
        top_px=max(unit.top_px, box.top_px),
        right_px=min(unit.right_px, box.right_px),
        bottom_px=min(unit.bottom_px, box.bottom_px),
    )
