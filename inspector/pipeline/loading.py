"""Reads the settings of a station, and compares them with what its stages need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspector.pipeline.buffers import require_buffers
from inspector.settings.load import load_settings
from inspector.settings.settings import Settings


def load_station(path: Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process; `overrides` (by section) stand above everything.

    Raises:
        ConfigurationError: with one sentence per problem.

    """
    settings = load_settings(path, overrides)
    require_buffers(settings, origin=str(path))
    return settings
