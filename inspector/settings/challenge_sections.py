"""The section of the settings that says when the station has to prove that it can see."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_serializer, field_validator

from inspector.settings.types import Section


class ChallengeSettings(Section):
    """When known parts are due; without any of these keys only those who ask for them show them."""

    directory: Path | None = None
    """Of the sets; None: `challenges` in the journal's directory."""
    locks: bool = True
    """While a challenge is due nothing is PASSED; false: it is reported, and nothing else."""
    at: Annotated[tuple[time, ...], Field(max_length=24)] = ()
    """Times of day at which it is due, in the station's local time: the start of each shift."""
    after_change_over: bool = False
    after_new_model: bool = False
    """Another model, or another version or file of it, than at the last challenge that held."""
    after_new_revision: bool = False
    """Anything that decides is different: thresholds, zones, the reference, the model."""
    after_stop_min: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """After the service was not running for longer; 0: not for that."""
    every_units: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    """After so many units since the last one that held; 0: not for that."""
    patience_min: Annotated[float, Field(ge=0.1, le=10_000)] = 15.0
    """A challenge during which no part comes for so long has failed."""

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
        """Whether anything makes a challenge due by itself."""
        return bool(
            self.at
            or self.after_change_over
            or self.after_new_model
            or self.after_new_revision
            or self.after_stop_min
            or self.every_units
        )
