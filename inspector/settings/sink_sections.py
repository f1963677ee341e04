"""The sections `[sinks.<name>]`, each read by its own kind of sink."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BeforeValidator,
    InstanceOf,
    ValidationError,
    WithJsonSchema,
)

from inspector.settings.wording import sentence
from inspector.sinks.kind import SinkKind
from inspector.sinks.registry import kind_named


def _parse_sink(value: object) -> SinkKind:
    if isinstance(value, SinkKind):
        return value
    if not isinstance(value, dict):
        msg = "expected a section for each sink, such as [sinks.archive]"
        raise ValueError(msg)  # noqa: TRY004 - a setting that is refused is a ValueError
    named = value.get("kind")
    if not isinstance(named, str):
        msg = "kind is missing; expected the name of a kind of sink"
        raise ValueError(msg)  # noqa: TRY004 - a setting that is refused is a ValueError
    kind = kind_named(named)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, detail['loc']))}: "
            f"{sentence(detail, list(map(str, detail['loc'])), kind)}"
            for detail in error.errors()
        ]
        raise ValueError("; ".join(problems)) from None


AnySink = Annotated[
    InstanceOf[SinkKind],
    BeforeValidator(_parse_sink),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"kind": {"type": "string"}},
            "required": ["kind"],
        }
    ),
]
"""A sink, as its kind reads it."""
