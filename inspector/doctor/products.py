"""Looks at the products: whether every file is right, and every reference whole."""

from __future__ import annotations

from inspector.core.errors import ConfigurationError
from inspector.doctor.findings import Finding, Mark
from inspector.pipeline.products import catalogue_of
from inspector.settings.settings import Settings

MOST_SHOWN = 5
_WHAT = "products"


def check_products(settings: Settings) -> Finding:
    """One row: how many are right, or what is wrong. Reads files: never on the event loop."""
    catalogue = catalogue_of(settings)
    try:
        names = catalogue.store.names()
        problems = [problem for name in names for problem in catalogue.problems(name)]
        problems += catalogue.unknown(settings.products.initial, settings.products.by_serial)
    except ConfigurationError as error:
        names, problems = (), list(error.problems)
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
