"""Makes text from outside safe to write anywhere: pure.

File names, camera and server messages hold what they like: bytes that are no UTF-8 (Python keeps
them as lone surrogates, which neither JSON nor a terminal takes), escape sequences, marks that
turn the direction of writing. A person still has to see that something stood there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")
_UNFIT = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: terminal escapes
    "\u202a-\u202e\u2066-\u2069"  # other directions of writing
    "\ud800-\udfff"  # bytes that were no UTF-8
    "]"
)


def plain(text: str) -> str:
    """`text` on one line, each character that cannot be shown replaced by U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text))


def plainly(value: Any) -> Any:
    """`value` with every text in it made `plain`, in mappings and lists too."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plainly(key): plainly(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plainly(inner) for inner in value]
    return value


def as_json(value: Any) -> bytes:
    """`value` as JSON; text in it that JSON does not take is made `plain` rather than refused."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(plainly(value))
