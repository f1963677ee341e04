"""Moves what was seen in a frame onto the unit in it: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from inspector.core.geometry import moved, upright_matrix, upright_size_px
from inspector.core.records import Detection, Outline


def on_unit(detections: Iterable[Detection], outline: Outline) -> tuple[Detection, ...]:
    """Detections in frame pixels, in the pixels of the unit's upright picture, clipped to it.

    What lies beside the unit, by its middle, is dirt on the belt or another unit's defect.
    """
    width_px, height_px = upright_size_px(outline)
    matrix = upright_matrix(outline)
    found = []
    for seen in detections:
        corners = [
            moved(matrix, x_px, y_px)
            for x_px in (seen.left_px, seen.right_px)
            for y_px in (seen.top_px, seen.bottom_px)
        ]
        xs, ys = zip(*corners, strict=True)
        middle_x_px, middle_y_px = sum(xs) / 4, sum(ys) / 4
        if not (0 <= middle_x_px < width_px and 0 <= middle_y_px < height_px):
            continue
        found.append(
            replace(
                seen,
                left_px=max(0.0, min(xs)),
                top_px=max(0.0, min(ys)),
                right_px=min(float(width_px), max(xs)),
                bottom_px=min(float(height_px), max(ys)),
            )
        )
    return tuple(found)
