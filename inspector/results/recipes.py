"""Which rules a unit is judged by: those in force when it was opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inspector.core.records import CameraId, UnitRef
from inspector.events.wording import EventBuilder
from inspector.results.fusing import FusingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The rules, and the builder whose events name them."""

    rules: FusingRules
    builder: EventBuilder


class Recipes:
    """The recipes that units under way still need; the latest is for those to come.

    A unit's frames are decoded and judged by the same thresholds, whatever changes meanwhile. Event
    loop only; the units of a camera are asked for in the order they were opened.
    """

    def __init__(self, first: Recipe, cameras: Iterable[CameraId]) -> None:
        self._from: dict[CameraId, deque[tuple[int, Recipe]]] = {
            camera: deque([(0, first)]) for camera in cameras
        }

    def change(self, recipe: Recipe, opened: Mapping[CameraId, int]) -> None:
        """For every unit from now on; `opened` says how many each camera opened before."""
        for camera, line in self._from.items():
            line.append((opened[camera], recipe))

    def of(self, unit: UnitRef) -> Recipe:
        """The recipe of a unit; those that only earlier units of its camera needed are dropped."""
        line = self._from[unit.camera_id]
        while len(line) > 1 and line[1][0] <= unit.index:
            line.popleft()
        return line[0][1]

    def floor(self, camera: CameraId, frames_of_unit: int) -> float:
        """The confidence below which a detection decides nothing for any unit under way."""
        return min(recipe.rules.floor(frames_of_unit) for _, recipe in self._from[camera])
