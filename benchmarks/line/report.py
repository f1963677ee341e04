"""Shows scores as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.line.product_scores import RunScore, runs_together
from benchmarks.line.scores import Score, together

_COLUMNS = (
    "video",
    "boards",
    "units",
    "missing",
    "extra",
    "moved",
    "serials",
    "wrong/unread",
    "verdicts right",
    "not inspected",
    "defects found",
    "false/board",
    "p50/p95 ms",
)


def table(title: str, scores: Sequence[Score]) -> Table:
    """One line per video, and one for all."""
    rows = [(_cells(one), one.is_perfect) for one in scores]
    return _shown(title, _COLUMNS, rows, _cells(together("all", scores)))


def _shown(
    title: str, columns: Sequence[str], rows: Sequence[tuple[list[str], bool]], total: list[str]
) -> Table:
    """Rows that are not right are yellow; the total is left out where there is one row."""
    shown = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number else "left")
    for cells, is_right in rows:
        shown.add_row(*cells, style=None if is_right else "yellow")
    if len(rows) > 1:
        shown.add_section()
        shown.add_row(*total)
    return shown


def _cells(one: Score) -> list[str]:
    latency = [one.percentile_ms(percent) for percent in (50, 95)]
    excused = f" ({one.excused} excused)" if one.excused else ""
    return [
        one.name,
        str(one.boards),
        str(one.units),
        str(one.missing),
        str(one.extra),
        str(one.out_of_order),
        f"{one.serials_right}",
        f"{one.serials_wrong}/{one.serials_unread}",
        _share(one.verdicts_right, one.boards),
        f"{one.not_inspected}{excused}",
        _share(one.found, one.defects),
        f"{one.false_per_board:.2f}",
        "/".join("?" if ms is None else f"{ms:.0f}" for ms in latency),
    ]


_RUN_COLUMNS = (
    "run",
    "boards",
    "units in order",
    "learned from",
    "verdicts right",
    "bad PASSED",
    "defects found",
    "false defects",
    "unlike: bad, good",
    "foreign refused",
)


def run_table(title: str, scores: Sequence[RunScore]) -> Table:
    """One line per product run, and one for all."""
    rows = [(_run_cells(one), not one.shortfalls()) for one in scores]
    return _shown(title, _RUN_COLUMNS, rows, _run_cells(runs_together("all", scores)))


def _run_cells(one: RunScore) -> list[str]:
    return [
        one.name,
        str(one.boards),
        f"{one.in_order}/{one.boards}",
        f"{one.taught_right}/{one.taught}",
        _share(one.verdicts_right, one.inspected),
        f"{one.bad_passed}/{one.bad}",
        _share(one.found, one.defects),
        str(one.false_defects),
        f"{one.bad_unlike}/{one.bad}, {one.good_unlike}/{one.inspected - one.bad}",
        f"{one.foreign_refused}/{one.foreign}",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.1%})" if whole else "0/0"
