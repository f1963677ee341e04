"""What good units look like, cell by cell, and how far a unit may be from that: pure arithmetic.

A network describes each cell of a unit's picture by a row of numbers: features. Units that lie on
their reference show the same in the same cell. So the memory holds for each cell the mean of good
units, and for all cells together how features vary between good units: dust, tint and edges etched
a little differently change some of them together, and damage changes others. The distance of a unit
is measured by that (a Mahalanobis distance; "PaDiM", 2020, has a covariance for each cell, which
takes a hundred units; six units have as many as cells times six). The limit of each cell comes from
the units themselves: each is left out in turn, and compared with the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
UnitFeatures = NDArray[np.floating[Any]]
"""(frames, features, rows, columns) of one unit."""

FEWEST_UNITS = 3
SHRINKAGE = 0.1
"""So much of the covariance is that of features that vary by the same, each by itself: what six
units do not happen to show may still vary."""
OWN_TIMES = 8.0
"""A cell where most units differ by this many times more than elsewhere is individual."""
SPREAD_CELLS = 1.5
"""Within this many cells around, a distance that a good unit has is usual."""
LEAST_TIMES = 4.0
"""What is less than so many times further than usual is never unlike: benchmarks.anomaly, and the
report of it, say why so many."""
BEYOND_TAUGHT = 1.1
"""Nor is anything less than this many times further than the good units themselves."""
NOWHERE = np.float32(1e9)
"""The limit of cells outside the unit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedMemory:
    """The memory of units that lie on their reference."""

    mean: Floats
    """(features, rows, columns)"""
    whitening: Floats
    """(features, features): what it makes of a difference has the distance as its length."""
    limit: Floats
    """(rows, columns): the distance from which on a cell is unlike good units."""
    usual_times: float
    """The largest distance between good units, in usual distances."""

    def unlikeness(self, features: UnitFeatures) -> Floats:
        """(frames, rows, columns): the distance, as a share of the limit."""
        return np.stack([_distance(f, self.mean, self.whitening) / self.limit for f in features])


def remember(units: Sequence[UnitFeatures], inside: NDArray[np.bool_]) -> PlacedMemory:
    """Make a memory of good units, at least FEWEST_UNITS of one or more frames each.

    `inside`: which cells show the unit. Takes a second of CPU for six units of three frames.
    """
    if len(units) < FEWEST_UNITS:
        raise ValueError(f"{len(units)} units, expected at least {FEWEST_UNITS}")
    means = [unit.mean(axis=0, dtype=np.float32) for unit in units]
    distances = []
    for index, unit in enumerate(units):
        mean, whitening = _spread([m for n, m in enumerate(means) if n != index], inside)
        distances.append(np.stack([_distance(frame, mean, whitening) for frame in unit]))
    most = [unit.max(axis=0) for unit in distances]
    times = 0.0
    for index, unit in enumerate(distances):
        usual = _usual([m for n, m in enumerate(most) if n != index], inside)
        # As units are judged: by what more than half of the frames show.
        per_frame = [float((frame / usual)[inside].max(initial=0.0)) for frame in unit]
        times = max(times, float(np.median(per_frame)))
    mean, whitening = _spread(means, inside)
    limit = _usual(most, inside) * np.float32(max(LEAST_TIMES, BEYOND_TAUGHT * times))
    limit[~inside] = NOWHERE
    return PlacedMemory(mean=mean, whitening=whitening, limit=limit, usual_times=times)


def _spread(means: Sequence[Floats], inside: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The mean of these units, and the matrix that turns differences from it into distances.

    `means` are of the frames of each unit: these are alike, and would say that units are.
    """
    mean = np.asarray(np.mean(means, axis=0), np.float32)
    features = len(mean)
    differences = [(one - mean)[:, inside] for one in means]
    common = _in_common(differences)
    covariance = np.zeros((features, features), np.float64)
    for difference in differences:
        covariance += difference[:, common] @ difference[:, common].T
    covariance /= max(1, int(common.sum())) * max(1, len(means) - 1)
    # Features vary by more and by less: each is first measured by its own variation.
    own = np.sqrt(np.maximum(np.diag(covariance), np.finfo(np.float32).tiny))
    alike = covariance / np.outer(own, own)
    alike = (1 - SHRINKAGE) * alike + SHRINKAGE * np.eye(features)
    values, vectors = np.linalg.eigh(alike)
    whitening = (vectors / np.sqrt(values * features)).T / own
    return mean, np.asarray(whitening, np.float32)


def _in_common(differences: Sequence[Floats]) -> NDArray[np.bool_]:
    """Cells in which most units show the same: a lot number says nothing about how units vary."""
    by_unit = np.stack([np.sqrt(np.einsum("fc,fc->c", one, one)) for one in differences])
    usual = np.median(by_unit, axis=0)
    return np.asarray(usual <= OWN_TIMES * np.median(usual))


def _distance(frame: UnitFeatures, mean: Floats, whitening: Floats) -> Floats:
    """(rows, columns): how far each cell is from the mean."""
    difference = (frame.astype(np.float32) - mean).reshape(len(mean), -1)
    white = whitening @ difference
    return np.asarray(np.sqrt(np.einsum("fc,fc->c", white, white)).reshape(mean.shape[1:]))


def _usual(most: Sequence[Floats], inside: NDArray[np.bool_]) -> Floats:
    """The distances between good units by cell, at least those of most cells."""
    widened = cv2.dilate(np.max(most, axis=0), np.ones((3, 3), np.uint8))
    smooth = np.asarray(cv2.GaussianBlur(widened, (0, 0), SPREAD_CELLS), np.float32)
    least = np.median(smooth[inside]) if inside.any() else 1.0
    return np.maximum(smooth, np.float32(max(float(least), 1e-6)))
