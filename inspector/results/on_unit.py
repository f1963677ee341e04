"""Moves findings from a frame onto the unit in it: pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
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
from inspector.core.recipes import DIFFERENCES
from inspector.core.records import (
    DIFFERING_CELL_PX,
    CloseUp,
    Finding,
    FrameRef,
    Outline,
    Placed,
    Rect,
    Region,
)

DEFECT_WEIGHT = 10.0
"""The weight of a difference whose confidence as a defect is 0.5. On 359 boards of 27 product runs
nothing but defects had more in two of three frames; of 437 defects 407 had."""
BOX_MARGIN_PX = 10.0
"""The distance between the damage and the shipped network's boxes, in pixels of its input, as in
the data set it was trained with."""
SAME_SHARE = 0.5
"""As a share of the smaller box: a finding that overlaps a more confident one of a close-up by more
is the same."""


def of_region(findings: Iterable[Finding], region: Region) -> tuple[Finding, ...]:
    """The findings of a region, in the pixels of the unit's picture; without one, of the frame."""
    outline, placed = region.frame.ref.outline, region.frame.ref.placed
    if region.on_reference and placed is not None:
        if region.close_ups:
            findings = _out_of_close_ups(findings, region)
        else:
            findings = [seen for seen in findings if _differs_there(seen.place, region)]
        return _from_placed(findings, placed, outline)
    if region.upright is not None or outline is None:
        return tuple(findings)
    return on_unit(findings, outline)


def of_differences(ref: FrameRef, code_index: int) -> tuple[Finding, ...]:
    """A frame's differences from its reference, as findings of this code on the unit."""
    if ref.placed is None:
        return ()
    findings = [
        Finding(
            code_index=code_index,
            confidence=one.weight / (one.weight + DEFECT_WEIGHT),
            place=one.place,
            model=DIFFERENCES,
        )
        for one in ref.placed.differences
    ]
    return _from_placed(findings, ref.placed, ref.outline)


def _from_placed(
    findings: Iterable[Finding], placed: Placed, outline: Outline | None
) -> tuple[Finding, ...]:
    to_frame = back(placed.matrix)
    if outline is None:
        return _from_reference(findings, to_frame, None)
    unit = _whole(outline)
    return _from_reference(findings, then(to_frame, upright_matrix(outline)), unit)


def _out_of_close_ups(findings: Iterable[Finding], region: Region) -> Iterator[Finding]:
    """The findings of close-ups, in pixels of the reference; the most confident of each place.

    Only findings where the unit differs: a close-up shows the surroundings too.
    """
    kept: list[Box] = []
    for seen in findings:
        place = seen.place
        if isinstance(place, WholeUnit):
            continue
        close_up = _shown_in(region.close_ups, *place.middle_px)
        box = None if close_up is None else _enlarged_back(place.around, close_up)
        if close_up is None or box is None:
            continue
        is_explained = any(_share(box, one) > SAME_SHARE for one in kept)
        differs = any(_share(box, one.place) > 0 for one in close_up.differences)
        if differs and not is_explained:
            kept.append(box)
            yield replace(seen, place=_with_margin(box, close_up), is_close_up=True)


def _shown_in(close_ups: Iterable[CloseUp], x_px: float, y_px: float) -> CloseUp | None:
    return next((one for one in close_ups if _holds(one.cell, x_px, y_px)), None)


def _holds(cell: Rect, x_px: float, y_px: float) -> bool:
    right_px, bottom_px = cell.x_px + cell.width_px, cell.y_px + cell.height_px
    return cell.x_px <= x_px < right_px and cell.y_px <= y_px < bottom_px


def _enlarged_back(box: Box, close_up: CloseUp) -> Box:
    """From the model's input to the reference; parts in another cell are cut off."""
    cell, (x_px, y_px), scale = close_up.cell, close_up.middle_px, close_up.enlarged
    to_x = x_px - (cell.x_px + cell.width_px / 2) / scale
    to_y = y_px - (cell.y_px + cell.height_px / 2) / scale
    return Box(
        left_px=max(box.left_px, cell.x_px) / scale + to_x,
        top_px=max(box.top_px, cell.y_px) / scale + to_y,
        right_px=min(box.right_px, cell.x_px + cell.width_px) / scale + to_x,
        bottom_px=min(box.bottom_px, cell.y_px + cell.height_px) / scale + to_y,
    )


def _with_margin(box: Box, close_up: CloseUp) -> Box:
    """A box as large as if the model had seen it at the reference's own scale."""
    more_px = BOX_MARGIN_PX * (1 - 1 / close_up.enlarged)
    return Box(
        left_px=box.left_px - more_px,
        top_px=box.top_px - more_px,
        right_px=box.right_px + more_px,
        bottom_px=box.bottom_px + more_px,
    )


def _share(box: Box, other: Box) -> float:
    """The overlap as a share of the smaller one."""
    width_px = min(box.right_px, other.right_px) - max(box.left_px, other.left_px)
    height_px = min(box.bottom_px, other.bottom_px) - max(box.top_px, other.top_px)
    if width_px <= 0 or height_px <= 0:
        return 0.0
    return width_px * height_px / max(1e-9, min(_area(box), _area(other)))


def _area(box: Box) -> float:
    return (box.right_px - box.left_px) * (box.bottom_px - box.top_px)


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
