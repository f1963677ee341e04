"""Known parts that are shown to a station: what was expected, and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from inspector.core.basics import CameraId
from inspector.core.records import Event


class Step(StrEnum):
    """What the command `challenge` asks for."""

    BEGIN = "begin"
    RETRY = "retry"
    ABORT = "abort"


class Differs(StrEnum):
    """How what was seen of a known part differs from what was expected. A closed list."""

    NOT_INSPECTED = "not_inspected"
    MISSED = "missed"
    """A bad part passed."""
    FALSE_CALL = "false_call"
    """A good part failed."""
    DEFECT_MISSED = "defect_missed"
    """It failed, but not for a defect that it has."""
    OTHER_DEFECT = "other_defect"
    """A defect was reported that it is known not to have."""
    WRONG_PART = "wrong_part"
    """Another part of the set came first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference from what was expected."""

    kind: Differs
    told: str
    """For people, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartShown:
    """A unit that is a known part and no product: its verdict is the truth about it."""

    challenge: str
    """ULID of the check."""
    set_name: str
    part: str
    """Its name in the set."""
    position: int
    """Which of the set, from 0."""
    differences: tuple[Difference, ...]

    @property
    def is_as_expected(self) -> bool:
        """Whether it was seen as it is known to be."""
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of a command, to be published and kept with it."""

    problem: str = ""
    """Why it is refused; empty if it is not."""
    effective: Mapping[CameraId, int] = field(default_factory=dict)
    """The number of the first unit that may be a known part."""
    events: tuple[Event, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


ChallengeResult = Literal["held", "failed", "aborted"]
