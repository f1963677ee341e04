"""Keys that had another name before: still read, with one line of warning for each: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

RENAMED: Mapping[str, str] = {"cameras.*.look": "crop"}
"""The dotted key of before, and the last part of its name now. `*` stands for any one name."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A key that somebody still writes by its old name."""

    before: str
    """Dotted, as it was written."""
    now: str
    """Dotted, as it is called now."""

    def at(self, place: str) -> OldName:
        """What people are told of it."""
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
    """Call every key in `content` by its present name, in place; returns those that were renamed.

    A key that is there by both names keeps both: the old one is refused as an unknown key.
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
