"""Writes docs/images/demo.svg: what a real `inspector demo` prints on a terminal.

python scripts/picture_of_demo.py [SECONDS]
"""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 84
TARGET = Path(__file__).parent.parent / "docs" / "images" / "demo.svg"


def run_on_a_terminal(command: list[str]) -> str:
    """Everything the command prints when it believes a person is looking."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
        os.execvp(command[0], command)  # noqa: S606 - our own command, as given
    printed = bytearray()
    while True:
        try:
            chunk = os.read(master, 65_536)
        except OSError:  # the other side closed: the command ended
            break
        printed += chunk
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"the demo failed:\n{printed.decode(errors='replace')}")
    return printed.decode()


def main() -> None:
    """Run the demo and draw it."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "32"
    command = Path(sys.executable).with_name("inspector")
    text = run_on_a_terminal([str(command), "demo", "--seconds", seconds])
    # As `make demo` prints it, whose command is called from the checkout; nobody needs the login.
    text = text.replace(str(command), ".venv/bin/inspector")
    text = re.sub(r"redis://:[0-9a-f]+@", "redis://…@", text)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print("[bold]$ make demo[/bold]")
    console.print(Text.from_ansi(text.replace("\r\n", "\n").rstrip()))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(TARGET), title="inspector demo")


if __name__ == "__main__":
    main()
