"""Words verdicts and changes of health as events."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TypeVar

from ulid import ULID

from inspector import __version__
from inspector.core.challenges import PartShown
from inspector.core.changes import Change
from inspector.core.faults import Fault
from inspector.core.geometry import frame_matrix, moved
from inspector.core.places import Box, Polygon, WholeUnit
from inspector.core.recipes import Job, JobState, Recipe
from inspector.core.records import (
    CameraId,
    Event,
    EventGroup,
    Evidence,
    JudgedUnit,
    Outline,
    Review,
    Serial,
    Stream,
    unit_counter,
)
from inspector.core.verdicts import Defect, Verdict
from inspector.events.schemas import (
    CHALLENGE_SCHEMA,
    CHANGE_SCHEMA,
    DEFECT_SCHEMA,
    HEALTH_SCHEMA,
    REVIEW_SCHEMA,
    UNIT_SCHEMA,
    rfc3339,
)
from inspector.sources.uri import SourceTraits

T = TypeVar("T")
NS_PER_MS = 1_000_000
MAX_DEFECTS_IN_UNIT_EVENT = 20
"""This keeps an event under 8 kB; the defects stream has all of them."""
MAX_DETAIL_CHARACTERS = 300
MAX_POLYGON_CORNERS = 32
"""The most corners of a defect's shape; `area_px` is that of the full shape."""
MAX_CORNERS_IN_UNIT_EVENT = 80
"""The most corners of all shapes in an event, at least three each: so 20 defects stay under 8 kB;
the defects stream has the finer shapes."""
MAX_FIELDS, MAX_FIELD_CHARACTERS = 16, 64
"""The longest value of a command that its answer repeats."""


@dataclass(frozen=True, slots=True)
class _Stamped:
    defect: Defect
    part: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """The name of a unit."""

    id: str
    source: str
    """trigger, serial, label or number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """What is known about a unit besides its verdict."""

    event_id: str
    """ULID of the unit event."""
    serial: Serial | None = None
    outline: Outline | None = None
    """The outline in the frame that the evidence shows."""
    evidence: Evidence | None = None
    part: PartShown | None = None
    """Set if it is a known part and not a product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTerms:
    """The station as events name it, and the deadline of verdicts."""

    site: str
    line: str
    name: str
    deadline_ns: int
    cameras: Mapping[CameraId, SourceTraits]


class EventBuilder:
    """Makes event groups; knows the station, which is the same in every event."""

    def __init__(self, terms: EventTerms) -> None:
        self._station = {
            "site": terms.site,
            "line": terms.line,
            "name": terms.name,
            "host": socket.gethostname(),
            "version": __version__,
        }
        self._deadline_ns = terms.deadline_ns
        self._cameras = terms.cameras

    def is_in_time(self, verdict: Verdict, now_ns: int) -> bool:
        """Whether the verdict comes within the deadline; `now_ns` is monotonic."""
        return now_ns - verdict.unit.triggered_mono_ns <= self._deadline_ns

    def identity(self, verdict: Verdict, serial: Serial | None) -> Identity:
        """The name of a unit, and where the name comes from."""
        unit = verdict.unit
        if unit.given_id is not None:
            return Identity(unit.given_id, "trigger")
        if serial is not None and serial.text is not None:
            return Identity(serial.text, "serial")
        if unit.label is not None:
            return Identity(unit.label, "label")
        return Identity(f"{unit.camera_id}-{verdict.unit_number}", "number")

    def verdict(self, verdict: Verdict, found: Particulars, now_ns: int) -> EventGroup:
        """A unit event and its defect events; `now_ns` is monotonic."""
        unit, number = verdict.unit, verdict.unit_number
        identity = self.identity(verdict, found.serial)
        stamped = [_Stamped(d, _defect_part(d, unit.camera_id)) for d in verdict.defects]
        traits = self._cameras[unit.camera_id]
        common = {
            "time": rfc3339(unit.triggered_unix_ns),
            "replayed": traits.replayed,
            "simulated": traits.simulated,
            "station": self._station,
            "result": verdict.result.value,
        }
        body = {
            **common,
            **_unit_part(verdict, found, identity),
            **_judged_by(verdict),
            **_found_part(verdict, found, [one.part for one in stamped]),
            "timing_ms": {
                "trigger_to_verdict": _ms(now_ns - unit.triggered_mono_ns),
                "queue": _ms(verdict.queue_ns),
                "inference": _ms(verdict.inference_ns),
            },
            "deadline_met": self.is_in_time(verdict, now_ns),
            "challenge": None if found.part is None else _challenge(found.part),
        }
        result = verdict.result.value
        event = _event(Stream.UNITS, UNIT_SCHEMA, body, identity.id, result)
        defects = (self._defect(s, common, identity.id, found.event_id) for s in stamped)
        return EventGroup(
            events=(event, *defects),
            unit=JudgedUnit(ref=unit, number=number, id=identity.id, event_id=found.event_id),
            counters={unit_counter(unit.camera_id): number},
        )

    def _defect(
        self, stamped: _Stamped, common: Mapping[str, Any], unit_id: str, unit_event_id: str
    ) -> Event:
        body = dict(common) | {
            "id": stamped.part["id"],
            "unit_id": unit_id,
            "unit_event_id": unit_event_id,
            "defect": stamped.part,
        }
        return _event(Stream.DEFECTS, DEFECT_SCHEMA, body, unit_id, body["result"])

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
            "unit": None if fault.unit is None else asdict(fault.unit),
        }
        return _alone(_event(Stream.HEALTH, HEALTH_SCHEMA, body, unit_id="", result=state))

    def review(self, review: Review) -> EventGroup:
        """The event of a review that a person made just now."""
        body = {
            "id": str(ULID()),
            "time": rfc3339(time.time_ns()),
            "station": self._station,
            "unit_id": review.unit_id,
            "unit_event_id": review.unit_event_id,
            "camera": review.camera,
            "result": review.judgement.value,
            "defect_id": review.defect_id,
            "code": review.code,
            "bbox_px": None if review.bbox_px is None else list(review.bbox_px),
            "codes": list(review.codes),
            "comment": review.comment[:MAX_DETAIL_CHARACTERS],
            "by": review.by[:MAX_FIELD_CHARACTERS],
            "takes_back": review.takes_back,
            "unit_result": review.unit_result.value,
            "kept_for": None if review.kept_for is None else review.kept_for.value,
        }
        said = review.judgement.value
        return _alone(_event(Stream.REVIEWS, REVIEW_SCHEMA, body, review.unit_id, said))

    def challenge(
        self,
        kind: str,
        check: Mapping[str, Any],
        more: Mapping[str, Any],
        *,
        result: str,
        unit_id: str = "",
    ) -> Event:
        """The event of a known part that was shown (`part`), or a check that ended (`check`)."""
        body = {
            "id": str(ULID()),
            "time": rfc3339(time.time_ns()),
            "station": self._station,
            "kind": kind,
            **check,
            "result": result,
            **more,
        }
        return _event(Stream.CHALLENGES, CHALLENGE_SCHEMA, body, unit_id, result)

    def change(self, change: Change, notes: Mapping[str, str]) -> EventGroup:
        """The event of a command that was answered just now; the journal keeps `notes` with it."""
        result = "accepted" if change.accepted else "refused"
        job = change.job
        body = {
            "id": str(ULID()),
            "time": rfc3339(time.time_ns()),
            "station": self._station,
            "command": change.command[:MAX_FIELD_CHARACTERS],
            "fields": repeated_fields(change.fields),
            "entry": change.command_entry,
            "by": change.by[:MAX_FIELD_CHARACTERS],
            "result": result,
            "problem": change.problem[:MAX_DETAIL_CHARACTERS],
            "effective": dict(change.effective),
            "job": job.number,
            "job_state": job.state.value,
            "product": _product(job),
            "order": job.order,
            "lot": job.lot,
            "context": job.context,
        }
        event = _event(Stream.CHANGES, CHANGE_SCHEMA, body, unit_id="", result=result)
        return EventGroup(events=(event,), notes=dict(notes))


def recipe_sha256(recipe: Recipe, verdict: Verdict) -> str:
    """One hash of everything that decided: the product, the models that answered, the reference."""
    reference = "" if recipe.reference is None else recipe.reference.sha256
    golden = "" if recipe.golden is None else recipe.golden.file_sha256
    parts = [recipe.sha256, verdict.model_version, recipe.model.file_sha256, golden, reference]
    for model in recipe.also:
        parts += (model.name, verdict.version_of(model), model.file_sha256)
    return _sha256_of(*parts)


@lru_cache(maxsize=64)
def _sha256_of(*parts: str) -> str:
    """Cached: the values are the same for every unit of a product."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _product(job: Job) -> dict[str, str] | None:
    if job.state is JobState.NO_PRODUCT:
        return None
    return {"name": job.recipe.product, "revision": job.recipe.revision}


def _challenge(part: PartShown) -> dict[str, Any]:
    return {
        "id": part.challenge,
        "set": part.set_name,
        "part": part.part,
        "as_expected": part.is_as_expected,
    }


def _reference(verdict: Verdict) -> dict[str, Any] | None:
    reference, placed = verdict.unit.under.recipe.placed_on, verdict.placed
    if reference is None or placed is None:
        return None
    return {
        "id": reference.id,
        "sha256": reference.sha256,
        "likeness": round(placed.likeness, 3),
        "shift_px": round(placed.shift_px, 1),
    }


def _nearest(verdict: Verdict) -> dict[str, Any] | None:
    near = verdict.nearest
    if near is None:
        return None
    return {
        "code": near.code,
        "confidence": round(near.confidence, 4),
        "threshold": round(near.threshold, 4),
        "bbox_px": None if isinstance(near.place, WholeUnit) else _bbox(near.place.around),
    }


def _alone(event: Event) -> EventGroup:
    return EventGroup(events=(event,))


def repeated_fields(given: Mapping[str, str]) -> dict[str, str]:
    """The fields of a command, cut so that an event stays under 8 kB."""
    return {
        name[:MAX_FIELD_CHARACTERS]: value[:MAX_FIELD_CHARACTERS]
        for name, value in list(given.items())[:MAX_FIELDS]
    }


def _event(stream: Stream, schema: str, body: dict[str, Any], unit_id: str, result: str) -> Event:
    """`result` is a field for filtering; a health event has it, its body does not."""
    return Event(
        stream=stream,
        id=body["id"],
        schema=schema,
        time=body["time"],
        unit_id=unit_id,
        result=result,
        body=body,
    )


def _unit_part(verdict: Verdict, found: Particulars, identity: Identity) -> dict[str, Any]:
    """The fields that name the unit and its trigger."""
    unit = verdict.unit
    return {
        "id": found.event_id,
        "camera": unit.camera_id,
        "unit": {
            "id": identity.id,
            "id_source": identity.source,
            "number": verdict.unit_number,
            "serial": None if found.serial is None else asdict(found.serial),
            "outline_px": None if found.outline is None else _corners(found.outline),
        },
        "trigger": {
            "kind": unit.kind.value,
            "at": rfc3339(unit.triggered_unix_ns),
            "entry": unit.trigger_entry,
        },
    }


def _judged_by(verdict: Verdict) -> dict[str, Any]:
    """The fields of the job, the recipe and the models by which it was judged."""
    job = verdict.unit.under
    recipe = job.recipe
    return {
        "model": {"name": recipe.inspected_by.name, "version": verdict.model_version},
        "models": [
            {"name": model.name, "version": verdict.version_of(model)} for model in recipe.models
        ],
        "recipe": {"name": recipe.product, "sha256": recipe_sha256(recipe, verdict)},
        "product": _product(job),
        "reference": _reference(verdict),
        "order": job.order,
        "lot": job.lot,
        "context": job.context,
    }


def _found_part(
    verdict: Verdict, found: Particulars, defects: list[dict[str, Any]]
) -> dict[str, Any]:
    """The fields of what was found on it, in how many frames, and of the picture that shows it."""
    inspected = len(verdict.inspected)
    return {
        "reason": verdict.reason,
        "detail": verdict.detail[:MAX_DETAIL_CHARACTERS],
        "counts": {
            "frames_expected": verdict.frames_expected,
            "frames_inspected": inspected,
            "frames_missed": max(0, verdict.frames_expected - inspected),
            "defects": len(defects),
        },
        "defects": _coarse(defects[:MAX_DEFECTS_IN_UNIT_EVENT]),
        "defects_truncated": len(defects) > MAX_DEFECTS_IN_UNIT_EVENT,
        "evidence": [] if found.evidence is None else [asdict(found.evidence)],
        "nearest": _nearest(verdict),
    }


def _defect_part(defect: Defect, camera: CameraId) -> dict[str, Any]:
    place = defect.place
    shape = place if isinstance(place, Polygon) else None
    return {
        "id": str(ULID()),
        "code": defect.code,
        "confidence": round(defect.confidence, 4),
        "bbox_px": None if isinstance(place, WholeUnit) else _bbox(place.around),
        "polygon_px": _polygon(shape) if shape else None,
        "area_px": round(shape.area_px, 1) if shape else None,
        "frames_seen": defect.frames_seen,
        "model": defect.model,
        "severity": defect.severity,
        "disposition": defect.disposition,
        "part": defect.part,
        "displaced_px": None if defect.displaced_px is None else round(defect.displaced_px, 1),
        "camera": camera,
    }


def _bbox(box: Box) -> list[float]:
    left, top = round(box.left_px, 1), round(box.top_px, 1)
    return [left, top, round(box.right_px - box.left_px, 1), round(box.bottom_px - box.top_px, 1)]


def _polygon(place: Polygon) -> list[list[float]]:
    points = _thinned(place.points_px, MAX_POLYGON_CORNERS)
    return [[round(x, 1), round(y, 1)] for x, y in points]


def _coarse(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The defects for a unit event: with fewer corners if there are many."""
    shapes = sum(part["polygon_px"] is not None for part in parts)
    most = min(MAX_POLYGON_CORNERS, max(3, MAX_CORNERS_IN_UNIT_EVENT // max(1, shapes)))
    return [
        part
        if part["polygon_px"] is None
        else part | {"polygon_px": list(_thinned(part["polygon_px"], most))}
        for part in parts
    ]


def _thinned(points: Sequence[T], at_most: int) -> Sequence[T]:
    """Every second corner, or third, and so on, from the first on; a shape keeps at least three."""
    if len(points) <= at_most:
        return points
    return [points[n * len(points) // at_most] for n in range(at_most)]


def _corners(outline: Outline) -> list[list[float]]:
    matrix = frame_matrix(outline)
    width_px, height_px = outline.width_px, outline.height_px
    corners = ((0.0, 0.0), (width_px, 0.0), (width_px, height_px), (0.0, height_px))
    return [[round(v, 1) for v in moved(matrix, x_px, y_px)] for x_px, y_px in corners]


def _ms(elapsed_ns: int) -> float:
    return round(elapsed_ns / NS_PER_MS, 3)
