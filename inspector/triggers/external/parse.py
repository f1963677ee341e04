"""Reads a trigger, as Redis or HTTP delivers it: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from inspector.core.errors import ItemError
from inspector.core.part_names import NameUnusableError, shown, unit_name

MAX_UNIT_ID_CHARACTERS = 128
OF_JOB = ("product", "order", "lot", "context")
"""The fields of a trigger about the job of its unit."""
_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[Tt ](?P<hour>\d\d):(?P<minute>\d\d)"
    r"(:(?P<second>\d\d)([.,](?P<fraction>\d{1,30}))?)?"
    r"(?P<offset>[Zz]|[+-]\d\d(:?\d\d)?)?",
    re.ASCII,
)
"""RFC 3339, and the forms of ISO 8601 that programming languages write: no seconds, a comma, an
offset without a colon or without minutes. The offset may be missing here, so that the error can
name that."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)
_DAY_ENDS_HOUR = 24
_LEAP_SECOND = 60
_AROUND = " \t\r\n\0\ufeff"
"""The characters that PLCs and scanners put around a value."""
_BRIEF_CHARACTERS = 60
_EXAMPLE = "expected a time such as 2026-01-31T14:05:09.123+01:00"


class MalformedTriggerError(ItemError):
    """A trigger that cannot be read; the text is one line with what was expected."""

    def __init__(self, field: str, problem: str, kind: str = "") -> None:
        super().__init__(problem)
        self.field = field
        """Which field is wrong."""
        self.kind = f"{field}: {kind}" if kind else field
        """The kind of mistake, of a closed list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerFields:
    """The content of a trigger."""

    unit_id: str
    at_unix_ns: int | None
    camera: str | None
    job: Mapping[str, str] = field(default_factory=dict)
    """Its product and order, as given; without empty fields."""


def parse_trigger(fields: Mapping[str, object] | Mapping[bytes, object]) -> TriggerFields:
    """Read a trigger's `unit_id`, `at`, `camera` and `OF_JOB`; other fields are the sender's.

    Names and values may be text or UTF-8 bytes. The characters that scanners and PLCs put around a
    value are removed, and a unit's name is extracted from the codes' own formats
    (`core.part_names`). An empty `at` or `camera` counts as absent: templates leave such fields.

    Raises:
        MalformedTriggerError: one of them is missing or cannot be read.

    """
    texts = {name: _text(name, value) for name, value in _known(fields).items()}
    try:
        unit_id = unit_name(texts.get("unit_id") or "", longest=MAX_UNIT_ID_CHARACTERS)
    except NameUnusableError as error:
        raise MalformedTriggerError("unit_id", f"unit_id {error}", error.kind) from error
    at = (texts.get("at") or "").strip(_AROUND)
    return TriggerFields(
        unit_id=unit_id,
        at_unix_ns=_unix_ns(at) if at else None,
        camera=(texts.get("camera") or "").strip(_AROUND) or None,
        job={name: text for name in OF_JOB if (text := (texts.get(name) or "").strip(_AROUND))},
    )


def _known(fields: Mapping[str, object] | Mapping[bytes, object]) -> dict[str, object]:
    named = {k.decode("utf-8", "replace") if isinstance(k, bytes) else k: fields[k] for k in fields}  # type: ignore[index]
    return {name: named[name] for name in ("unit_id", "at", "camera", *OF_JOB) if name in named}


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            problem = f"{name} is not UTF-8, expected text"
            raise MalformedTriggerError(name, problem, "not UTF-8") from error
    raise MalformedTriggerError(name, f"{name} is {_brief(value)}, expected text", "no text")


def _unix_ns(at: str) -> int:
    found = _TIME.fullmatch(at)
    if found is None:
        raise MalformedTriggerError("at", f"at is {shown(at)}, {_EXAMPLE}", "no time")
    if found["offset"] is None:
        problem = f"at is {shown(at)}, which names no offset from UTC, {_EXAMPLE}"
        raise MalformedTriggerError("at", problem, "no offset")
    try:
        moment = _moment(found)
        in_range = _EPOCH <= moment < _LAST
    except (ValueError, OverflowError):
        in_range = False
    if not in_range:  # a date that does not exist, or a year that events cannot show
        raise MalformedTriggerError("at", f"at is {shown(at)}, {_EXAMPLE}", "no moment")
    since = moment - _EPOCH
    # Not through floats, whose error is microseconds at present dates.
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _moment(found: re.Match[str]) -> datetime:
    hour, second = int(found["hour"]), int(found["second"] or 0)
    more = timedelta(
        # ISO 8601 ends a day at 24:00; RFC 3339 allows the leap second.
        days=hour == _DAY_ENDS_HOUR,
        seconds=second == _LEAP_SECOND,
        microseconds=int((found["fraction"] or "")[:6].ljust(6, "0")),
    )
    if hour == _DAY_ENDS_HOUR and (int(found["minute"]) or second or more.microseconds):
        raise ValueError(hour)
    written = (
        f"{found['date']}T{hour % _DAY_ENDS_HOUR:02}:{found['minute']}"
        f":{second - (second == _LEAP_SECOND):02}{_offset(found['offset'])}"
    )
    if hour > _DAY_ENDS_HOUR:
        raise ValueError(hour)
    return datetime.fromisoformat(written) + more


def _offset(written: str) -> str:
    if written in "Zz":
        return "+00:00"
    digits = written[1:].replace(":", "").ljust(4, "0")
    return f"{written[0]}{digits[:2]}:{digits[2:]}"


def _brief(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _BRIEF_CHARACTERS else f"{text[:_BRIEF_CHARACTERS]}…"
