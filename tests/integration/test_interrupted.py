"""Ctrl-C ends a command without a traceback, however early it comes."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.kit.inspector_command import CHECKOUT, environment


def test_a_command_that_is_still_being_imported_ends_quietly() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "inspector", "--help"]
    with subprocess.Popen(
        command,
        env=environment(),
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        # What inspector.cli imports: by then our own code runs, and hundreds of modules are left.
        next(line for line in process.stderr if line.endswith(" structlog.types\n"))
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert "Traceback" not in rest
    assert "KeyboardInterrupt" not in rest
    assert process.returncode == 130
