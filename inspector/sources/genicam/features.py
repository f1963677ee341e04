"""What is written into an industrial camera at every connection, and read back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from inspector.core.errors import CameraUnavailableError
from inspector.sources.genicam.library import Aravis, AravisError, Handle
from inspector.sources.opening import FeatureValue

_TOLERANCE = 0.005
"""Share by which a camera may round a number with fractions: exposure goes in steps of a clock."""
_MOST_CHOICES = 24


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a feature may be."""

    low: float
    high: float

    def lacks(self, value: FeatureValue) -> bool:
        """Whether a number lies outside."""
        if isinstance(value, bool | str):
            return False
        return not self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:.12g} to {self.high:.12g}"


def write_features(
    aravis: Aravis, device: Handle, features: Mapping[str, FeatureValue], *, camera: str
) -> None:
    """Write every feature in the order given, and read each back.

    `camera` is what the camera is called in errors.

    Raises:
        CameraUnavailableError: the camera has no such feature, refuses the value, or keeps
            another; says what was found, what was wanted, and what it accepts.

    """
    for name, wanted in features.items():
        write_feature(aravis, device, name, wanted, camera=camera)


def write_feature(
    aravis: Aravis, device: Handle, name: str, wanted: FeatureValue, *, camera: str
) -> None:
    """Write one feature and read it back; errors as `write_features`."""
    feature = aravis.feature(device, name)
    if feature is None:
        msg = f"{camera}: the camera has no feature {name}"
        raise CameraUnavailableError(msg)
    accepts = _accepts(aravis, device, name, aravis.kind_of(feature))
    accepted = "" if accepts is None else f"; it accepts {accepts}"
    problem = ""
    try:
        # Not every camera refuses what it cannot do: some say yes, and then do something else.
        if not (isinstance(accepts, Range) and accepts.lacks(wanted)):
            aravis.set_value(feature, as_text(wanted))
        found = aravis.value(feature)
    except AravisError as refusal:
        problem, found = f" ({refusal})", ""
        with suppress(AravisError):
            found = aravis.value(feature)
    if problem or not agrees(wanted, found):
        expected = f"{as_text(wanted)}{accepted}{problem}"
        raise CameraUnavailableError(
            f"{camera}: the camera's {name} is {found}, expected {expected}"
        )


def as_text(value: FeatureValue) -> str:
    """A value as the library reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def agrees(wanted: FeatureValue, found: str) -> bool:
    """Whether what the camera says is what was written."""
    if isinstance(wanted, bool):
        return found.lower() in (("true", "1") if wanted else ("false", "0"))
    if isinstance(wanted, str):
        return found == wanted
    try:
        number = float(found)
    except ValueError:
        return False
    return math.isclose(number, wanted, rel_tol=_TOLERANCE if isinstance(wanted, float) else 0.0)


def _accepts(aravis: Aravis, device: Handle, name: str, kind: str) -> Range | str | None:
    """What the camera accepts; None where it does not say."""
    try:
        if kind == "Enumeration":
            choices = sorted(aravis.choices(device, name))
            more = ", …" if len(choices) > _MOST_CHOICES else ""
            return f"{', '.join(choices[:_MOST_CHOICES])}{more}"
        if "Float" in kind or kind == "SwissKnife":
            return Range(*aravis.float_bounds(device, name))
        if "Int" in kind or kind == "MaskedIntReg":
            return Range(*aravis.integer_bounds(device, name))
    except AravisError:
        pass
    return None
