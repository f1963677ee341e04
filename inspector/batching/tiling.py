"""How a picture larger than the model's input is cut into tiles: pure arithmetic."""

from __future__ import annotations

from itertools import product

from inspector.core.records import Rect


def pieces_of(rect: Rect, *, width_px: int, height_px: int, overlap_px: int) -> tuple[Rect, ...]:
    """As few tiles as cover `rect` at the picture's own scale, row by row, evenly spread.

    `width_px` and `height_px` are the model's input; no tile is larger. Neighbours overlap by at
    least `overlap_px`, or by half a tile where that is more than half: whatever is no larger than
    the overlap is whole in one tile. A part that fits is one piece.
    """
    columns = _spans(rect.x_px, rect.width_px, width_px, overlap_px)
    rows = _spans(rect.y_px, rect.height_px, height_px, overlap_px)
    return tuple(Rect(x, y, wide, high) for (y, high), (x, wide) in product(rows, columns))


def _spans(start_px: int, length_px: int, tile_px: int, overlap_px: int) -> list[tuple[int, int]]:
    """Start and length of each tile along one side."""
    if length_px <= tile_px:
        return [(start_px, length_px)]
    step_px = tile_px - min(overlap_px, tile_px // 2)
    to_go_px = length_px - tile_px
    gaps = -(-to_go_px // step_px)
    return [(start_px + index * to_go_px // gaps, tile_px) for index in range(gaps + 1)]
