"""Words mistakes in files that people write: pure.

pydantic checks; the message says in a line engineer's words what was found and expected.
"""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from inspector.core.url_text import unparsed
from inspector.settings.types import PATTERNS
from inspector.sources.uri import redact

LONGEST_SHOWN = 80
SECRET_KEYS = ("password", "sentinel_password", "token")

# What pydantic's refusals expect, in a line engineer's words.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a section of its own",
    "enum": "{expected}",
    "finite_number": "a number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than_equal": "at most {le:g}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a section of its own",
    "path_type": "a path in quotes",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} character",
    "string_type": "text in quotes",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
    "tuple_type": 'a list, such as ["open", "short"]',
}


def sentence(detail: ErrorDetails, where: list[str], model: type[BaseModel]) -> str:
    """`found "7"; expected ...` for one pydantic error at a place inside `model`."""
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return f"missing; expected {'a key' if len(where) > 1 else 'a section'} of this name"
    if kind == "extra_forbidden":
        return unknown_key(where[-1], model_at(model, where[:-1]))
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        message = f"expected {PATTERNS[context['pattern']]}"
    elif kind != "value_error":
        message = f"expected {_EXPECTED.get(kind, message).format(**context)}"
        message = message.replace("at least 1 entries", "at least 1 entry")
    if where[0:1] == ["cameras"] and kind in {"model_type", "dict_type"}:
        message = "expected a section for each camera, such as [cameras.top]"
    if where == ["zones"] and kind in {"tuple_type", "list_type"}:
        message = "expected a section for each zone, such as [[zones]]"
    if isinstance(found, BaseModel) or (kind == "value_error" and isinstance(found, dict)):
        return message
    if kind == "too_short" and where[-1] in SECRET_KEYS:
        return "found nothing; expected a secret"
    shown = _shown(where, found)
    told = isinstance(found, str) and shown in message
    return _without_password(message if told else f"found {shown}; {message}", found)


def _shown(where: list[str], found: object) -> str:
    """The refused value, unless it is or may hold a secret."""
    if any(key in where[-1:] for key in SECRET_KEYS):
        return "a secret"
    shown = redact(unparsed(str(found)))[:LONGEST_SHOWN]
    return repr(shown) if isinstance(found, str) else shown


def _without_password(sentence: str, found: object) -> str:
    """Stars out what may be a password in an address too malformed for `redact`."""
    login = re.sub(r"^\w*:?/+", "", str(found).rpartition("@")[0])
    password = login.partition(":")[2]
    for written in {password, repr(password)[1:-1]} - {""}:
        sentence = sentence.replace(f":{written}@", ":***@")
    return sentence


def unknown_key(key: str, model: type[BaseModel] | None) -> str:
    """The sentence about an unknown key."""
    known = sorted(model.model_fields) if model else []
    close = difflib.get_close_matches(key, known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"expected one of: {', '.join(known)}"
    return f'unknown key "{key}"; {hint}'


def model_at(root: type[BaseModel], where: Sequence[str]) -> type[BaseModel] | None:
    """The model that holds the keys at this place of `root`."""
    model: type[BaseModel] | None = root
    for part in where:
        field = model.model_fields.get(part) if model else None
        if field is not None:
            model = next(_models_in(field.annotation), None)
        # A dict's own keys (camera ids) and a list's numbers stay at the model of its values.
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
