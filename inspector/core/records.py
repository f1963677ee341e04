"""The records that travel down the pipeline, in the order they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

from inspector.core.basics import Affine
from inspector.core.basics import CameraId as CameraId  # noqa: PLC0414 - passed on
from inspector.core.basics import Image as Image  # noqa: PLC0414
from inspector.core.basics import Rect as Rect  # noqa: PLC0414
from inspector.core.optics import Optics
from inspector.core.places import Box, Place, WholeUnit
from inspector.core.recipes import Job, ModelName, Triple

EncodedBatch = NewType("EncodedBatch", dict[str, object])
"""A request ready for the wire; opaque to everybody but the adapter that made it."""


class MissReason(StrEnum):
    """Why a captured frame was not inspected; also a metric label, so the list is closed."""

    LANE_FULL = "lane_full"
    NO_BUFFER = "no_buffer"
    STALE = "stale"
    UNREADABLE = "unreadable"
    MODEL_UNAVAILABLE = "model_unavailable"
    INFERENCE_FAILED = "inference_failed"
    MALFORMED_REPLY = "malformed_reply"
    SHUTTING_DOWN = "shutting_down"
    CAMERA_LOST = "camera_lost"
    CAMERA_FROZEN = "camera_frozen"
    CAMERA_DARK = "camera_dark"
    CAMERA_BRIGHT = "camera_bright"
    """So much of the picture is burnt out that it shows no defect."""
    CAMERA_BLURRED = "camera_blurred"
    """Too blurred to show a defect."""
    CAMERA_BLANK = "camera_blank"
    """Evenly grey: nothing in it that a defect could be seen against."""
    CAMERA_MOVED = "camera_moved"
    """The fixed mark is not where it was."""
    NO_FRAME = "no_frame"
    """A trigger came and no usable frame did."""
    DEADLINE_MISSED = "deadline_missed"
    """The answer came after the verdict had to be given."""
    TEACHING = "teaching"
    """Its unit was there to be learnt from."""
    CHANGING_OVER = "changing_over"
    """The product's model was being loaded."""
    NO_PRODUCT = "no_product"
    """The station did not know which product this is."""
    REFERENCE_MISMATCH = "reference_mismatch"
    """The unit does not fit the product's reference: it is another product, or lies wrongly."""
    INTERNAL_ERROR = "internal_error"


class Doubt(StrEnum):
    """Why a unit may have passed that no verdict was given on. A closed list."""

    VANISHED = "vanished"
    """Something came in, was never fully in view, and was gone inside the view."""
    WENT_BACK = "went_back"
    """Something came in in part and went back out."""
    UNCONFIRMED = "unconfirmed"
    """Something left that was seen too seldom, or not to go with the belt."""
    MERGED = "merged"
    """What was taken for two things is seen as one."""
    AT_EXIT = "at_exit"
    """What appears where units go out is taken for the one that went there last."""
    JUMPED = "jumped"
    """Something was gone and something was elsewhere in the next picture."""
    TOO_FAST = "too_fast"
    """The belt went so far from one picture to the next that a unit may lie between them."""
    UNSEEN = "unseen"
    """The belt may have gone the whole view while no picture said anything."""


class Result(StrEnum):
    """The verdict on a unit; PASSED needs every expected frame inspected."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_INSPECTED = "NOT_INSPECTED"
    ERROR = "ERROR"


class TriggerKind(StrEnum):
    """What says that there is a unit to inspect."""

    EVERY_FRAME = "every_frame"
    PRESENCE = "presence"
    EXTERNAL = "external"


class Stream(StrEnum):
    """The Redis streams a station writes."""

    UNITS = "units"
    DEFECTS = "defects"
    HEALTH = "health"
    REVIEWS = "reviews"
    CHANGES = "changes"
    CHALLENGES = "challenges"


class Judgement(StrEnum):
    """What a person who looked again says of a unit, or of one of its defects."""

    CONFIRMED = "CONFIRMED"
    """The verdict is right: the defect is one; a unit that PASSED is good."""
    FALSE_CALL = "FALSE_CALL"
    """Of a unit that FAILED: what was called a defect is none."""
    MISSED = "MISSED"
    """There is a defect that the station did not call; of a unit that PASSED, an escape."""
    UNSURE = "UNSURE"
    """The picture does not show which it is."""
    WITHDRAWN = "WITHDRAWN"
    """An earlier review is taken back: what was said before that one counts again."""


class KeptFor(StrEnum):
    """Why a unit's picture was kept. A closed list."""

    VERDICT = "verdict"
    """The unit is not PASSED, or it is a known part."""
    SAMPLE = "sample"
    """PASSED, and drawn by chance."""
    NEAR_THRESHOLD = "near_threshold"
    """PASSED, and not drawn; something in it was nearly called a defect."""


class PixelLease(Protocol):
    """Temporary ownership of one image buffer."""

    @property
    def image(self) -> Image:
        """The pixels."""

    def release(self) -> None:
        """Give the buffer back; calling twice is a bug and raises. Any thread."""


class TensorLease(Protocol):
    """Temporary ownership of the memory of one request's input tensor."""

    @property
    def array(self) -> NDArray[Any]:
        """(max_regions, *input shape), dtype of the model's input; perhaps shared memory."""

    @property
    def offset_bytes(self) -> int:
        """Where `array` starts in its segment."""

    @property
    def key(self) -> str | None:
        """The name of the shared segment it lies in, or None when memory is private."""

    def release(self) -> None:
        """Give the memory back; calling twice is a bug and raises. Event loop only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grabbed:
    """What a source knows of the frame it just grabbed."""

    captured_mono_ns: int
    captured_unix_ns: int
    label: str | None = None
    """The name of a still picture's file, or of a simulated unit; None for a stream."""
    stamp_ns: int | None = None
    """The camera's own time stamp, if it has one: only to see whether it moves."""
    clock_trouble: str = ""
    """Why the camera's time stamps are not believed, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Where a unit lies in a frame: a rectangle, perhaps turned; in frame pixels.

    Turned upright and cut out at its own scale it is the unit's picture, `width_px` by
    `height_px`: the pixels of defects and of evidence.
    """

    centre_x_px: float
    centre_y_px: float
    width_px: float
    height_px: float
    turn_deg: float
    """Clockwise as seen, -45 to 45: how far the unit is turned from upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRef:
    """One thing to judge, as its trigger announced it."""

    camera_id: CameraId
    index: int
    """Counts the units of a camera since start from 0, without gaps, in the order they came."""
    kind: TriggerKind
    triggered_mono_ns: int
    """When the unit was there to be seen: for the deadline, never for display."""
    triggered_unix_ns: int
    given_id: str | None = None
    """What the trigger called it; None when it did not."""
    trigger_entry: str | None = None
    """The entry of the stream of triggers that announced it; None where none did."""
    label: str | None = None
    """The file a still picture came from, or the simulated unit."""
    job: Job | None = None
    """What it is judged by, stamped as it was opened; None only in tests that do not ask."""

    @property
    def under(self) -> Job:
        """Its job.

        Raises:
            RuntimeError: it has none; a programming error.

        """
        if self.job is None:
            raise RuntimeError(f"unit {self.index} of {self.camera_id} was opened without a job")
        return self.job


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitOpened:
    """There is a unit: from now on it gets exactly one verdict."""

    unit: UnitRef
    frames_expected: int | None = None
    """How many frames will come, if that is known already: no `UnitClosed` follows then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitClosed:
    """No further frame of the unit will come."""

    unit: UnitRef
    frames_expected: int
    """Frames that a complete inspection needs, the missing ones too; at least 1."""
    frames_taken: int
    """Frames that were chosen, or missed with this unit: so many results will come."""
    miss: MissReason | None = None
    """Why fewer frames were taken than expected."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A compact place where a frame of a unit is not as the product's reference."""

    place: Box
    """In the pixels of the reference."""
    weight: float
    """How large it is: in pixels of the compared picture that differ by all of the reference's
    contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a frame lies on the reference of its unit's product."""

    likeness: float
    """Correlation of the contrasts, -1 to 1."""
    shift_px: float
    """How far it lies from where the outline, or the frame, says, in pixels of the reference."""
    matrix: Affine
    """From the frame's pixels to those of the reference."""
    differences: tuple[Difference, ...] = ()
    """Where it is not as the reference, the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRef:
    """Which frame, without its pixels; safe to keep after the buffer is reused."""

    camera_id: CameraId
    sequence: int
    """Counts every frame grabbed since start from 0, missed ones too, so gaps are visible."""
    captured_mono_ns: int
    """Monotonic clock at capture: for ages and deadlines, never for display."""
    captured_unix_ns: int
    """Wall clock at capture: for events, never for arithmetic."""
    label: str | None = None
    """The file a still picture came from, or the simulated unit; None for a stream."""
    stamp_ns: int | None = None
    """The camera's own time stamp, if it has one: only to see whether it moves."""
    unit: UnitRef | None = None
    """The unit it is inspected for; None before the trigger decided, and where there is none."""
    outline: Outline | None = None
    """Where that unit lies in it; None where that is not known."""
    placed: Placed | None = None
    """None before that is known, and where the unit is not compared with a reference."""
    optics: Optics | None = None
    """What its pixels are like; None where nobody measures that."""

    @property
    def under(self) -> Job:
        """The job of the unit that it is inspected for.

        Raises:
            RuntimeError: it has none; a programming error.

        """
        if self.unit is None:
            raise RuntimeError(f"frame {self.sequence} of {self.camera_id} belongs to no unit")
        return self.unit.under


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A captured image; whoever holds it must pass it on or release its lease."""

    ref: FrameRef
    lease: PixelLease


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitInView:
    """A unit as a frame shows it, inspected or not."""

    index: int
    """As in `UnitRef.index`."""
    outline: Outline | None
    """In this frame's pixels; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedFrame:
    """A frame that should have been inspected and was not.

    Without a unit (`ref.unit`) it is counted and nothing else.
    """

    ref: FrameRef
    reason: MissReason
    detail: str = ""
    lease: PixelLease | None = None
    """Its pixels, where they may be the unit's picture: whoever takes the notice owns the buffer.
    None where it is released already."""


Notice = MissedFrame | UnitOpened | UnitClosed
"""What capture tells the results stage past the inspection."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a region was placed in the model's input: `model = region * scale + offset`."""

    scale: float
    left_px: int
    top_px: int
    stretch: float = 1.0
    """Down it is scaled by so much more than across."""

    @property
    def scale_down(self) -> float:
        """The scale from top to bottom."""
        return self.scale * self.stretch

    @property
    def least_shrunk(self) -> float:
        """The scale in the direction in which it is shrunk less."""
        return max(self.scale, self.scale_down)


DIFFERING_CELL_PX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseUp:
    """A place of a unit that is shown to the model once more, enlarged."""

    cell: Rect
    """Where in the model's input."""
    middle_px: tuple[float, float]
    """What the middle of the cell shows, in the pixels of the reference."""
    enlarged: float
    differences: tuple[Difference, ...]
    """For the sake of which it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The part of a frame that becomes one model input."""

    frame: Frame
    rect: Rect
    """In the pixels of the frame; where `upright` is set, of the unit's upright picture; with
    `on_reference`, of the reference."""
    letterbox: Letterbox
    upright: Outline | None = None
    """The frame is turned and cut to this outline first."""
    on_reference: bool = False
    """The frame is laid on the reference first, as its `placed` says."""
    differing: NDArray[np.bool_] | None = field(default=None, compare=False)
    """Where it then differs from the reference, by cells of DIFFERING_CELL_PX pixels of the model's
    input; None where that is not known. What is as on the reference is no defect."""
    close_ups: tuple[CloseUp, ...] = ()
    """What is shown instead of `rect`, which is the model's input then, side by side."""
    piece: int = 0
    """A frame becomes `pieces` model inputs; this is which."""
    pieces: int = 1


PADDING_GREY = 114
"""What YOLO-family detectors were trained to see around a letterboxed picture."""
UNIT_AND_REFERENCE = 2
"""Channels of an input that shows a unit beside its reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """What one region must look like for the model, without the batch dimension."""

    name: str
    width_px: int
    height_px: int
    channels_first: bool
    """(channels, height, width) when true, (height, width, channels) otherwise."""
    channels: int = 3
    """3: a picture in colour. 2: the unit's grey and that of its reference."""
    dtype: str
    """Triton's name: UINT8, FP32 or FP16."""
    rgb: bool
    """Colour order the model expects; frames are BGR."""
    white: float = 1.0
    """What the brightest pixel is in floats: 1 or 255; in UINT8 it is 255."""
    mean: Triple | None = None
    """Taken off each channel of floats, in units of `white`; red, green, blue."""
    deviation: Triple | None = None
    """Then each channel is divided by it."""
    padding: int = PADDING_GREY
    """What lies beside a region that does not fill the input, 0 to 255."""
    registered: bool = False
    """The unit is shown in the geometry of its reference, alone."""
    stretches: bool = False
    """A region fills the input, whatever its proportions, as training did."""
    enlarges: bool = False
    """A region smaller than the input is scaled up to it, as training did."""
    most: int = 0
    """So many regions in one request at most; 0: any number."""
    exactly: int = 0
    """A request holds so many rows, those without a region are of no account; 0: one per region."""

    @property
    def takes_reference(self) -> bool:
        """Whether a unit is shown beside its reference."""
        return self.channels == UNIT_AND_REFERENCE

    @property
    def is_on_reference(self) -> bool:
        """Whether a unit has to be laid on its reference first."""
        return self.registered or self.takes_reference

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one region."""
        if self.channels_first:
            return self.channels, self.height_px, self.width_px
        return self.height_px, self.width_px, self.channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a model claims to see."""

    code_index: int
    """As its reader gives it: the model's class. Afterwards: of the recipe's codes."""
    confidence: float
    place: Place
    """In frame pixels, or those of the unit's upright picture."""
    model: str = ""
    """Which of the recipe's models claims it; empty before that is known."""
    is_close_up: bool = False
    """It was seen when the place was shown once more, enlarged."""

    @property
    def box(self) -> Box | None:
        """The upright box around it; None where it is about the unit as a whole."""
        return None if isinstance(self.place, WholeUnit) else self.place.around


class OutputReader(Protocol):
    """Reads the replies of a model: chosen by what its server says of it. Pure."""

    @property
    def kind(self) -> str:
        """What kind of answer it reads, in a few words for people."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output tensors it needs."""

    def decode(
        self,
        reply: Mapping[str, NDArray[Any]],
        regions: tuple[Region, ...],
        *,
        floor: float,
        nms_iou: float,
    ) -> list[list[Finding]]:
        """The findings of each region, the surest first, at places in the region's picture.

        Those less sure than `floor` are left out. `nms_iou` is for models that leave suppression
        to us. `reply` holds read-only views of the tensors by name; the first axis is the region.

        Raises:
            MalformedReplyError: it is not one result per region, or says what no result can say: a
                reply that cannot be read must never read as one without findings.

        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The deployed model, as its server describes it and the settings agree."""

    name: str
    version: str
    input: ModelInput
    reader: OutputReader
    """Turns its replies into findings."""
    instances: int = 1
    """How many requests it works on at once."""
    range_is_assumed: bool = False
    """Nobody says what a float input expects white to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Regions sent to one model as one request, in capture order per camera."""

    batch_id: int
    model: ModelName
    regions: tuple[Region, ...]
    tensor: TensorLease | None
    """Row i holds region i; None while the model's input is not known yet (server away)."""
    model_input: ModelInput | None
    """What `tensor` was written for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model server answered; exactly one of outputs and error is set."""

    request_id: str | None
    """None for an error reply on a stream: the client library drops it."""
    outputs: Mapping[str, NDArray[Any]] | None
    """By output name; first axis is the region. Read-only views of the reply."""
    error: str | None
    model_version: str = ""
    """Which one answered; empty where the server does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A batch and how it ended; exactly one of outputs and miss is set.

    The frames' buffers belong to the receiver; the tensor is already released.
    """

    batch: Batch
    outputs: Mapping[str, NDArray[Any]] | None
    spec: ModelSpec | None
    """The model that answered; None when none did."""
    miss: MissReason | None
    detail: str
    taken_mono_ns: int
    """When the inference stage took the batch: the end of its waiting."""
    ended_mono_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """What the codes on a unit's frames say its serial is, or why it has none."""

    text: str | None
    format: str | None
    """DataMatrix, QRCode or Code128."""
    quality: str
    """How sure that is; a closed list, see `inspector.serials.agreement`."""
    frames_read: int
    """Frames that show it."""
    detail: str = ""
    """For people: what was read instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A picture of a unit that is on the disk, by reference: what an event says of it."""

    kind: str
    """`unit`: cut out and turned upright; `frame`: the frame it was seen in."""
    camera: CameraId
    uri: str
    """`file:///…`: the absolute path on the station's machine, whose name is in the event."""
    sha256: str
    """Of the file, in lower-case hexadecimal digits."""
    bytes: int
    kept_for: KeptFor = KeptFor.VERDICT


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPicture:
    """The best frame of a decided unit, on its way to the disk; whoever holds it owns the frame."""

    frame: Frame
    unit_id: str
    unit_number: int
    event_id: str
    result: Result
    short_by: float | None = None
    """How much confidence its best finding lacked to be a defect; None where nothing was seen."""
    is_asked_for: bool = False
    """It is kept whatever the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a person found who looked at a unit again."""

    unit_event_id: str
    unit_id: str
    camera: str
    judgement: Judgement
    defect_id: str | None
    """None: it is about the unit as a whole, or about a defect that the station did not call."""
    code: str | None
    """Of that defect, or of the one that was missed; None where it is of no code."""
    bbox_px: tuple[float, float, float, float] | None = None
    """Where the missed defect lies: x, y, width, height in the pixels of the unit's picture."""
    codes: tuple[str, ...] = ()
    """Of the defects that it is about: all the unit's, or the one."""
    comment: str = ""
    by: str = ""
    takes_back: str | None = None
    """The review that is taken back, by its ULID."""
    unit_result: Result = Result.FAILED
    kept_for: KeptFor | None = None
    """Why there was a picture to look at; None where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something to publish: a verdict, a defect, a change of health or a review."""

    stream: Stream
    id: str
    """ULID, made once."""
    schema: str
    time: str
    """RFC 3339 with offset."""
    unit_id: str
    """Empty for events of no unit."""
    result: str
    """For filtering: the verdict, `raised`/`cleared`, the judgement, `accepted`/`refused`."""
    body: dict[str, Any]
    """The JSON event, without `seq` (the journal's) and `published_at` (the publisher's)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedUnit:
    """The unit that a group of events is about."""

    ref: UnitRef
    number: int
    """From 1, counted per camera over the life of the journal; `unit.number` of its event."""
    id: str
    """What its event calls it."""
    event_id: str
    """ULID of its unit event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventGroup:
    """Events that enter the journal together or not at all, with what it keeps besides.

    A verdict and its defects; or one change of health, one review, one change of the job.
    """

    events: tuple[Event, ...]
    unit: JudgedUnit | None = None
    """None where the group holds no verdict."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """Numbers that never go back; the journal keeps the largest of each name."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Texts by name; the journal keeps the latest of each."""

    @property
    def verdict(self) -> Event | None:
        """The unit's event; None where the group holds no verdict."""
        return self.events[0] if self.unit is not None else None


def unit_counter(camera: CameraId) -> str:
    """The journal's counter of a camera's units."""
    return f"units:{camera}"
