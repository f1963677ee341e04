"""Ctrl-C ends a command without a traceback, however early it comes."""

from __future__ import annotations

import os
from pathlib import Path

from tests.kit.inspector_command import environment, inspector

INTERRUPTS_ITSELF = """
import os, signal, sys

# What a shell without job control starts in the background ignores SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "structlog":  # which inspector.cli imports: its own code does not run yet
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""


def test_a_command_that_is_still_being_imported_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS_ITSELF)
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    ended = inspector("--help", env={"PYTHONPATH": path})
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
