"""Checks cheaply in every frame where, along the travel, something lies on the belt."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.records import Image, Outline
from inspector.settings.unit_sections import Travel
from inspector.triggers.presence.background import Belt
from inspector.triggers.presence.carried import ALIKE, Carried
from inspector.triggers.presence.cells import Cells, Mask, shaded
from inspector.triggers.presence.doubts import Signs
from inspector.triggers.presence.on_belt import Span
from inspector.triggers.presence.outline import Place
from inspector.triggers.presence.spans import Gaps, Run

Places = NDArray[np.floating[Any]]

_COLUMNS, _ROWS = 320, 45
"""Cells wanted along and across the travel."""
_SMALLEST_CELL_PX = 4
_SAMPLED_LINES = 4
"""Lines of the picture that a row of cells is the mean of."""
_CROWD, _ALL = 4, 9
"""How many of nine cells make a spot part of a unit, not dirt, and not its rim."""
_BAND_NOISE = 8.0
"""The residue of bands of light after their removal, as a multiple of the tolerance."""
_CUT_SHARE = 0.25
"""As a share of a unit's length at the view's side: it reaches beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How cells lie in a frame. Sizes in frame pixels; whole numbers of them make a cell."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int
    is_across: bool
    """Whether the travel is to the left or right."""
    is_backward: bool
    """Whether the travel is to the left or up: against the frame's axis."""
    column_px: int
    """One cell along the travel."""
    row_px: int
    """One cell across it."""
    columns: int
    rows: int
    step_along: int
    step_across: int
    """One line of the frame out of this many is used."""

    @property
    def length_px(self) -> int:
        """Along the travel."""
        return self.columns * self.column_px

    def moved(self, outline: Outline, by_px: float) -> Outline:
        """An outline in the frame after its unit moved this far along the travel."""
        by_px = -by_px if self.is_backward else by_px
        if self.is_across:
            return replace(outline, centre_x_px=outline.centre_x_px + by_px)
        return replace(outline, centre_y_px=outline.centre_y_px + by_px)

    def to_frame(self, along_px: Places, across_px: Places) -> Places:
        """(n, 2): x and y of places this far along and across the view."""
        if self.is_backward:
            along_px = self.length_px - along_px
        x, y = (along_px, across_px) if self.is_across else (across_px, along_px)
        return np.stack([x + self.left_px, y + self.top_px], axis=-1)


def lay_grid(left_px: int, top_px: int, width_px: int, height_px: int, travel: Travel) -> Grid:
    """Cells for a part of a frame; a remainder of less than a cell is cut off evenly."""
    is_across = travel in ("left", "right")
    length_px, breadth_px = (width_px, height_px) if is_across else (height_px, width_px)
    column_px = max(_SMALLEST_CELL_PX, 2 * math.ceil(length_px / _COLUMNS / 2))
    step = max(1, breadth_px // _ROWS // _SAMPLED_LINES)
    # Close to the wanted number of rows, the one that covers most.
    row_px = min(
        range(3 * step, 6 * step, step),
        key=lambda size: (breadth_px % size > step, abs(size - _SAMPLED_LINES * step)),
    )
    columns, rows = length_px // column_px, breadth_px // row_px
    used = (columns * column_px, rows * row_px)
    used_width_px, used_height_px = used if is_across else used[::-1]
    return Grid(
        left_px=left_px + (width_px - used_width_px) // 2,
        top_px=top_px + (height_px - used_height_px) // 2,
        width_px=used_width_px,
        height_px=used_height_px,
        is_across=is_across,
        is_backward=travel in ("left", "up"),
        column_px=column_px,
        row_px=row_px,
        columns=columns,
        rows=rows,
        step_along=1 if is_across else column_px // 2,
        step_across=step if is_across else 1,
    )


class Occupancy:
    """Takes the frames of one camera, and learns its belt. One thread."""

    def __init__(
        self,
        size: tuple[int, int],
        region: tuple[int, int, int, int] | None,
        travel: Travel,
        *,
        anywhere: bool = False,
    ) -> None:
        """`size` is the picture's (width, height), `region` the part that is used.

        `anywhere`: what appears inside the view lies on the belt, too.
        """
        self._anywhere = anywhere
        self.grid = lay_grid(*(region or (0, 0, *size)), travel)
        self.belt = Belt(self.grid.rows, self.grid.columns)
        self._mask: Mask | None = None
        self.carried = Carried(self.grid.rows, self.grid.columns)
        self._gaps = Gaps(self.grid.rows, self.grid.columns, self.grid.row_px / self.grid.column_px)

    def observe(
        self, image: Image, *, sharpness: bool = False, blind: bool = False
    ) -> tuple[Span, ...] | None:
        """Return what lies on the belt, sorted along the travel; None if there is no light.

        `blind`: no frame was examined for a while.
        """
        view = self._view(image)
        cells = self._cells(view)
        seen = self.belt.observe(cells)
        if seen is None:
            self._mask = None
            return None
        alike = ALIKE * (1 + _BAND_NOISE * self.belt.band_share)
        carried = self.carried.observe(
            seen, self.belt.off, self.belt.unsure, alike=alike, blind=blind
        )
        if self._anywhere:
            mask = self._mask = seen
            self.belt.learn(seen, None)
        else:
            mask = self._mask = carried
            self.belt.learn(self.carried.near | self.carried.stale, self.carried.in_place)
        return tuple(self._spans(mask, cells, view, sharp=sharpness)) if mask.any() else ()

    @property
    def off(self) -> Cells:
        """(3, rows, columns): grey levels by which the latest picture differs from the belt."""
        return self.belt.off

    @property
    def signs(self) -> Signs:
        """How far the latest picture can be trusted."""
        columns = self.carried.moved_columns
        return Signs(
            moved=None if columns is None else columns / self.grid.columns,
            bands=self.belt.band_wander,
            restless=float(self.belt.unsure.mean()),
            # Where units are put down by hand, things that stand in place are units.
            stuck=0.0 if self._anywhere else float(self.carried.stale.mean()),
        )

    @property
    def moved_px(self) -> float | None:
        """How far the belt moved to the latest picture; None if unknown."""
        columns = self.carried.moved_columns
        return None if columns is None or self._mask is None else columns * self.grid.column_px

    def place(self, span: Span, free_px: tuple[float, float]) -> Place | None:
        """Where a unit lies in the last frame; None if that frame showed nothing.

        `free_px`: how far along the travel, behind and ahead of it, there is no other unit.
        """
        if self._mask is None:
            return None
        grid, size = self.grid, self.grid.column_px
        behind, ahead = (span.start_px + free_px[0]) / 2, (span.end_px + free_px[1]) / 2
        first = max(0, int(max(behind, span.start_px - 3 * size) / size))
        last = math.ceil(min(ahead, span.end_px + 3 * size) / size)
        part = self._mask[:, first:last].astype(np.uint8)
        crowd = cv2.boxFilter(part, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        # Only cells at the rim: nine of nine are inside.
        rows, columns = np.nonzero((crowd >= _CROWD) & (crowd < _ALL) & (part > 0))
        along_px, across_px = (columns + first + 0.5) * size, (rows + 0.5) * grid.row_px
        ends = grid.to_frame(
            np.array([behind, ahead]), np.array([0.0, float(grid.rows * grid.row_px)])
        )
        left, top = ends.min(axis=0).tolist()
        right, bottom = ends.max(axis=0).tolist()
        return Place(
            points=grid.to_frame(along_px, across_px),
            cell_px=(size, grid.row_px) if grid.is_across else (grid.row_px, size),
            belt=self._belt_as_seen(),
            belt_px=(grid.left_px, grid.top_px, grid.width_px, grid.height_px),
            free_px=(left, top, right, bottom),
        )

    def _belt_as_seen(self) -> NDArray[np.float32]:
        """(rows, columns, 3): the belt's cells, turned back as the frame sees them."""
        cells = self.belt.cells
        if self.grid.is_backward:
            cells = cells[:, :, ::-1]
        axes = (1, 2, 0) if self.grid.is_across else (2, 1, 0)
        return np.ascontiguousarray(cells.transpose(axes))

    def _view(self, image: Image) -> Image:
        grid = self.grid
        return image[
            grid.top_px : grid.top_px + grid.height_px, grid.left_px : grid.left_px + grid.width_px
        ]

    def _cells(self, view: Image) -> Cells:
        """(3, rows, columns) float32: every cell the mean of its pixels, on some lines."""
        grid = self.grid
        lines = view[:: grid.step_across if grid.is_across else grid.step_along]
        size = (grid.columns, grid.rows) if grid.is_across else (grid.rows, grid.columns)
        small = cv2.resize(lines, size, interpolation=cv2.INTER_AREA)
        planes = np.stack(cv2.split(small)).astype(np.float32)
        if not self.grid.is_across:
            planes = planes.transpose(0, 2, 1)
        if self.grid.is_backward:
            planes = planes[:, :, ::-1]
        return np.ascontiguousarray(planes)

    def _spans(self, mask: Mask, cells: Cells, view: Image, *, sharp: bool) -> Iterator[Span]:
        size, columns = self.grid.column_px, self.grid.columns
        for run in self._gaps.runs(mask, mask & self.belt.unshaded(cells)):
            inside = run.first > 0 and run.end < columns
            yield Span(
                start_px=run.first * size,
                end_px=run.end * size,
                sharpness=self._sharpness(view, run) if sharp and inside else 0.0,
                cut=inside and self._is_cut(view, run),
            )

    def _along(self, run: Run) -> slice:
        """The extent of cells in pixels of the view along the travel."""
        size = self.grid.column_px
        low, high = run.first * size, run.end * size
        if self.grid.is_backward:
            low, high = self.grid.length_px - high, self.grid.length_px - low
        return slice(max(0, low), high)

    def _is_cut(self, view: Image, run: Run) -> bool:
        """Whether the outermost lines of the view, along this run, are not belt."""
        along = self._along(run)
        for row, line in ((0, slice(0, 2)), (self.grid.rows - 1, slice(-2, None))):
            strip = view[line, along][:, ::8] if self.grid.is_across else view[along, line][::8]
            colours = strip.mean(axis=0 if self.grid.is_across else 1)
            belt = self.belt.row(row)[:, run.first : run.end].mean(axis=1)
            if run.is_solid:
                belt = shaded(colours.T, belt[:, None]).T
            differs = np.abs(colours - belt).max(axis=1) > max(12.0, 2 * self.belt.step)
            if np.count_nonzero(differs) > _CUT_SHARE * len(differs):
                return True
        return False

    def _sharpness(self, view: Image, run: Run) -> float:
        """Mean squared step along the travel, which motion and defocus reduce."""
        along = self._along(run)
        lines = self.grid.row_px
        part = (
            view[lines // 2 :: lines, along]
            if self.grid.is_across
            else view[along, lines // 2 :: lines]
        )
        if self.grid.is_across:
            ahead, back = part[:, 1:], part[:, :-1]
        else:
            ahead, back = part[1:], part[:-1]
        if not ahead.size:
            return 0.0
        squares = cv2.norm(np.ascontiguousarray(ahead), np.ascontiguousarray(back), cv2.NORM_L2SQR)
        return float(squares / ahead.size)
