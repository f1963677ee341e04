"""The orders of the virtual photo-eye about units and frames."""

from __future__ import annotations

from dataclasses import dataclass

from inspector.core.records import Doubt, MissReason
from inspector.triggers.presence.on_belt import Span


@dataclass(frozen=True, slots=True)
class Open:
    """Announce the unit."""

    number: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep this frame for this unit, in place of the one kept before."""

    number: int
    span: Span
    neighbours_px: tuple[float, float]
    """How far along the travel, behind and ahead, the belt is free or another unit begins."""


@dataclass(frozen=True, slots=True)
class Send:
    """Inspect the frame kept for this unit."""

    number: int


@dataclass(frozen=True, slots=True)
class Close:
    """Announce that no further frame of the unit will come."""

    number: int
    miss: MissReason | None
    detail: str


@dataclass(frozen=True, slots=True)
class Count:
    """Count a unit that may have been missed."""

    doubt: Doubt


Action = Open | Keep | Send | Close | Count
