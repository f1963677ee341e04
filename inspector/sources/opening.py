"""How a camera is opened, whatever its kind."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from inspector.core.errors import CameraUnavailableError
from inspector.core.ports import FrameSource
from inspector.core.records import CameraId
from inspector.sources.uri import Pace

FeatureValue = str | int | float | bool
"""A value of a camera's feature or control."""

_NOBODY = CameraId("camera")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a camera gets besides its URI; each kind uses what concerns it."""

    camera_id: CameraId = _NOBODY
    size: tuple[int, int] | None = None
    """Width and height in pixels that it must deliver; None takes what it delivers by itself."""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 2.0
    stop: threading.Event = field(default_factory=threading.Event)
    """Waits end early once it is set."""
    pace: Pace = "max"
    """The pace of recordings whose URI names none."""
    password: str | None = field(default=None, repr=False)
    """Takes precedence over one in the URI."""
    tls_ca: Path | None = None
    """Who must have signed the camera's certificate; None: it is not verified."""
    features: Mapping[str, FeatureValue] = field(default_factory=dict)
    """Written into the camera at every connection, in this order, and read back."""


class SizedSource(FrameSource, Protocol):
    """A camera that knows its size once it is open."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None before `open` where none was asked for."""


def opened_size(source: SizedSource) -> tuple[int, int]:
    """The size that a camera without a given one delivers; opens and closes it.

    Raises:
        CameraUnavailableError: it cannot be reached, or delivers nothing.

    """
    try:
        source.open()
        if source.size is None:
            msg = "the source opened without saying its size"
            raise CameraUnavailableError(msg)
        return source.size
    finally:
        source.close()
