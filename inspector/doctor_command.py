"""What `inspector check` prints."""

from __future__ import annotations

import asyncio
import sys

import orjson
from rich.console import Console
from rich.table import Table

from inspector.doctor import Mark, examine
from inspector.settings import Settings

_STYLES = {Mark.OK: "green", Mark.WARN: "yellow", Mark.FAIL: "red"}


def doctor_command(settings: Settings, *, as_json: bool) -> int:
    """Examine and print; the exit code: 1 if anything fails."""
    notes = Console(stderr=True, highlight=False)
    findings = asyncio.run(examine(settings, lambda text: notes.print(text, style="dim")))
    failed = any(finding.mark is Mark.FAIL for finding in findings)
    if as_json:
        document = {"ok": not failed, "findings": [finding.as_dict() for finding in findings]}
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
        return int(failed)
    table = Table(show_lines=False)
    for column in ("what", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        style = _STYLES[finding.mark]
        table.add_row(
            finding.what, f"[{style}]{finding.mark.value}[/{style}]", finding.found, finding.advice
        )
    Console(highlight=False).print(table)
    return int(failed)
