"""The settings section of the page."""

from __future__ import annotations

from datetime import time
from typing import Annotated

from pydantic import Field, field_serializer, field_validator

from inspector.settings.types import Section


class PageSettings(Section):
    """The operator's page."""

    shift_starts: Annotated[tuple[time, ...], Field(min_length=1, max_length=12)] = (
        time(6, 0),
        time(14, 0),
        time(22, 0),
    )
    """When a shift begins, in the station's local time."""

    @field_validator("shift_starts")
    @classmethod
    def _plain_minutes(cls, starts: tuple[time, ...]) -> tuple[time, ...]:
        if any(t.second or t.microsecond or t.tzinfo for t in starts):
            msg = 'expected times such as "06:00", in the local time of the station'
            raise ValueError(msg)
        if len(set(starts)) < len(starts):
            msg = "a time is there twice"
            raise ValueError(msg)
        return starts

    @field_serializer("shift_starts")
    def _as_written(self, starts: tuple[time, ...]) -> list[str]:
        return [f"{t:%H:%M}" for t in starts]
