"""Detects that the line makes another product than the station inspects: pure."""

from __future__ import annotations

from inspector.core.records import MissReason
from inspector.core.verdicts import Verdict

IN_A_ROW = 3
"""A single unit that does not fit is a stray one; this many are another product, or a moved
camera."""


class Misfits:
    """Counts the units of one camera that do not fit its product, in a row."""

    def __init__(self) -> None:
        self._row = 0
        self._cause = ""
        self._product: tuple[str, str] | None = None

    def cause(self, verdict: Verdict) -> str:
        """Why units do not fit, once that is certain; empty before. Call once per verdict.

        Verdicts that say nothing about the product, such as those on units that no camera saw,
        change nothing.
        """
        recipe = verdict.unit.under.recipe
        if (recipe.product, recipe.revision) != self._product:
            self._product, self._row, self._cause = (recipe.product, recipe.revision), 0, ""
        if verdict.reason == MissReason.REFERENCE_MISMATCH:
            self._row += 1
            if self._row >= IN_A_ROW:
                what = f"{self._row} units in a row do not fit product {recipe.product}"
                self._cause = f"{what}; the last one: {verdict.detail}"
        elif verdict.placed is not None:
            self._row, self._cause = 0, ""
        return self._cause
