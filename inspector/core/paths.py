"""Finds the project's own files, wherever the command is started."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def find(path: Path) -> Path:
    """A relative path in the current folder or, if it is not there, in the checkout."""
    if path.is_absolute() or path.exists():
        return path
    in_checkout = CHECKOUT / path
    return in_checkout if in_checkout.exists() else path


def default_cache() -> Path:
    """The default folder for downloads that are kept."""
    if own := os.environ.get("INSPECTOR_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "inspector"
    return Path.home() / ".cache" / "inspector"
