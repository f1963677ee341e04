"""Whether the line makes another product than the station inspects: pure."""

from __future__ import annotations

from inspector.core.records import MissReason
from inspector.core.verdicts import Verdict

IN_A_ROW = 3
"""One that does not fit is a stray one; so many are another product, or a camera that moved."""


class Misfits:
    """Counts the units of one camera that do not fit its product, in a row."""

    def __init__(self) -> None:
        self._row = 0
        self._cause = ""
        self._product: tuple[str, str] | None = None

    def cause(self, verdict: Verdict) -> str:
        """Why units do not fit, once that is certain; empty while it is not. For each verdict once.

        What says nothing about the product, such as a unit that no camera saw, changes nothing.
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
