"""Reads a trigger, as Redis or HTTP delivers it: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from inspector.errors import ItemError

MAX_UNIT_ID_CHARACTERS = 128
_SHOWN_CHARACTERS = 60
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)


class MalformedTriggerError(ItemError):
    """A trigger that cannot be read; its text is one line that says what was expected."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field
        """Which field is wrong: the kinds of mistakes there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerFields:
    """What a trigger says."""

    unit_id: str
    at_unix_ns: int | None
    camera: str | None


def parse_trigger(fields: Mapping[str, object] | Mapping[bytes, object]) -> TriggerFields:
    """What a trigger's `unit_id`, `at` and `camera` say; other fields are the sender's own.

    Names and values may be text or UTF-8 bytes. An empty `at` or `camera` counts as absent:
    templates leave such behind.

    Raises:
        MalformedTriggerError: one of them is missing or cannot be read.

    """
    texts = {name: _text(name, value) for name, value in _known(fields).items()}
    unit_id = texts.get("unit_id") or ""
    if not 0 < len(unit_id) <= MAX_UNIT_ID_CHARACTERS or not unit_id.isprintable():
        raise MalformedTriggerError(
            "unit_id",
            f"unit_id is {_shown(unit_id)}, expected 1 to {MAX_UNIT_ID_CHARACTERS} printable"
            " characters",
        )
    at = texts.get("at")
    return TriggerFields(
        unit_id=unit_id,
        at_unix_ns=_unix_ns(at) if at else None,
        camera=texts.get("camera") or None,
    )


def _known(fields: Mapping[str, object] | Mapping[bytes, object]) -> dict[str, object]:
    named = {k.decode("utf-8", "replace") if isinstance(k, bytes) else k: fields[k] for k in fields}  # type: ignore[index]
    return {name: named[name] for name in ("unit_id", "at", "camera") if name in named}


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise MalformedTriggerError(name, f"{name} is not UTF-8, expected text") from error
    raise MalformedTriggerError(name, f"{name} is {_shown(value)}, expected text")


def _unix_ns(at: str) -> int:
    try:
        if _RFC3339.fullmatch(at) is None:
            raise ValueError  # noqa: TRY301 - as what is of that form and no moment
        moment = datetime.fromisoformat(at)
        if not _EPOCH <= moment < _LAST:
            raise ValueError  # noqa: TRY301 - a number that events could not show
        since = moment - _EPOCH
    except (ValueError, OverflowError) as error:
        raise MalformedTriggerError(
            "at", f"at is {_shown(at)}, expected a time such as 2026-01-31T14:05:09.123+01:00"
        ) from error
    # Not through floats, which are microseconds off by now.
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
