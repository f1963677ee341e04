"""What `inspector replay` shows: a bar while it runs, a summary at the end."""

from __future__ import annotations

import asyncio
import statistics
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

import av
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from inspector.commands.replaying import Tally, default_output, footage, replay_settings, run_replay
from inspector.core.errors import ConfigurationError
from inspector.core.plain_text import plain
from inspector.settings.settings import Settings
from inspector.sources.files.uri import FileUri
from inspector.sources.uri import Pace

# Names may look like markup.
console = Console(stderr=True, highlight=False, markup=False)


def replay_command(
    source: str, base: Settings | None, *, out: Path | None, pace: Pace, camera: str | None
) -> int:
    """Run a replay; the exit code: 0 when every frame was inspected, else 1."""
    recording = footage(source, pace)
    settings = replay_settings(base, recording, camera)
    target = out or default_output(recording)
    with ExitStack() as stack:
        lines = _open(target, stack)
        progress = stack.enter_context(
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console,
                disable=not console.is_terminal,
            )
        )
        bar = progress.add_task("frames", total=_frames_in(recording))
        tally = asyncio.run(
            run_replay(
                settings,
                lines,
                report=progress.console.print,
                on_unit=lambda so_far: progress.update(bar, completed=so_far.total),
            )
        )
    _print_summary(tally, target)
    looked_at = tally.units["PASSED"] + tally.units["FAILED"]
    return 0 if looked_at == tally.total and not tally.frames_missed else 1


def _frames_in(recording: FileUri) -> int | None:
    """For the bar only: what a video's header claims; None where that is not known."""
    if recording.loop or recording.path.is_dir():
        return None
    with suppress(OSError, ValueError), av.open(f"file:{recording.path}") as container:
        return container.streams.video[0].frames or None
    return None


def _open(target: Path, stack: ExitStack) -> TextIO:
    if str(target) == "-":
        return sys.stdout
    try:
        return stack.enter_context(target.open("w", encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"--out {target}: cannot be written: {error.strerror}") from error


def _print_summary(tally: Tally, target: Path) -> None:
    table = Table(title=f"{tally.total} units in {tally.seconds:.1f} s", title_justify="left")
    table.add_column("what")
    table.add_column("number", justify="right")
    for result, number in sorted(tally.units.items()):
        table.add_row(result, str(number))
    for reason, number in sorted(tally.reasons.items()):
        table.add_row(f"  {reason}", str(number))
    for reason, number in sorted(tally.frames_missed.items()):
        table.add_row(f"frames missed: {reason}", str(number))
    for code, number in tally.defects.most_common():
        table.add_row(f"defect: {code}", str(number))
    if len(tally.latency_ms) > 1:
        cuts = statistics.quantiles(tally.latency_ms, n=20)
        table.add_row("latency p50 / p95, ms", f"{cuts[9]:.0f} / {cuts[18]:.0f}")
    console.print(table)
    if str(target) != "-":
        console.print(plain(f"events: {target}"))
