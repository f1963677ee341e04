"""Decides a unit's serial from the codes on its frames, and how certain it is: pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from inspector.settings.unit_sections import SerialFormat

MAX_SERIAL_CHARACTERS = 64
_SHOWN = 3


class SerialQuality(StrEnum):
    """How certain a unit's serial is; also a metric label, so the list is closed."""

    GOOD = "good"
    """Every frame that was read shows it."""
    PARTIAL = "partial"
    """Some of the frames show it, and none shows another."""
    CONFLICT = "conflict"
    """Two different serials were read: none is reported."""
    PATTERN_MISMATCH = "pattern_mismatch"
    """Codes were read, and none matches the pattern: none is reported."""
    REFUSED = "refused"
    """A code was read whose text cannot be a serial: none is reported."""
    UNREADABLE = "unreadable"
    """No code was read on any frame."""
    LATE = "late"
    """Nothing was read by the time the verdict was due, and frames were still waiting."""
    NOT_LOOKED = "not_looked"
    """No frame of the unit was available for reading."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was read, with a text fit to be a serial."""

    text: str
    format: SerialFormat


Reading = tuple[Code, ...] | None
"""The codes that one frame shows on the unit; None if it was not read in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedSerial:
    """A unit's serial number, or why it has none."""

    text: str | None
    """None unless quality is good or partial."""
    format: SerialFormat | None
    quality: SerialQuality
    frames_read: int
    """The number of frames that show it."""
    frames: int
    """The number of frames that were to be read."""
    detail: str = ""
    """For people: the code that was read instead."""


def agree(readings: Sequence[Reading], pattern: str, refused: Sequence[str] = ()) -> AgreedSerial:
    """Decide from the codes on one unit's frames.

    `refused` has other texts, and why they were refused. Damaged codes are refused by their own
    check digits, so one frame is enough for a serial. Two different texts cannot both be it; a
    pattern decides which of several codes on a unit is the serial.
    """
    seen = [code for reading in readings for code in reading or ()]
    fitting = [code for code in seen if not pattern or re.fullmatch(pattern, code.text)]
    texts = sorted({code.text for code in fitting})
    if len(texts) == 1:
        frames_read = sum(any(code in fitting for code in reading or ()) for reading in readings)
        return AgreedSerial(
            text=texts[0],
            format=fitting[0].format,
            quality=SerialQuality.GOOD if frames_read == len(readings) else SerialQuality.PARTIAL,
            frames_read=frames_read,
            frames=len(readings),
        )
    quality, detail = _why_none(readings, seen, texts, pattern)
    if refused and not seen:
        others = sorted(set(refused))
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        quality, detail = SerialQuality.REFUSED, f"read a code that {others[0]}{more}"
    return AgreedSerial(
        text=None, format=None, quality=quality, frames_read=0, frames=len(readings), detail=detail
    )


def _why_none(
    readings: Sequence[Reading], seen: Sequence[Code], texts: Sequence[str], pattern: str
) -> tuple[SerialQuality, str]:
    if texts:
        return SerialQuality.CONFLICT, f"read {_listed(texts)}"
    if seen:
        others = _listed(sorted({code.text for code in seen}))
        return SerialQuality.PATTERN_MISMATCH, f"read {others}, expected {pattern!r}"
    if not readings:
        return SerialQuality.NOT_LOOKED, ""
    return (SerialQuality.LATE if None in readings else SerialQuality.UNREADABLE), ""


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(repr(text) for text in texts[:_SHOWN]) + more
