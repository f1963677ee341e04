"""The settings section that says when the station must prove that it can see."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_serializer, field_validator

from inspector.settings.types import Section


class ChallengeSettings(Section):
    """When known parts are due; without any of these keys they are only shown on request."""

    directory: Path | None = None
    """The folder of the sets; None: `challenges` in the journal's directory."""
    locks: bool = True
    """Whether nothing is PASSED while a challenge is due; false: it is only reported."""
    at: Annotated[tuple[time, ...], Field(max_length=24)] = ()
    """Times of day at which it is due, in the station's local time: the start of each shift."""
    after_change_over: bool = False
    after_new_model: bool = False
    """Due after another model, or another version or file of it, than at the last success."""
    after_new_revision: bool = False
    """Due after a change of anything that decides: thresholds, zones, the reference, the model."""
    after_stop_min: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """Due after the service was not running for longer than this; 0: never for that reason."""
    every_units: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    """Due after this many units since the last success; 0: never for that reason."""
    patience_min: Annotated[float, Field(ge=0.1, le=10_000)] = 15.0
    """A challenge fails if no part comes for this long."""

    @field_validator("at")
    @classmethod
    def _plain_minutes(cls, times: tuple[time, ...]) -> tuple[time, ...]:
        if any(t.second or t.microsecond or t.tzinfo for t in times):
            msg = 'expected times such as "06:00", in the local time of the station'
            raise ValueError(msg)
        if len(set(times)) < len(times):
            msg = "a time is there twice"
            raise ValueError(msg)
        return times

    @field_serializer("at")
    def _as_written(self, times: tuple[time, ...]) -> list[str]:
        return [f"{t:%H:%M}" for t in times]

    @property
    def is_ever_due(self) -> bool:
        """Whether a challenge ever becomes due by itself."""
        return bool(
            self.at
            or self.after_change_over
            or self.after_new_model
            or self.after_new_revision
            or self.after_stop_min
            or self.every_units
        )
