"""Pictures of a data set, without a station that kept them."""

from __future__ import annotations

from typing import Any

from inspector.dataset.manifest import Picture
from inspector.dataset.parts import part_of


def picture(digit: str, unit: str = "PCB-1", *labels: dict[str, Any], **other: Any) -> Picture:
    """One whose hash is that digit throughout: 0 to 2 are test, from 4 on they are train."""
    sha256 = digit * 64
    said = {
        "sha256": sha256,
        "part": part_of(sha256),
        "size": (640, 480),
        "labels": labels,
        "is_reviewed": True,
        "station": "s.l.n",
        "camera": "top",
        "product": None,
        "unit_id": unit,
        "unit_event_id": "01KB",
        "result": "PASSED",
        "time": "2026-11-30T06:00:00+00:00",
    }
    return Picture.model_validate(said | other)
