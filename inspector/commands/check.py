"""What `inspector check` prints: a table on a terminal, one line per finding in a pipe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inspector.doctor.examination import examine
from inspector.doctor.findings import Finding, Mark
from inspector.settings.settings import Settings

_STYLES = {Mark.OK: "green", Mark.WARN: "yellow", Mark.FAIL: "red"}


def doctor_command(settings: Settings, *, as_json: bool) -> int:
    """Examine and print; the exit code: 1 if anything fails."""
    notes = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    findings = asyncio.run(examine(settings, lambda text: notes.print(text, style="dim")))
    failed = any(finding.mark is Mark.FAIL for finding in findings)
    console = Console(highlight=False)
    if as_json:
        document = {"ok": not failed, "findings": [finding.as_dict() for finding in findings]}
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    elif console.is_terminal:
        console.print(_table(findings))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(findings))
    return int(failed)


def _table(findings: Iterable[Finding]) -> Table:
    table = Table(show_lines=False)
    for column in ("what", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        # Text, because what was found may look like markup: [cameras.top].
        mark = Text(finding.mark.value, style=_STYLES[finding.mark])
        table.add_row(Text(finding.what), mark, Text(finding.found), Text(finding.advice))
    return table


def _lines(findings: Iterable[Finding]) -> Iterable[str]:
    for finding in findings:
        advice = f"; {finding.advice}" if finding.advice else ""
        yield f"{finding.mark.value:<4}  {finding.what}: {finding.found}{advice}"
