"""Where on a circuit a defect makes sense, and the pencil that draws it there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.simulation.circuit import Circuit, Mask, Trace

Point = tuple[float, float]
"""x and y in board pixels; also a direction of length 1."""
_APART_PX = 70
"""Centres of two defects of a board are at least this far apart, so that boxes never touch."""
_BORDER_PX = 34


@dataclass(frozen=True, slots=True)
class Site:
    """What a defect may read and draw on."""

    circuit: Circuit
    copper: Mask
    taken: tuple[Point, ...]
    rng: np.random.Generator

    def allows(self, point: Point) -> bool:
        """Whether a defect may be here: away from the edge, the label and other defects."""
        height, width = self.copper.shape
        x, y = point
        left, top, label_width, label_height = self.circuit.label_px
        in_label = (
            left - _BORDER_PX < x < left + label_width + _BORDER_PX
            and top - _BORDER_PX < y < top + label_height + _BORDER_PX
        )
        return (
            _BORDER_PX <= x < width - _BORDER_PX
            and _BORDER_PX <= y < height - _BORDER_PX
            and not in_label
            and all(math.dist(point, other) >= _APART_PX for other in self.taken)
        )

    def on_a_track(self, *, clear_px: float) -> tuple[Trace, Point, Point] | None:
        """A random track, a point in its middle, and the direction along it."""
        usable = [track for track in self.circuit.tracks if track.length_px > 2 * clear_px + 4]
        if not usable:
            return None
        lengths = np.array([track.length_px for track in usable])
        track = usable[int(self.rng.choice(len(usable), p=lengths / lengths.sum()))]
        along = (
            (track.x1_px - track.x0_px) / track.length_px,
            (track.y1_px - track.y0_px) / track.length_px,
        )
        at = float(self.rng.uniform(clear_px, track.length_px - clear_px))
        point = (track.x0_px + along[0] * at, track.y0_px + along[1] * at)
        return (track, point, along) if self._has_edges(track, point, along) else None

    def _has_edges(self, track: Trace, point: Point, along: Point) -> bool:
        """Whether the track stands alone: inside a pour or a pad it has no edges."""
        depth_px = self.circuit.depth_px[round(point[1]), round(point[0])]
        across = (-along[1], along[0])
        beside = track.width_px / 2 + 3
        return (
            self.allows(point)
            and abs(depth_px - track.width_px / 2) <= 2  # noqa: PLR2004 - etching is uneven
            and not any(self.net_at(ahead(point, across, side)) for side in (-beside, beside))
        )

    def beside_a_track(self, *, clear_px: float) -> tuple[Trace, Point, Point, Point] | None:
        """As `on_a_track`, with a point on one edge and the direction away from the track."""
        found = self.on_a_track(clear_px=clear_px)
        if found is None:
            return None
        track, point, along = found
        side = 1 if self.rng.random() < 0.5 else -1  # noqa: PLR2004
        out = (-along[1] * side, along[0] * side)
        return track, ahead(point, out, track.width_px / 2), out, along

    def free_way_px(self, start: Point, out: Point, limit_px: int) -> tuple[int, int]:
        """How far it is to the next copper that way, and that copper's net; 0 if none."""
        height, width = self.copper.shape
        for step in range(3, limit_px):
            x, y = (round(value) for value in ahead(start, out, step))
            if not (0 <= x < width and 0 <= y < height):
                break
            if self.circuit.nets[y, x]:
                return step, int(self.circuit.nets[y, x])
        return limit_px, 0

    def net_at(self, point: Point) -> int:
        """Number of the net that has copper here in the undamaged circuit; 0 if none."""
        return int(self.circuit.nets[round(point[1]), round(point[0])])

    def somewhere(self, distances_px: NDArray[np.float32], at_least_px: float) -> Point | None:
        """A random point so far inside; None when a few throws found none."""
        height, width = distances_px.shape
        columns, rows = self.rng.integers((width, height), size=(32, 2)).T
        for index in np.nonzero(distances_px[rows, columns] >= at_least_px)[0]:
            point = (float(columns[index]), float(rows[index]))
            if self.allows(point):
                return point
        return None

    def fill(self, points: Sequence[Point], value: int) -> None:
        """Fill a polygon."""
        corners = np.round(np.array(points)).astype(np.int32)
        cv2.fillPoly(self.copper, [corners], value)

    def scribble(self, points: Sequence[Point], thickness_px: int, value: int) -> None:
        """Draw along these points."""
        corners = np.round(np.array(points)).astype(np.int32)
        cv2.polylines(self.copper, [corners], isClosed=False, color=value, thickness=thickness_px)

    def jitter(self, spread_px: float) -> float:
        """Return a random number between `-spread_px` and `spread_px`."""
        return float(self.rng.uniform(-spread_px, spread_px))


def ahead(point: Point, direction: Point, distance_px: float) -> Point:
    """Return the point that lies so far that way."""
    return point[0] + direction[0] * distance_px, point[1] + direction[1] * distance_px
