"""The drills' table in docs/drills.md: rows of drills that ran are renewed, the others stay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median

from tests.drills.stand import Tally

DOCUMENT = Path(__file__).parents[2] / "docs" / "drills.md"
BEGIN, END = "<!-- drills: begin -->", "<!-- drills: end -->"
COLUMNS = (
    "drill",
    "repetitions",
    "units",
    "events",
    "lost",
    "duplicated",
    "out of order",
    "false PASSED",
    "time to detect, s",
    "time to recover, s",
    "run on",
)
HEAD = (f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|")


def span(seconds: Sequence[float]) -> str:
    """The median, and the longest where there are several."""
    if not seconds:
        return "-"
    middle = f"{median(seconds):.1f}"
    return middle if len(seconds) == 1 else f"{middle} (at most {max(seconds):.1f})"


def row(name: str, tally: Tally, day: date) -> str:
    cells = [
        name,
        tally.repetitions,
        tally.units,
        tally.events,
        tally.lost,
        tally.duplicated,
        tally.out_of_order,
        tally.false_passed,
        span(tally.detect_s),
        span(tally.recover_s),
        day.isoformat(),
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def renew(text: str, rows: Mapping[str, str], order: Sequence[str]) -> str:
    """The document with these rows in its table, in this order; a name nobody knows goes."""
    before, _, rest = text.partition(BEGIN)
    table, end, after = rest.partition(END)
    assert end, "docs/drills.md has no place for the table"
    known = {
        match[1].strip(): line
        for line in table.splitlines()
        if (match := re.match(r"\|([^|]*)\|", line)) and line not in HEAD
    }
    known |= rows
    lines = [*HEAD, *(known[name] for name in order if name in known)]
    return f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"
