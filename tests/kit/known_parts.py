"""Sets of known parts, and what is seen of units."""

from __future__ import annotations

from inspector.challenge.sets import KnownSet, read_set
from inspector.core.places import Box, Place
from inspector.core.records import CameraId, Result, TriggerKind, UnitRef
from inspector.core.verdicts import Defect, Verdict

IN_ORDER = """
[[parts]]
name = "good"
result = "PASSED"
[[parts]]
name = "bad"
result = "FAILED"
defects = [{ code = "open" }]
"""
BY_SERIAL = IN_ORDER.replace('"good"', '"good"\nserial = "G"').replace(
    '"bad"', '"bad"\nserial = "B"'
)


def known_set(text: str = IN_ORDER, name: str = "gold") -> KnownSet:
    """A set for every product, at camera `top`."""
    return read_set(
        text.encode(), name=name, origin="x.toml", cameras=("top",), codes=("open", "short")
    )


def defect(
    code: str = "open", x: float = 105, y: float = 102, place: Place | None = None
) -> Defect:
    """One of 30 by 16 pixels."""
    box = Box(left_px=x, top_px=y, right_px=x + 30, bottom_px=y + 16)
    return Defect(code=code, confidence=0.9, place=place or box)


def seen(*defects: Defect) -> Verdict:
    """The verdict on a unit with these."""
    return Verdict(
        unit=UnitRef(
            camera_id=CameraId("top"),
            index=0,
            kind=TriggerKind.EVERY_FRAME,
            triggered_mono_ns=0,
            triggered_unix_ns=0,
        ),
        unit_number=1,
        result=Result.FAILED if defects else Result.PASSED,
        reason=None,
        detail="",
        defects=defects,
        frames=(),
        frames_expected=1,
    )
