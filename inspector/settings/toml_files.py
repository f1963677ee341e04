"""Reads TOML files that people write; reports mistakes with their lines. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from inspector.core.errors import ConfigurationError
from inspector.settings.renamed import OldName, Renamed
from inspector.settings.toml_lines import line_of, line_of_mistake
from inspector.settings.wording import sentence

LARGEST_FILE_BYTES = 65_536

Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A file's text and its name."""

    text: str
    origin: str

    def problem(self, where: Where, told: str) -> str:
        """File, line and dotted key, and the mistake there."""
        return f"{self.place(where)}: {told}"

    def place(self, where: Where) -> str:
        """File, line and dotted key."""
        line = line_of(self.text, where) if where else None
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in where)
        file = f"{self.origin}:{line}" if line else self.origin
        return f"{file}: {key}" if key else file

    def old_name(self, key: Renamed) -> OldName:
        """File, line and dotted key of one that is still written by its old name."""
        return key.at(self.place(tuple(key.before.split("."))))

    def in_order(self, problems: Sequence[str]) -> list[str]:
        """The problems, in the order of the file."""

        def line(problem: str) -> int:
            number = problem.removeprefix(f"{self.origin}:").partition(":")[0]
            return int(number) if number.isdecimal() else 0

        return sorted(problems, key=line)

    def problems(
        self, error: ValidationError, model: type[BaseModel], above: Where = ()
    ) -> Iterator[str]:
        """One problem for each error of pydantic."""
        for detail in error.errors(include_url=False):
            where = (*above, *(part for part in detail["loc"] if part != "[key]"))
            inside = [str(part) for part in where[len(above) :]] or [""]
            yield self.problem(where, sentence(detail, inside, model))


def read_toml(content: bytes, origin: str) -> tuple[Written, dict[str, Any]]:
    """The text and the content of a file.

    Raises:
        ConfigurationError: it is too large, no UTF-8 or no TOML.

    """
    if len(content) > LARGEST_FILE_BYTES:
        raise ConfigurationError(
            f"{origin}: found {len(content)} bytes; expected at most {LARGEST_FILE_BYTES}"
        )
    try:
        # -sig: editors on Windows put an invisible mark in front.
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{origin}:{line}: byte {error.start} is not UTF-8; expected a TOML file saved as UTF-8"
        ) from None
    written = Written(text, origin)
    try:
        return written, tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError; a huge number; deep nesting
        line_of_it = line_of_mistake(error, text)
        where = f"{origin}:{line_of_it}" if line_of_it else origin
        raise ConfigurationError(f"{where}: not valid TOML: {str(error)[:300]}") from None
