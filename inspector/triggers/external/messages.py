"""What an external trigger passes to a camera, and the answer to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inspector.core.recipes import Job


class TriggerOutcome(StrEnum):
    """What became of a trigger; also a metric label, so the list is closed."""

    ACCEPTED = "accepted"
    """It opened a unit, which gets exactly one verdict."""
    DOUBLED = "doubled"
    """The same unit was triggered a moment ago: its verdict is that one's."""
    REFUSED = "refused"
    """The station is stopping: the unit would get no verdict."""
    MALFORMED = "malformed"
    """It does not say which unit, when or where in a way that can be read."""
    UNKNOWN_CAMERA = "unknown_camera"
    """It names a camera that the station does not have."""
    NOT_EXTERNAL = "not_external"
    """It names a camera that is triggered in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Somebody says that a unit is there."""

    unit_id: str
    received_mono_ns: int
    received_unix_ns: int
    at_unix_ns: int | None = None
    """When it was there, by the wall clock; None: when this was received."""
    too_late: str = ""
    """Why nothing can be inspected for it any more, for people; empty: it can."""
    entry: str | None = None
    """Its entry ID in the stream of triggers; None where it came another way."""
    job: Job | None = None
    """Under which its unit is opened, and all that follow; None: the one in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerAnswer:
    """What became of a trigger."""

    outcome: TriggerOutcome
    index: int | None = None
    """Of its unit (`UnitRef.index`), or of the unit it doubles; None where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerReceipt:
    """What became of a trigger, for whoever sent it."""

    outcome: TriggerOutcome
    unit_id: str = ""
    camera: str = ""
    number: int | None = None
    """The unit's, as its event will carry it; None where there is none, or it is not known."""
    problem: str = ""
    """One line; empty for an accepted one."""
    kind: str = ""
    """Which kind of mistake; of a closed list, so that each is worth a line in the log."""
