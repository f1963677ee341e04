"""The events that other people's software reads; their JSON Schemas are made from these models."""

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
    """The station that sends the event."""

    site: str
    line: str
    name: str
    host: str
    version: str


class SerialPart(_Part):
    """The serial of a unit by the codes on it, or why it has none."""

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
    """good: every frame shows it; partial: some do. In all other cases there is no serial."""
    frames_read: Count
    detail: str = ""
    """For people: the code that was read instead."""


class UnitPart(_Part):
    """The unit that was inspected."""

    id: str
    id_source: Literal["trigger", "serial", "label", "number"]
    """Where its id comes from: the trigger; the code on it; the source (a still picture's file, a
    simulated board); or, without any of these, its camera and number."""
    serial: SerialPart | None
    """The code on it; null if no code is searched for."""
    outline_px: tuple[tuple[float, float], ...] | None
    """Its four corners in the frame of the evidence, from its own top left clockwise; null if the
    outline is not known."""
    number: Annotated[int, Field(ge=1, description="counts the camera's units, restarts included")]


class TriggerPart(_Part):
    """What triggered the inspection."""

    kind: Literal["every_frame", "presence", "external"]
    at: Timestamp
    entry: str | None = None
    """The trigger's entry in the stream of triggers; null if it did not come from there."""


class ModelPart(_Part):
    """The model that inspected it; the version is empty if none did."""

    name: str
    version: str


class RecipePart(_Part):
    """One hash of everything that decided: product, versions and files of models, reference."""

    name: str
    sha256: str


class ProductPart(_Part):
    """The product as which the unit was inspected."""

    name: str
    revision: str


class ReferencePart(_Part):
    """The reference it was compared with, and the place of the least similar frame on it."""

    id: str
    """`<product>/<version>`."""
    sha256: str
    likeness: Annotated[float, Field(ge=-1, le=1)]
    """Correlation: 0.95 and more for the right design, less than 0.2 for another."""
    shift_px: Annotated[float, Field(ge=0)]
    """Its distance from the expected place, in pixels of the reference."""


class CountsPart(_Part):
    """How many frames it had, and how many defects."""

    frames_expected: Count
    frames_inspected: Count
    frames_missed: Count
    defects: Count


class DefectPart(_Part):
    """One defect; places are in pixels of the evidence picture, x and y from the top left."""

    id: Ulid
    code: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    bbox_px: tuple[float, float, float, float] | None
    """x, y, width, height; null if it is about the unit as a whole."""
    polygon_px: tuple[tuple[float, float], ...] | None = None
    """The corners of its shape in order; null if the model gives no shape."""
    area_px: Annotated[float, Field(ge=0)] | None = None
    """The area of that shape, in square pixels."""
    frames_seen: Annotated[int, Field(ge=1)]
    model: str = ""
    """The model that reports it: the surest one, if several do."""
    camera: str
    severity: str | None = None
    disposition: str | None = None
    """The severity of the code by the product, in the plant's own words; null if it has none."""
    part: str | None = None
    """The part that is missing, extra or displaced; null for damage."""
    displaced_px: Annotated[float, Field(ge=0)] | None = None
    """The distance of a displaced part from its place."""


class EvidencePart(_Part):
    """A picture, by reference."""

    kind: str
    camera: str
    uri: str
    sha256: str
    bytes: Count
    kept_for: Literal["verdict", "sample", "near_threshold"] = "verdict"
    """Why it was kept: the unit is not PASSED; it PASSED and was drawn by chance; it PASSED, and
    something in it was nearly a defect."""


class NearestPart(_Part):
    """What came nearest to being a defect, on a unit that PASSED."""

    code: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    threshold: Annotated[float, Field(ge=0, le=1)]
    """The threshold of that code at that place. It is below `confidence` if too few frames
    agreed."""
    bbox_px: tuple[float, float, float, float] | None
    """As in a defect."""


class TimingPart(_Part):
    """The times taken, in milliseconds."""

    trigger_to_verdict: float
    queue: float
    inference: float


class ChallengePart(_Part):
    """The known part that a unit is."""

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
    """The known truth about a part."""

    result: Literal["PASSED", "FAILED"]
    defects: tuple[KnownDefectPart, ...]


class SeenDefectPart(_Part):
    """A defect that was found on it."""

    code: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    bbox_px: tuple[float, float, float, float] | None


class SeenPart(_Part):
    """The result of the station."""

    result: Result
    reason: Reason | None
    defects: tuple[SeenDefectPart, ...]


class DifferencePart(_Part):
    """One difference between the expected and the actual result."""

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
    """Empty if a stored picture was shown."""
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
    """All models that its frames were shown to, `model` first."""
    recipe: RecipePart
    product: ProductPart | None = None
    """Null if the station did not know the product."""
    reference: ReferencePart | None = None
    """Null if neither it nor any of its frames was compared with one."""
    order: str | None = None
    lot: str | None = None
    context: str | None = None
    """As given with the product, or with the unit's trigger."""
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
    """Null if the unit is not PASSED, or nothing on it came near to being a defect."""
    timing_ms: TimingPart
    deadline_met: bool
    challenge: ChallengePart | None = None
    """Null for a product. Otherwise it is a known part that was shown to the station, and no
    product: it does not count as production, and its result is the truth whatever is locked."""


class DefectEvent(_Envelope):
    """One defect of one unit, for software that counts defects."""

    replayed: bool
    simulated: bool
    unit_id: str
    unit_event_id: Ulid
    result: Result
    defect: DefectPart


class FaultUnitPart(_Part):
    """The unit at which a fault was noticed, and the place on it."""

    id: str
    event_id: Ulid
    """The `id` of the unit event."""
    number: Count
    code: str | None
    """The code of the defect at this place."""
    bbox_px: tuple[float, float, float, float] | None
    """x, y, width, height in pixels of its picture; null if it is not about a place."""
    picture_uri: str
    """The URI of its evidence; empty if no picture was kept."""


class HealthEvent(_Envelope):
    """A fault was raised or cleared."""

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
    """Null if the fault is not about a unit."""


class ReviewEvent(_Envelope):
    """A person checked a unit again: is its verdict right? The latest review of a matter counts."""

    unit_id: str
    unit_event_id: Ulid
    """The `id` of the unit event."""
    camera: str
    result: Judgement
    defect_id: Ulid | None
    """The defect that it is about; null: the unit as a whole, or a defect that was missed."""
    code: str | None
    """That defect's code; null if its kind is not known."""
    bbox_px: tuple[float, float, float, float] | None = None
    """For a missed defect: x, y, width, height in the pixels of the unit's picture; null if it is
    about the unit as a whole."""
    codes: tuple[str, ...] = ()
    """The codes of the defects that it is about: all those in the unit's event, or the one."""
    comment: str = ""
    by: str = ""
    """The reviewer's name as entered; empty if none was."""
    takes_back: Ulid | None = None
    """The `id` of the review that no longer counts; the one before it counts again."""
    unit_result: Result = Result.FAILED
    """The verdict that it is about."""
    kept_for: Literal["verdict", "sample", "near_threshold"] | None = None
    """Why the picture was kept; null: there was none."""


class ChangeEvent(_Envelope):
    """The answer to a command: each command is answered once, in the order of arrival."""

    command: str
    """`set_product`, `teach`, `approve`, ...; as given, if the station does not know the
    command."""
    fields: dict[str, str]
    """Its fields as given; long values are cut."""
    entry: str | None
    """The command's entry in the stream of commands; null if it did not come from there."""
    by: str
    """How it arrived: by the stream, HTTP or the page, a trigger, a serial, the service itself."""
    result: Literal["accepted", "refused"]
    problem: str
    """Why it was refused, for people; empty if it was accepted."""
    effective: dict[str, Annotated[int, Field(ge=1)]]
    """By camera, the `unit.number` of the first unit to which it applies. Empty if it applies to no
    unit, for example because it was refused."""
    job: int
    """Its number. What follows is in force from then on too, or still where it was refused."""
    job_state: Literal["inspecting", "teaching", "changing_over", "no_product"]
    product: ProductPart | None
    """Null if the station does not know the product."""
    order: str | None
    lot: str | None
    context: str | None


class ChallengeEvent(_Envelope):
    """A known part that was shown, or a check that ended."""

    kind: Literal["part", "check"]
    challenge: Ulid
    """The check's id, which its parts share."""
    set: str
    by: str
    """How it was requested, and by whom."""
    way: Literal["parts", "pictures"]
    """Parts on the line; or stored pictures, at a start and when what decides changes."""
    result: Literal["as_expected", "differs", "held", "failed", "aborted"]
    """The first two for a part; the others for a check."""
    camera: str | None = None
    part: WhichPart | None = None
    """This and the fields up to `evidence` belong to a part; null and empty for a check."""
    expected: ExpectedPart | None = None
    seen: SeenPart | None = None
    unit_id: str | None = None
    unit_event_id: str | None = None
    differences: tuple[DifferencePart, ...] = ()
    evidence: tuple[EvidencePart, ...] = ()
    problem: str = ""
    """For a check: why it failed, for people."""
    parts: tuple[ShownPart, ...] = ()
    """For a check: the parts that were shown, at most the last 40."""


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
