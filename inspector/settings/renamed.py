"""Renamed keys: old names are still read, with one line of warning for each: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

RENAMED: Mapping[str, str] = {"cameras.*.look": "crop"}
"""The old dotted key, and the last part of its present name. `*` stands for any one name."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A key that is still written by its old name."""

    before: str
    """The dotted key as it was written."""
    now: str
    """The dotted key by its present name."""

    def at(self, place: str) -> OldName:
        """A renamed key as it is reported."""
        return OldName(place, self.now.rpartition(".")[2])


@dataclass(frozen=True, slots=True)
class OldName:
    """What a person should change: its `str` is one sentence."""

    place: str
    """File or variable, and the key as it is written there."""
    now: str
    """What the key is called now."""

    def __str__(self) -> str:
        return f'{self.place}: renamed to "{self.now}"; the old name still works, please change it'


def rename(content: dict[str, Any], names: Mapping[str, str] = RENAMED) -> list[Renamed]:
    """Replace old names of keys in `content`, in place; returns those that were renamed.

    A key that is present by both names keeps both: the old one is refused as an unknown key.
    """
    found = []
    for pattern, name in names.items():
        *above, before = pattern.split(".")
        for where, section in _sections(content, above):
            if before in section and name not in section:
                section[name] = section.pop(before)
                found.append(Renamed(".".join([*where, before]), ".".join([*where, name])))
    return found


def _sections(content: Any, path: list[str]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Every section at this path, with the names that lead there."""
    if not isinstance(content, dict):
        return
    if not path:
        yield [], content
        return
    for name in list(content) if path[0] == "*" else path[:1]:
        for where, section in _sections(content.get(name), path[1:]):
            yield [name, *where], section
