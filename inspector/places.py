"""Where the project's own files are, wherever the command is started."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def find(path: Path) -> Path:
    """A relative path in the current folder or, if it is not there, in the checkout."""
    if path.is_absolute() or path.exists():
        return path
    in_checkout = CHECKOUT / path
    return in_checkout if in_checkout.exists() else path
