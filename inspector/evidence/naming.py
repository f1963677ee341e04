"""Names pictures so that a listing shows time order and verdict: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from inspector.core.records import CameraId, KeptFor, Result
from inspector.evidence.retention import Kept

NS_PER_S = 1_000_000_000
LAST_MOMENT_S = 253_402_300_799
"""The end of the year 9999, the last that has four digits."""
MAX_FOREIGN_CHARACTERS = 40
UNFINISHED = ".part"
"""The ending of the name of a picture that is being written; it starts with a dot."""

PictureKind = Literal["unit", "frame"]
"""The unit, cut out and turned upright; or the frame in which it was seen."""

_FOREIGN = re.compile(r"[^A-Za-z0-9-]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIELD = "[A-Za-z0-9-]+"
_NAME = re.compile(rf"[0-9]{{6}}\.[0-9]{{6}}Z_{_FIELD}_{_FIELD}_([A-Z-]+)_{_FIELD}\.jpg")
_RESULTS = {result.value.replace("_", "-"): result for result in Result}
_NEAR = "-NEAR"
"""Follows the result of a unit that PASSED and is kept because it was near a threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of a picture."""

    kind: PictureKind
    camera: CameraId
    unit_id: str
    """Foreign text: from a serial, a trigger, a file's name."""
    event_id: str
    """The unit event's ULID: no two pictures share it together with camera and moment."""
    result: Result
    seen_unix_ns: int
    kept_for: KeptFor = KeptFor.VERDICT


def picture_path(subject: Subject) -> str:
    """`2026-11-22/101502.123456Z_left_PCB-1_FAILED_<event id>.jpg`, relative, in UTC.

    The unit's name in it is for people: it is shortened and has only letters, digits and dashes;
    the event carries the full name.
    """
    seconds, rest_ns = divmod(subject.seen_unix_ns, NS_PER_S)
    moment = datetime.fromtimestamp(min(max(seconds, 0), LAST_MOMENT_S), tz=UTC)
    clock = f"{moment:%H%M%S}.{rest_ns // 1000:06d}Z"
    result = subject.result.value.replace("_", "-")
    if subject.kept_for is KeptFor.NEAR_THRESHOLD:
        result += _NEAR
    fields = (clock, _safe(subject.camera), _safe(subject.unit_id), result, _safe(subject.event_id))
    # strftime("%Y") writes the year 800 with three digits.
    return f"{moment.year:04d}-{moment:%m-%d}/{'_'.join(fields)}.jpg"


def kept_picture(day: str, name: str, size_bytes: int, written_ns: int) -> Kept | None:
    """The index entry of a file; None if it is not one of ours."""
    match = _NAME.fullmatch(name)
    if match is None or not is_day(day) or match[1].removesuffix(_NEAR) not in _RESULTS:
        return None
    result = _RESULTS[match[1].removesuffix(_NEAR)]
    return Kept(
        path=f"{day}/{name}",
        size_bytes=size_bytes,
        passed=result is Result.PASSED,
        near=match[1].endswith(_NEAR),
        written_ns=written_ns,
    )


def is_day(name: str) -> bool:
    """Whether a folder of this name is one of ours."""
    return _DAY.fullmatch(name) is not None


def is_unfinished(name: str) -> bool:
    """Whether a file of this name was being written when its writer died."""
    return name.startswith(".") and name.endswith(UNFINISHED)


def unfinished(name: str) -> str:
    """The name of a picture while it is being written."""
    return f".{name}{UNFINISHED}"


def _safe(text: str) -> str:
    return _FOREIGN.sub("-", text).strip("-")[:MAX_FOREIGN_CHARACTERS] or "x"
