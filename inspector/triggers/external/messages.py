"""The message of an external trigger to a camera, and the answer to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inspector.core.recipes import Job


class TriggerOutcome(StrEnum):
    """The outcome of a trigger; also a metric label, so the list is closed."""

    ACCEPTED = "accepted"
    """It opened a unit, which gets exactly one verdict."""
    DOUBLED = "doubled"
    """The same unit was triggered a moment ago: its verdict is that one's."""
    REFUSED = "refused"
    """The station is stopping: the unit would get no verdict."""
    MALFORMED = "malformed"
    """Its unit, time or camera cannot be read."""
    UNKNOWN_CAMERA = "unknown_camera"
    """It names a camera that the station does not have."""
    NOT_EXTERNAL = "not_external"
    """It names a camera that is triggered in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A report that a unit is there."""

    unit_id: str
    received_mono_ns: int
    received_unix_ns: int
    at_unix_ns: int | None = None
    """When it was there, by the wall clock; None: at the time of receipt."""
    too_late: str = ""
    """Why nothing can be inspected for it any more, for people; empty if it can."""
    entry: str | None = None
    """Its entry ID in the stream of triggers; None if it arrived in another way."""
    job: Job | None = None
    """The job for its unit and all that follow; None: the one in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerAnswer:
    """The outcome of a trigger."""

    outcome: TriggerOutcome
    index: int | None = None
    """The index of its unit (`UnitRef.index`), or of the unit that it repeats; None if there is
    none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerReceipt:
    """The outcome of a trigger, for its sender."""

    outcome: TriggerOutcome
    unit_id: str = ""
    camera: str = ""
    number: int | None = None
    """The unit's number, as its event will carry it; None if there is none, or it is not known."""
    problem: str = ""
    """One line; empty for an accepted one."""
    kind: str = ""
    """The kind of mistake, of a closed list, so that each kind gets a line in the log."""
