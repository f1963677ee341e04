"""What was checked, and the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from inspector.settings.renamed import OldName


class Mark(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check and its result."""

    what: str
    mark: Mark
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def renamed(old_name: OldName) -> Finding:
    """A key under its old name: it works, and should be renamed."""
    return Finding(
        what=old_name.place,
        mark=Mark.WARN,
        found="an old name, which still works",
        advice=f'rename it to "{old_name.now}"',
    )
