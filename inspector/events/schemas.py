"""The events other people's software reads: their models are their JSON Schemas."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from inspector.core.records import Judgement, Result

UNIT_SCHEMA = "inspector.unit/1"
DEFECT_SCHEMA = "inspector.defect/1"
HEALTH_SCHEMA = "inspector.health/1"
REVIEW_SCHEMA = "inspector.review/1"
CHANGE_SCHEMA = "inspector.change/1"
CHALLENGE_SCHEMA = "inspector.challenge/1"

Reason = Literal[
    "camera_lost",
    "camera_frozen",
    "camera_dark",
    "camera_bright",
    "camera_blurred",
    "camera_blank",
    "camera_moved",
    "no_frame",
    "frame_dropped",
    "frame_unreadable",
    "stale",
    "inference_failed",
    "model_unavailable",
    "deadline_missed",
    "malformed_reply",
    "shutting_down",
    "teaching",
    "changing_over",
    "no_product",
    "reference_mismatch",
    "locked",
    "internal_error",
]
Count = Annotated[int, Field(ge=0)]
Timestamp = Annotated[str, Field(description="RFC 3339 with offset")]
Ulid = Annotated[str, Field(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StationPart(_Part):
    """Which station speaks."""

    site: str
    line: str
    name: str
    host: str
    version: str


class SerialPart(_Part):
    """What the codes on a unit say its serial is, or why it has none."""

    text: Annotated[str, Field(min_length=1, max_length=64)] | None
    format: Literal["DataMatrix", "QRCode", "Code128"] | None
    quality: Literal[
        "good",
        "partial",
        "conflict",
        "pattern_mismatch",
        "refused",
        "unreadable",
        "late",
        "not_looked",
    ]
    """good: every frame shows it; partial: some do. With the others no serial is claimed."""
    frames_read: Count
    detail: str = ""
    """For people: what was read instead."""


class UnitPart(_Part):
    """Which product it was."""

    id: str
    id_source: Literal["trigger", "serial", "label", "number"]
    """Who named it: the trigger; the code on it; the source (a still picture's file, a simulated
    board); nobody, and it is its camera and number."""
    serial: SerialPart | None
    """The code on it; null when none is looked for."""
    outline_px: tuple[tuple[float, float], ...] | None
    """Its four corners in the frame of the evidence, from its own top left clockwise; null where
    the outline is not known."""
    number: Annotated[int, Field(ge=1, description="counts the camera's units, restarts included")]


class TriggerPart(_Part):
    """Why it was inspected."""

    kind: Literal["every_frame", "presence", "external"]
    at: Timestamp
    entry: str | None = None
    """Of the trigger, in the stream of triggers; null where it did not come from there."""


class ModelPart(_Part):
    """What looked at it; empty version when nothing did."""

    name: str
    version: str


class RecipePart(_Part):
    """What decided, by one hash: over product, versions and files of models, reference."""

    name: str
    sha256: str


class ProductPart(_Part):
    """The product that units are inspected as."""

    name: str
    revision: str


class ReferencePart(_Part):
    """What it was compared with, and how the frame that was least like it lay on it."""

    id: str
    """`<product>/<version>`."""
    sha256: str
    likeness: Annotated[float, Field(ge=-1, le=1)]
    """Correlation: 0.95 and more for the right design, less than 0.2 for another."""
    shift_px: Annotated[float, Field(ge=0)]
    """How far it lay from where it was expected, in pixels of the reference."""


class CountsPart(_Part):
    """How much of it was seen."""

    frames_expected: Count
    frames_inspected: Count
    frames_missed: Count
    defects: Count


class DefectPart(_Part):
    """One defect: where, in pixels of the evidence picture, x and y from the top left."""

    id: Ulid
    code: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    bbox_px: tuple[float, float, float, float] | None
    """x, y, width, height; null where it is about the unit as a whole."""
    polygon_px: tuple[tuple[float, float], ...] | None = None
    """The corners of its shape in order; null where the model tells no shape."""
    area_px: Annotated[float, Field(ge=0)] | None = None
    """Of that shape, in square pixels."""
    frames_seen: Annotated[int, Field(ge=1)]
    model: str = ""
    """Which of the unit's models claims it: the surest one, where several do."""
    camera: str
    severity: str | None = None
    disposition: str | None = None
    """As the product says of the code, in the plant's own words; null where it says nothing."""


class EvidencePart(_Part):
    """A picture, by reference."""

    kind: str
    camera: str
    uri: str
    sha256: str
    bytes: Count
    kept_for: Literal["verdict", "sample", "near_threshold"] = "verdict"
    """Why: the unit is not PASSED; it PASSED and was drawn by chance; it PASSED, and something in
    it was nearly called a defect."""


class NearestPart(_Part):
    """What of a unit that PASSED came nearest to being called a defect."""

    code: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    threshold: Annotated[float, Field(ge=0, le=1)]
    """Of that code at that place. Less than `confidence` where too few frames agreed."""
    bbox_px: tuple[float, float, float, float] | None
    """As of a defect."""


class TimingPart(_Part):
    """Where the time went, in milliseconds."""

    trigger_to_verdict: float
    queue: float
    inference: float


class ChallengePart(_Part):
    """Which known part a unit is."""

    id: Ulid
    """`challenge` of the events in the stream of challenges."""
    set: str
    part: str
    as_expected: bool


class KnownDefectPart(_Part):
    """A defect that a part is known to have."""

    code: str
    bbox_px: tuple[float, float, float, float] | None
    """x, y, width, height in the pixels of the evidence picture; null: anywhere on it."""


class ExpectedPart(_Part):
    """What is known of a part."""

    result: Literal["PASSED", "FAILED"]
    defects: tuple[KnownDefectPart, ...]


class SeenDefectPart(_Part):
    """A defect that was found on it."""

    code: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    bbox_px: tuple[float, float, float, float] | None


class SeenPart(_Part):
    """What the station saw."""

    result: Result
    reason: Reason | None
    defects: tuple[SeenDefectPart, ...]


class DifferencePart(_Part):
    """One thing that was seen otherwise than expected."""

    kind: Literal[
        "not_inspected", "missed", "false_call", "defect_missed", "other_defect", "wrong_part"
    ]
    told: str
    """For people."""


class WhichPart(_Part):
    """A part of the set."""

    name: str
    number: Annotated[int, Field(ge=1)]
    of: Annotated[int, Field(ge=1)]
    attempt: Annotated[int, Field(ge=1)]


class ShownPart(_Part):
    """A part that was shown, in the event of its check."""

    name: str
    unit_id: str
    unit_event_id: str
    """Empty where a stored picture was shown."""
    result: Literal["as_expected", "differs"]


class _Envelope(_Part):
    id: Ulid
    seq: Annotated[int, Field(ge=1, description="no gaps per stream and station")]
    time: Timestamp
    published_at: Timestamp
    station: StationPart


class UnitEvent(_Envelope):
    """One verdict: exactly one per unit."""

    replayed: bool
    simulated: bool
    camera: str
    unit: UnitPart
    trigger: TriggerPart
    model: ModelPart
    models: tuple[ModelPart, ...] = ()
    """Every model that its frames were shown to, the one of `model` first."""
    recipe: RecipePart
    product: ProductPart | None = None
    """Null where the station did not know which product it is."""
    reference: ReferencePart | None = None
    """Null where it was compared with none, and where none of its frames was."""
    order: str | None = None
    lot: str | None = None
    context: str | None = None
    """As they were said with the product, or with the unit's trigger."""
    result: Result
    reason: Reason | None
    detail: str
    """For people; not for programs."""
    counts: CountsPart
    defects: tuple[DefectPart, ...]
    defects_truncated: bool
    """True when there were more defects than fit; `counts.defects` is the full number."""
    evidence: tuple[EvidencePart, ...]
    nearest: NearestPart | None = None
    """Null where the unit is not PASSED, or nothing was seen on it that comes near."""
    timing_ms: TimingPart
    deadline_met: bool
    challenge: ChallengePart | None = None
    """Null for a product. Otherwise it is a known part that was shown to the station, and no
    product: it does not count as production, and its result is the truth whatever is locked."""


class DefectEvent(_Envelope):
    """One defect of one unit, for those who count defects."""

    replayed: bool
    simulated: bool
    unit_id: str
    unit_event_id: Ulid
    result: Result
    defect: DefectPart


class FaultUnitPart(_Part):
    """The unit that a fault was noticed at, and where on it."""

    id: str
    event_id: Ulid
    """The `id` of the unit event."""
    number: Count
    code: str | None
    """Of the defect at this place."""
    bbox_px: tuple[float, float, float, float] | None
    """x, y, width, height in pixels of its picture; null where it is about no place."""
    picture_uri: str
    """Of its evidence; empty where no picture was kept."""


class HealthEvent(_Envelope):
    """Something broke, or works again."""

    fault: Literal[
        "camera",
        "optics",
        "triton",
        "redis",
        "disk",
        "clock",
        "triggers",
        "sink",
        "product",
        "challenge",
        "process",
    ]
    subject: str
    state: Literal["raised", "cleared"]
    cause: str
    unit: FaultUnitPart | None = None
    """Null where the fault is about no unit."""


class ReviewEvent(_Envelope):
    """A person looked at a unit again: is its verdict right? The latest on a matter counts."""

    unit_id: str
    unit_event_id: Ulid
    """The `id` of the unit event."""
    camera: str
    result: Judgement
    defect_id: Ulid | None
    """The defect it is about; null: the unit as a whole, or one that was missed."""
    code: str | None
    """That defect's code; null where it is of none that is known."""
    bbox_px: tuple[float, float, float, float] | None = None
    """Of a missed defect: x, y, width, height in the pixels of the unit's picture; null where it
    is about the unit as a whole."""
    codes: tuple[str, ...] = ()
    """Of the defects that it is about: all those in the unit's event, or the one."""
    comment: str = ""
    by: str = ""
    """Who looked, as they call themselves; empty where they did not say."""
    takes_back: Ulid | None = None
    """The `id` of the review that no longer counts; what was said before it counts again."""
    unit_result: Result = Result.FAILED
    """The verdict that it is about."""
    kept_for: Literal["verdict", "sample", "near_threshold"] | None = None
    """Why there was a picture to look at; null: there was none."""


class ChangeEvent(_Envelope):
    """The answer to a command: each is answered once, in the order in which they came."""

    command: str
    """`set_product`, `teach`, `approve`, ...; as it was given, where the station knows no such."""
    fields: dict[str, str]
    """What came with it, as it was given; long values are cut."""
    entry: str | None
    """Of the command, in the stream of commands; null where it did not come from there."""
    by: str
    """Which way it came: the stream, HTTP or the page, a trigger, a serial, the service itself."""
    result: Literal["accepted", "refused"]
    problem: str
    """Why it was refused, for people; empty where it was accepted."""
    effective: dict[str, Annotated[int, Field(ge=1)]]
    """By camera, the `unit.number` of the first unit to which it applies. Empty where it applies
    to no unit, as where it was refused."""
    job: int
    """Its number. What follows is in force from then on too, or still where it was refused."""
    job_state: Literal["inspecting", "teaching", "changing_over", "no_product"]
    product: ProductPart | None
    """Null where the station does not know which product it is."""
    order: str | None
    lot: str | None
    context: str | None


class ChallengeEvent(_Envelope):
    """A known part that was shown, or a check that ended."""

    kind: Literal["part", "check"]
    challenge: Ulid
    """The check; its parts have the same."""
    set: str
    by: str
    """Which way it was asked for, and who did."""
    way: Literal["parts", "pictures"]
    """Parts on the line; or stored pictures, at a start and when what decides changes."""
    result: Literal["as_expected", "differs", "held", "failed", "aborted"]
    """Of a part the first two; of a check the others."""
    camera: str | None = None
    part: WhichPart | None = None
    """This and what follows to `evidence` belong to a part; null and empty for a check."""
    expected: ExpectedPart | None = None
    seen: SeenPart | None = None
    unit_id: str | None = None
    unit_event_id: str | None = None
    differences: tuple[DifferencePart, ...] = ()
    evidence: tuple[EvidencePart, ...] = ()
    problem: str = ""
    """Of a check: why it did not hold, for people."""
    parts: tuple[ShownPart, ...] = ()
    """Of a check: what was shown, at most the last 40."""


EVENT_MODELS: dict[str, type[_Envelope]] = {
    "units": UnitEvent,
    "defects": DefectEvent,
    "health": HealthEvent,
    "reviews": ReviewEvent,
    "changes": ChangeEvent,
    "challenges": ChallengeEvent,
}


def rfc3339(unix_ns: int) -> str:
    """A wall clock time as events carry it, to the microsecond, in UTC."""
    seconds, rest_ns = divmod(unix_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest_ns // 1000)
    return moment.isoformat(timespec="microseconds")


CLOSED_LISTS = frozenset({"Result", "state", "result"})
"""Whose values stay what they are within a schema's number. Values of other lists may be added."""


def published_schema(stream: str) -> dict[str, Any]:
    """JSON Schema of the events in a stream, as others may hold us to it.

    Within a schema's number fields are added, and values such as reasons and faults. Our own
    models refuse what they do not know; the published schema allows it, so that who validates
    with it takes the events of the next release. The values known today are examples there.
    """
    schema: dict[str, Any] = _opened(EVENT_MODELS[stream].model_json_schema(), "")
    return schema


def _opened(part: Any, name: str) -> Any:
    if isinstance(part, list):
        return [_opened(inner, name) for inner in part]
    if not isinstance(part, dict):
        return part
    opened = {}
    for key, inner in part.items():
        if key == "additionalProperties" and inner is False:
            continue
        if key == "enum" and name not in CLOSED_LISTS:
            opened["examples"] = inner
            continue
        # Below these stand names of ours; below other keywords the name stays.
        named = name if key in ("anyOf", "items") else key
        opened[key] = _opened(inner, named)
    return opened
