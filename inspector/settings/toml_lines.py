"""Finds the line of a key in a TOML file, for messages: pure.

Python's parser keeps no positions. It is called repeatedly instead: the first lines of a file are
valid TOML wherever a value has ended, so the shortest beginning that contains the key ends with it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

_PLACE = re.compile(r"\(at line (\d+), column \d+\)")
_END = "(at end of document)"


def line_of(text: str, where: Sequence[str | int]) -> int | None:
    """The line, from 1, in which the value at this place begins; None where there is none.

    For a place inside a value that is written as a whole, such as a list of points, the line of
    that value.
    """
    whole = _read(text)
    known = _known_part(whole, where)
    if not known:
        return None
    lines = text.splitlines(keepends=True)
    ended = 0
    for number in range(1, len(lines) + 1):
        beginning = _read("".join(lines[:number]))
        if beginning is None:
            continue
        if len(_known_part(beginning, known)) == len(known):
            return _first_written(lines, ended, number)
        ended = number
    return None


def line_of_mistake(error: Exception, text: str) -> int | None:
    """The line in which a file stops being TOML; None if the parser does not say."""
    told = str(error)
    if found := _PLACE.search(told):
        return int(found[1])
    return max(1, len(text.splitlines())) if told.endswith(_END) else None


def _read(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _known_part(content: Any, where: Sequence[str | int]) -> tuple[str | int, ...]:
    """How much of this place exists."""
    known: list[str | int] = []
    for part in where:
        if isinstance(content, dict):
            if part not in content:
                break
            content = content[part]
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            break
        known.append(part)
    return tuple(known)


def _first_written(lines: Sequence[str], after: int, until: int) -> int:
    """The first line behind `after` that is neither empty nor a comment."""
    for number in range(after + 1, until):
        if lines[number - 1].strip() and not lines[number - 1].lstrip().startswith("#"):
            return number
    return until
