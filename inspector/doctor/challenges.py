"""Checks the sets of known parts: whether they are valid, and whether each product has one."""

from __future__ import annotations

from inspector.core.errors import ConfigurationError
from inspector.doctor.findings import Finding, Mark
from inspector.pipeline.challenges import read_sets
from inspector.pipeline.products import catalogue_of
from inspector.settings.settings import Settings

_WHAT = "known parts"


def check_challenges(settings: Settings) -> list[Finding]:
    """No finding if the station has none and needs none. Reads files: not on the event loop."""
    catalogue = catalogue_of(settings)
    try:
        sets = read_sets(settings, catalogue)
        names = catalogue.store.names()
    except ConfigurationError as error:
        more = len(error.problems) - 1
        found = error.problems[0] + (f" (and {more} more)" if more else "")
        return [Finding(what=_WHAT, mark=Mark.FAIL, found=found, advice="correct it")]
    is_due = settings.challenge.is_ever_due
    if not sets and not is_due:
        return []
    without = [
        name for name in names if not any(known.is_for(name) and known.parts for known in sets)
    ]
    if is_due and without:
        return [
            Finding(
                what=_WHAT,
                mark=Mark.WARN,
                found=f"no set has parts of: {', '.join(without[:5])}",
                advice="no challenge is ever due for them; add them to a set",
            )
        ]
    listed = ", ".join(known.name for known in sets)
    return [Finding(what=_WHAT, mark=Mark.OK, found=f"{len(sets)}: {listed}")]
