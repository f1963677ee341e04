"""The settings section on which consecutive verdicts raise an alarm."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from inspector.settings.types import Section, Share


class ProcessSettings(Section):
    """Rules on when the process that makes the units is out of order; 0 switches a rule off.

    Counted by camera and product, in the order of the verdicts.
    """

    same_place: Annotated[int, Field(ge=0, le=1000)] = 3
    """Consecutive units with a defect of one code at one place: a mask, a stencil, a tool."""
    same_place_px: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    """The largest distance between the centres of two defects at one place."""
    failed: Annotated[int, Field(ge=0, le=1000)] = 10
    """Consecutive units that FAILED."""
    not_inspected: Annotated[int, Field(ge=0, le=1000)] = 20
    """Consecutive units that were unintentionally not inspected."""
    share: Share = 0.5
    """The share of the last units that FAILED."""
    share_units: Annotated[int, Field(ge=10, le=1000)] = 100
    """How many units that share is computed from; fewer raise no alarm."""
    lock: bool = False
    """Whether an alarm stands, and nothing is PASSED, until a person acknowledges it."""
