"""The command `inspector`, and `python -m inspector`."""

from __future__ import annotations

import os

_EXIT_INTERRUPTED = 130


def main() -> None:
    """Run a command; Ctrl-C ends it without a traceback at any moment."""
    try:
        from inspector.cli import main as run  # noqa: PLC0415 - takes a third of a second
    except KeyboardInterrupt:
        os._exit(_EXIT_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
