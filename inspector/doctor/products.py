"""Checks the products: whether every file is valid, and every reference complete."""

from __future__ import annotations

from collections.abc import Sequence

from inspector.core.errors import ConfigurationError
from inspector.doctor.findings import Finding, Mark, renamed
from inspector.pipeline.products import catalogue_of
from inspector.settings.settings import Settings

MOST_SHOWN = 5
_WHAT = "products"


def check_products(settings: Settings) -> list[Finding]:
    """The number of valid ones, or the mistakes, and old names.

    Reads files: not on the event loop.
    """
    catalogue = catalogue_of(settings)
    try:
        names = catalogue.store.names()
        problems = [problem for name in names for problem in catalogue.problems(name)]
        problems += catalogue.unknown(settings.products.initial, settings.products.by_serial)
        old_names = catalogue.old_names()
    except ConfigurationError as error:
        names, problems, old_names = (), list(error.problems), []
    return [_judged(names, problems), *map(renamed, old_names)]


def _judged(names: Sequence[str], problems: Sequence[str]) -> Finding:
    if not problems:
        listed = ", ".join(names[:MOST_SHOWN]) + (", …" if len(names) > MOST_SHOWN else "")
        return Finding(what=_WHAT, mark=Mark.OK, found=f"{len(names)}: {listed}")
    more = len(problems) - 1
    return Finding(
        what=_WHAT,
        mark=Mark.FAIL,
        found=problems[0] + (f" (and {more} more)" if more else ""),
        advice="correct it; inspector product check says all that is wrong",
    )
