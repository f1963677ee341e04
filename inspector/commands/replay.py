"""What `inspector replay` shows: a bar while it runs, a summary at the end."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import av
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from inspector.commands.replay_script import read_script
from inspector.commands.replaying import (
    Tally,
    Told,
    default_changes,
    default_output,
    footage,
    replay_settings,
    run_replay,
)
from inspector.core.errors import ConfigurationError
from inspector.core.plain_text import plain
from inspector.settings.settings import Settings
from inspector.sources.files.uri import FileUri
from inspector.sources.uri import Pace

# Names may look like markup.
console = Console(stderr=True, highlight=False, markup=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The commands of a replay, and where their results are kept."""

    commands: Path
    changes: Path | None = None
    """None: beside the units' lines."""
    products: Path | None = None
    """None: in a temporary folder with a copy of the settings' own."""


def replay_command(
    source: str,
    base: Settings | None,
    *,
    out: Path | None,
    pace: Pace,
    camera: str | None,
    script: Script | None = None,
) -> int:
    """Run a replay; the exit code is 0 if everything was inspected and carried out, else 1."""
    recording = footage(source, pace)
    commands = read_script(script.commands) if script else ()
    target = out or default_output(recording)
    with ExitStack() as stack:
        products = _products(script, base, stack) if script else None
        settings = replay_settings(base, recording, camera, products)
        lines = _open(target, "--out", stack)
        changes_to = _changes_file(script, target)
        changes = _open(changes_to, "--changes", stack) if changes_to else None
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
        told = Told(
            out=lines,
            changes=changes,
            report=progress.console.print,
            on_frames=lambda frames: progress.update(bar, completed=frames),
        )
        tally = asyncio.run(run_replay(settings, told, commands))
    _print_summary(tally, target, changes_to)
    return 0 if tally.is_as_asked else 1


def _changes_file(script: Script | None, target: Path) -> Path | None:
    if script is None:
        return None
    if script.changes is not None:
        return script.changes
    return None if str(target) == "-" else default_changes(target)


def _products(script: Script, base: Settings | None, stack: ExitStack) -> Path:
    """The products' folder during the replay: never the one that a station uses."""
    if script.products is not None:
        return script.products
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="inspector-replay-")))
    own = None if base is None else base.products_directory
    if own is not None and own.is_dir():
        try:
            shutil.copytree(own, folder, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise ConfigurationError(f"replay: {own}: cannot be copied: {error}") from error
    return folder


def _frames_in(recording: FileUri) -> int | None:
    """For the progress bar only: the length by the video's header; None if unknown."""
    if recording.loop or recording.path.is_dir():
        return None
    with suppress(OSError, ValueError), av.open(f"file:{recording.path}") as container:
        return container.streams.video[0].frames or None
    return None


def _open(target: Path, option: str, stack: ExitStack) -> TextIO:
    if str(target) == "-":
        return sys.stdout
    try:
        return stack.enter_context(target.open("w", encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{option} {target}: cannot be written: {error.strerror}"
        ) from error


def _print_summary(tally: Tally, target: Path, changes: Path | None) -> None:
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
    for problem in tally.refused:
        console.print(plain(f"not carried out: {problem}"))
    if str(target) != "-":
        console.print(plain(f"events: {target}"))
    if changes is not None and str(changes) != "-":
        console.print(plain(f"changes: {changes}"))
