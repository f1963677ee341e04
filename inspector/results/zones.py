"""The rules that apply at a place on the unit: pure.

A zone ignores what is seen in it, or sets other thresholds. A finding lies where its centre is; one
about the unit as a whole lies in no zone.
"""

from __future__ import annotations

from collections.abc import Sequence

from inspector.core.geometry import encloses
from inspector.core.places import WholeUnit
from inspector.core.recipes import FusingRules, Zone
from inspector.core.records import Finding


class PlaceRules:
    """The thresholds of a product, everywhere on its unit.

    Where zones overlap, one that ignores decides; otherwise the first that names the code.
    """

    def __init__(
        self, rules: FusingRules, *, codes: Sequence[str] = (), zones: Sequence[Zone] = ()
    ) -> None:
        """`codes` are those of the classes, for zones that name them."""
        self._thresholds = rules.thresholds
        classes = {code: index for index, code in enumerate(codes)}
        self._ignoring = [zone.polygon_px for zone in zones if zone.ignore]
        self._asking = [
            (zone.polygon_px, {classes[code]: t for code, t in zone.thresholds.items()})
            for zone in zones
            if not zone.ignore
        ]

    def ignores(self, seen: Finding) -> bool:
        """Whether nothing is a defect there."""
        if isinstance(seen.place, WholeUnit):
            return False
        x_px, y_px = seen.place.middle_px
        return any(encloses(polygon, x_px, y_px) for polygon in self._ignoring)

    def threshold(self, seen: Finding) -> float:
        """The confidence from which on it is a defect there, where it is not ignored."""
        everywhere = self._thresholds[seen.code_index]
        if isinstance(seen.place, WholeUnit):
            return everywhere
        x_px, y_px = seen.place.middle_px
        for polygon, thresholds in self._asking:
            if seen.code_index in thresholds and encloses(polygon, x_px, y_px):
                return thresholds[seen.code_index]
        return everywhere
