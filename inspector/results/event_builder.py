"""Words verdicts and changes of health as events."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from ulid import ULID

from inspector import __version__
from inspector.ops.health import Fault
from inspector.records import CameraId, Event, EventGroup, Stream
from inspector.results.events import DEFECT_SCHEMA, HEALTH_SCHEMA, UNIT_SCHEMA, rfc3339
from inspector.results.units import Defect, Verdict
from inspector.settings import Settings
from inspector.source_uri import SourceTraits

NS_PER_MS = 1_000_000
MAX_DEFECTS_IN_UNIT_EVENT = 20
"""Keeps an event under 8 kB; the defects stream has them all."""
MAX_DETAIL_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class _Stamped:
    defect: Defect
    part: dict[str, Any]


class EventBuilder:
    """Makes event groups; knows the station and the recipe, which are the same in every event."""

    def __init__(self, settings: Settings, cameras: Mapping[CameraId, SourceTraits]) -> None:
        station = settings.station
        self._station = {
            "site": station.site,
            "line": station.line,
            "name": station.name,
            "host": socket.gethostname(),
            "version": __version__,
        }
        decisive = {
            "inspection": settings.inspection.model_dump(mode="json"),
            "model": settings.inference.model,
            "regions": {c: s.region for c, s in settings.cameras.items()},
        }
        digest = hashlib.sha256(orjson.dumps(decisive, option=orjson.OPT_SORT_KEYS)).hexdigest()
        self._recipe = {"name": "default", "sha256": digest}
        self._model = settings.inference.model
        self._deadline_ns = settings.inspection.deadline_ms * NS_PER_MS
        self._cameras = dict(cameras)

    def is_in_time(self, verdict: Verdict, now_ns: int) -> bool:
        """Whether the verdict comes within the deadline; `now_ns` is monotonic."""
        return now_ns - verdict.frame.ref.captured_mono_ns <= self._deadline_ns

    def verdict(self, verdict: Verdict, now_ns: int) -> EventGroup:
        """A unit event and its defect events; `now_ns` is monotonic."""
        ref = verdict.frame.ref
        camera = ref.camera_id
        unit_id = ref.label or f"{camera}-{verdict.unit_number}"
        event_id, seen_at = str(ULID()), rfc3339(ref.captured_unix_ns)
        stamped = [_Stamped(d, _defect_part(d, camera)) for d in verdict.defects]
        traits = self._cameras[camera]
        common = {
            "time": seen_at,
            "replayed": traits.replayed,
            "simulated": traits.simulated,
            "station": self._station,
            "result": verdict.result.value,
        }
        inspected = verdict.frame.detections is not None
        body = common | {
            "id": event_id,
            "camera": camera,
            "unit": {
                "id": unit_id,
                "id_source": "label" if ref.label else "number",
                "number": verdict.unit_number,
            },
            "trigger": {"kind": "every_frame", "at": seen_at},
            "model": {"name": self._model, "version": verdict.frame.model_version},
            "recipe": self._recipe,
            "reason": verdict.reason,
            "detail": verdict.detail[:MAX_DETAIL_CHARACTERS],
            "counts": {
                "frames_expected": 1,
                "frames_inspected": int(inspected),
                "frames_missed": int(not inspected),
                "defects": len(stamped),
            },
            "defects": [s.part for s in stamped[:MAX_DEFECTS_IN_UNIT_EVENT]],
            "defects_truncated": len(stamped) > MAX_DEFECTS_IN_UNIT_EVENT,
            "evidence": [],
            "timing_ms": {
                "trigger_to_verdict": _ms(now_ns - ref.captured_mono_ns),
                "queue": _ms(verdict.frame.queue_ns),
                "inference": _ms(verdict.frame.inference_ns),
            },
            "deadline_met": self.is_in_time(verdict, now_ns),
        }
        unit = _event(Stream.UNITS, UNIT_SCHEMA, body, unit_id)
        return (unit, *(self._defect(s, common, unit_id, event_id) for s in stamped))

    def _defect(
        self, stamped: _Stamped, common: Mapping[str, Any], unit_id: str, unit_event_id: str
    ) -> Event:
        body = dict(common) | {
            "id": stamped.part["id"],
            "unit_id": unit_id,
            "unit_event_id": unit_event_id,
            "defect": stamped.part,
        }
        return _event(Stream.DEFECTS, DEFECT_SCHEMA, body, unit_id)

    def health(self, fault: Fault, *, raised: bool) -> EventGroup:
        """A fault that was raised or cleared just now."""
        state = "raised" if raised else "cleared"
        body = {
            "id": str(ULID()),
            "time": rfc3339(time.time_ns()),
            "station": self._station,
            "fault": fault.kind,
            "subject": fault.subject,
            "state": state,
            "cause": fault.cause[:MAX_DETAIL_CHARACTERS],
            "result": state,
        }
        event = _event(Stream.HEALTH, HEALTH_SCHEMA, body, "")
        del event.body["result"]  # a field for filtering, not part of a health event
        return (event,)


def unit_counters(group: EventGroup) -> dict[str, int]:
    """The unit numbers a group uses up, for the journal to keep with it."""
    return {
        f"units:{event.body['camera']}": event.body["unit"]["number"]
        for event in group
        if event.stream is Stream.UNITS
    }


def _event(stream: Stream, schema: str, body: dict[str, Any], unit_id: str) -> Event:
    return Event(
        stream=stream,
        id=body["id"],
        schema=schema,
        time=body["time"],
        unit_id=unit_id,
        result=body["result"],
        body=body,
    )


def _defect_part(defect: Defect, camera: CameraId) -> dict[str, Any]:
    seen = defect.detection
    left, top = round(seen.left_px, 1), round(seen.top_px, 1)
    return {
        "id": str(ULID()),
        "code": defect.code,
        "confidence": round(defect.confidence, 4),
        "bbox_px": [
            left,
            top,
            round(seen.right_px - seen.left_px, 1),
            round(seen.bottom_px - seen.top_px, 1),
        ],
        "frames_seen": 1,
        "camera": camera,
    }


def _ms(elapsed_ns: int) -> float:
    return round(elapsed_ns / NS_PER_MS, 3)
