"""The section of the settings that says from when on verdicts in a row are an alarm."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from inspector.settings.types import Section, Share


class ProcessSettings(Section):
    """When the process that makes the units is out of order; 0 switches a rule off.

    Counted by camera and product, in the order of the verdicts.
    """

    same_place: Annotated[int, Field(ge=0, le=1000)] = 3
    """Units in a row with a defect of one code at one place: a mask, a stencil, a tool."""
    same_place_px: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    """So far apart, at most, the middles of two defects at one place lie on their units."""
    failed: Annotated[int, Field(ge=0, le=1000)] = 10
    """Units in a row that FAILED."""
    not_inspected: Annotated[int, Field(ge=0, le=1000)] = 20
    """Units in a row that nobody wanted not to be inspected, and that were not."""
    share: Share = 0.5
    """Of the last units, those that FAILED."""
    share_units: Annotated[int, Field(ge=10, le=1000)] = 100
    """How many units that share is of; fewer raise no alarm."""
    lock: bool = False
    """An alarm stands, and nothing is PASSED, until a person acknowledges it."""
