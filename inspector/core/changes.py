"""Commands to a running station, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inspector.core.basics import CameraId
from inspector.core.recipes import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The answer to one command: exactly one per command, in the order in which they came."""

    command: str
    """`set_product`, `teach`, `approve`, ...; as it was given where it is none of them."""
    fields: Mapping[str, str]
    """What came with it, as it was given."""
    accepted: bool
    problem: str = ""
    """Why it was refused, in one line; empty where it was accepted."""
    by: str
    """How it came, or who sent it: `commands`, `http`, `trigger`, `serial`, `service`."""
    command_entry: str | None = None
    """Its entry in the stream of commands; None where it came another way."""
    effective: Mapping[CameraId, int] = field(default_factory=dict)
    """The number of the first unit to which it applies, by camera; empty if it applies to none."""
    job: Job
    """The job in force from then on; after a refused command, the one that stays."""
