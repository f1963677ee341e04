"""Tests a few pictures of a camera for anything that would make a presence trigger doubtful."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.records import Image
from inspector.settings.unit_sections import Travel
from inspector.triggers.presence.cells import Cells, Mask
from inspector.triggers.presence.doubts import LIMITS, Cause, Doubts, Signs, in_words
from inspector.triggers.presence.occupancy import Occupancy

_SETTLING = 10
"""Pictures until the belt is known well enough."""
_CHANGED = 24.0
"""Grey levels, summed over the colours, by which a cell changes if it shows something else."""
_TIMES, _CELLS = 2, 4
"""How often this many neighbouring cells must change by themselves: measured on 28 lines, a
digit of a clock makes five cells change, and a line without fault none."""
_BORDER_COLUMNS = 4
"""Things that come in there are not accepted yet."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A part of the picture that changes by itself, in pixels."""

    left_px: int
    top_px: int
    right_px: int
    bottom_px: int

    def __str__(self) -> str:
        return f"x {self.left_px} to {self.right_px}, y {self.top_px} to {self.bottom_px}"


class Trial:
    """Examines consecutive pictures.

    One thread. The running trigger finds things that last for seconds; this has a few pictures, and
    also searches for small parts that change by themselves, which hardly affect the trigger.
    """

    def __init__(
        self,
        size: tuple[int, int],
        region: tuple[int, int, int, int] | None,
        travel: Travel,
        *,
        anywhere: bool = False,
    ) -> None:
        """As `Occupancy`."""
        self._occupancy = Occupancy(size, region, travel, anywhere=anywhere)
        self._doubts = Doubts()
        self._signs: list[Signs] = []
        self._fastest = 0.0
        self._last: tuple[Cells, Mask] | None = None
        shape = (self._occupancy.grid.rows, self._occupancy.grid.columns)
        self._changes: NDArray[np.intp] = np.zeros(shape, np.intp)

    @property
    def pictures(self) -> int:
        """The number of examined pictures that showed something."""
        return len(self._signs)

    @property
    def fastest(self) -> float:
        """How far things moved between two pictures, as a share of the view; 0: none moved."""
        return self._fastest

    def observe(self, image: Image) -> None:
        """Take the next picture."""
        if self._occupancy.observe(image) is None:
            self._last = None
            return
        self._signs.append(self._occupancy.signs)
        self._doubts.see(self._occupancy.signs)
        self._fastest = max(self._fastest, self._doubts.moved)
        self._compare(self._occupancy.off.copy(), self._occupancy.carried.near.copy())

    def _compare(self, off: Cells, near: Mask) -> None:
        if self._last is not None and self.pictures > _SETTLING:
            before, near_before = self._last
            changed = np.abs(off - before).sum(axis=0) > _CHANGED
            changed &= ~(near | near_before)
            changed[:, :_BORDER_COLUMNS] = changed[:, -_BORDER_COLUMNS:] = False
            self._changes += changed
        self._last = off, near

    @property
    def causes(self) -> dict[Cause, str]:
        """The reasons why the pictures are doubtful, in words."""
        settled = self._signs[_SETTLING:]
        if not settled:
            return {}
        measures = {
            Cause.TOO_FAST: self._fastest,
            Cause.BANDS: float(np.mean([signs.bands for signs in settled])),
            Cause.RESTLESS: float(np.mean([signs.restless for signs in settled])),
            Cause.STUCK: float(np.mean([signs.stuck for signs in settled])),
        }
        found = {
            cause: in_words(cause, measures[cause])
            for cause, limit in LIMITS.items()
            if measures[cause] > limit
        }
        spots = self.spots
        if spots and Cause.BANDS not in found:  # bands of light change everything
            found[Cause.RESTLESS] = (
                f"a part of the view changes by itself ({'; '.join(map(str, spots))}): a clock in"
                " the picture, a lamp that is mirrored, a machine that moves"
            )
        return found

    @property
    def spots(self) -> list[Spot]:
        """The largest parts that change by themselves, at most three."""
        often = (self._changes >= _TIMES).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(often, connectivity=8)
        sizes = stats[1:count, cv2.CC_STAT_AREA]
        least = max(_CELLS, sizes.max(initial=0) / 3)
        largest = [int(n) + 1 for n in np.argsort(-sizes)[:3] if sizes[n] >= least]
        return [self._spot(np.asarray(labels == label, np.bool_)) for label in largest]

    def _spot(self, cells: Mask) -> Spot:
        grid = self._occupancy.grid
        rows, columns = np.nonzero(cells)
        corners = grid.to_frame(
            np.array([columns.min(), columns.max() + 1]) * float(grid.column_px),
            np.array([rows.min(), rows.max() + 1]) * float(grid.row_px),
        )
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return Spot(round(left), round(top), round(right), round(bottom))
