"""Checks JSON against a JSON Schema: the part of the standard that ours use, and no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_SAYS_NOTHING = {"$defs", "$schema", "default", "description", "examples", "format", "title"}
_WRITE_ONLY = {"writeOnly"}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "array": lambda v: isinstance(v, list),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "object": lambda v: isinstance(v, dict),
    "string": lambda v: isinstance(v, str),
}


def violations(value: Any, schema: dict[str, Any]) -> list[str]:
    """What in `value` the schema does not allow; nothing where it fits.

    A keyword that this does not know raises: it would go unchecked.
    """
    return list(_violations(value, schema, schema.get("$defs", {}), "$"))


def _violations(value: Any, schema: Any, defs: Any, at: str) -> Iterator[str]:
    for keyword, wanted in schema.items():
        if keyword in _SAYS_NOTHING | _WRITE_ONLY:
            continue
        if keyword == "$ref":
            yield from _violations(value, defs[wanted.removeprefix("#/$defs/")], defs, at)
        elif keyword == "anyOf":
            if all(list(_violations(value, option, defs, at)) for option in wanted):
                yield f"{at}: {value!r} fits no choice"
        elif keyword == "type":
            if not _TYPES[wanted](value):
                yield f"{at}: {value!r} is no {wanted}"
        elif keyword in _INSIDE:
            yield from _INSIDE[keyword](value, wanted, schema, defs, at)
        elif not _HOLDS[keyword](value, wanted):
            yield f"{at}: {value!r} does not hold {keyword} {wanted!r}"


def _properties(value: Any, wanted: Any, schema: Any, defs: Any, at: str) -> Iterator[str]:
    del schema
    for name, inner in wanted.items():
        if isinstance(value, dict) and name in value:
            yield from _violations(value[name], inner, defs, f"{at}.{name}")


def _patterns(value: Any, wanted: Any, schema: Any, defs: Any, at: str) -> Iterator[str]:
    del schema
    for name in value if isinstance(value, dict) else ():
        for pattern, inner in wanted.items():
            if re.search(pattern, name):
                yield from _violations(value[name], inner, defs, f"{at}.{name}")


def _additional(value: Any, wanted: Any, schema: Any, defs: Any, at: str) -> Iterator[str]:
    extra = set(value if isinstance(value, dict) else ()) - set(schema.get("properties", ()))
    for name in extra:
        if any(re.search(pattern, name) for pattern in schema.get("patternProperties", ())):
            continue
        if wanted is False:
            yield f"{at}.{name}: not allowed"
        elif wanted is not True:
            yield from _violations(value[name], wanted, defs, f"{at}.{name}")


def _names(value: Any, wanted: Any, schema: Any, defs: Any, at: str) -> Iterator[str]:
    del schema
    for name in value if isinstance(value, dict) else ():
        yield from _violations(name, wanted, defs, f"{at}.{name}")


def _items(value: Any, wanted: Any, schema: Any, defs: Any, at: str) -> Iterator[str]:
    first = len(schema.get("prefixItems", ()))
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if index >= first:
            yield from _violations(item, wanted, defs, f"{at}[{index}]")


def _prefix(value: Any, wanted: Any, schema: Any, defs: Any, at: str) -> Iterator[str]:
    del schema
    # One that is too short is for minItems to refuse.
    items = value if isinstance(value, list) else []
    for index, (item, inner) in enumerate(zip(items, wanted, strict=False)):
        yield from _violations(item, inner, defs, f"{at}[{index}]")


_INSIDE = {
    "additionalProperties": _additional,
    "items": _items,
    "patternProperties": _patterns,
    "prefixItems": _prefix,
    "properties": _properties,
    "propertyNames": _names,
}


def _about(kind: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """A keyword that speaks of one type only; other values pass."""
    return lambda value, wanted: not _TYPES[kind](value) or holds(value, wanted)


_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "const": lambda v, wanted: v == wanted,
    "enum": lambda v, wanted: v in wanted,
    "exclusiveMinimum": _about("number", lambda v, limit: v > limit),
    "maxItems": _about("array", lambda v, limit: len(v) <= limit),
    "maximum": _about("number", lambda v, limit: v <= limit),
    "minItems": _about("array", lambda v, limit: len(v) >= limit),
    "minLength": _about("string", lambda v, limit: len(v) >= limit),
    "minProperties": _about("object", lambda v, limit: len(v) >= limit),
    "minimum": _about("number", lambda v, limit: v >= limit),
    "pattern": _about("string", lambda v, wanted: re.search(wanted, v) is not None),
    "required": _about("object", lambda v, names: set(names) <= set(v)),
}
