"""Runs `inspector` as a user does, in a process of its own; imports nothing of pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = [sys.executable, "-m", "inspector"]
CHECKOUT = Path(__file__).parents[2]
_NOT_PASSED_ON = ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "STATE_DIRECTORY", "WATCHDOG_USEC")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without settings of the inspector, so that a test sees only those it makes."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if name not in _NOT_PASSED_ON
        and (not name.startswith("INSPECTOR_") or name == "INSPECTOR_CACHE")
    }
    return {**kept, "PYTHONPATH": str(CHECKOUT), **(extra or {})}


def inspector(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def started(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Start a command; the caller ends it. Its output comes through pipes."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell without job control starts in the background ignores SIGINT, and so do its
        # children: without this, Ctrl-C would be tried on a command that does not hear it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no lock in it
    )


def on_terminal(*arguments: str | Path) -> tuple[int, str]:
    """Run a command that believes a person looks at it: its exit code, and what they saw."""
    return watched_on_terminal([*COMMAND, *map(str, arguments)])


def watched_on_terminal(command_line: list[str]) -> tuple[int, str]:
    """Run any program so: its exit code, and what was seen."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        command_line,
        env=environment({"TERM": "xterm-256color", "COLUMNS": "200"}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as command:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # how Linux says that the other end is closed
            pass
        finally:
            os.close(ours)
    return command.returncode, shown.decode()


STATION = '[station]\nsite = "plant1"\nline = "smt2"\nname = "aoi"\n'
CAMERA = '[cameras.top]\nsource = "sim:?view=strobe&takt_s=0.2"\nsize = "320x240"\n'


def settings_file(
    folder: Path, more: str = "", *, station: str = STATION, camera: str = CAMERA
) -> Path:
    """A settings file that works, with what a test adds or replaces; state stays in `folder`."""
    state = f'[journal]\ndirectory = "{folder / "state"}"\n'
    http = "" if "[http]" in more else "[http]\nport = 0\n"
    file = folder / "line.toml"
    file.write_text(station + camera + http + ("" if "[journal]" in more else state) + more)
    return file
