"""Groups of events as stages hand them to the journal."""

from __future__ import annotations

from typing import Any

from inspector.core.records import CameraId, Event, EventGroup, JudgedUnit, TriggerKind, UnitRef


def group(*events: Event, **more: Any) -> EventGroup:
    return EventGroup(events=events, **more)


def judged(camera: CameraId, number: int, event_id: str = "", **of_unit: Any) -> JudgedUnit:
    """Unit `number` of a camera that was never started before."""
    ref = UnitRef(
        camera_id=camera,
        index=number - 1,
        kind=TriggerKind.EXTERNAL,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
        **of_unit,
    )
    return JudgedUnit(ref=ref, number=number, id=ref.given_id or "", event_id=event_id)
