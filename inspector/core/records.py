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
"""A request ready for the wire; opaque except to the adapter that made it."""


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
    """Too much of the picture is overexposed to show a defect."""
    CAMERA_BLURRED = "camera_blurred"
    """Too blurred to show a defect."""
    CAMERA_BLANK = "camera_blank"
    """Evenly grey: no defect would stand out in it."""
    CAMERA_MOVED = "camera_moved"
    """The fixed mark has moved."""
    NO_FRAME = "no_frame"
    """A trigger came, but no usable frame."""
    DEADLINE_MISSED = "deadline_missed"
    """The answer came after the verdict was due."""
    TEACHING = "teaching"
    """Its unit was used for teaching."""
    CHANGING_OVER = "changing_over"
    """The product's model was being loaded."""
    NO_PRODUCT = "no_product"
    """The station did not know the product."""
    REFERENCE_MISMATCH = "reference_mismatch"
    """The unit does not fit the product's reference: it is another product, or in a wrong
    position."""
    INTERNAL_ERROR = "internal_error"


class Doubt(StrEnum):
    """Why a unit may have passed without a verdict. A closed list."""

    VANISHED = "vanished"
    """Something came in, was never fully in view, and disappeared inside the view."""
    WENT_BACK = "went_back"
    """Something came in partly and went back out."""
    UNCONFIRMED = "unconfirmed"
    """Something left that was seen too seldom, or did not move with the belt."""
    MERGED = "merged"
    """Two things are now seen as one."""
    AT_EXIT = "at_exit"
    """Something that appears where units leave is taken for the one that left last."""
    JUMPED = "jumped"
    """Something was gone and something was elsewhere in the next picture."""
    TOO_FAST = "too_fast"
    """The belt moved so far between two pictures that a unit may lie between them."""
    UNSEEN = "unseen"
    """The belt may have moved by the whole view while no picture showed anything."""


class Result(StrEnum):
    """The verdict on a unit; PASSED needs every expected frame inspected."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_INSPECTED = "NOT_INSPECTED"
    ERROR = "ERROR"


class TriggerKind(StrEnum):
    """The kind of trigger that announces a unit."""

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
    """A reviewer's judgement of a unit, or of one of its defects."""

    CONFIRMED = "CONFIRMED"
    """The verdict is right: the defect is real; a unit that PASSED is good."""
    FALSE_CALL = "FALSE_CALL"
    """For a unit that FAILED: the reported defect is not one."""
    MISSED = "MISSED"
    """There is a defect that the station missed; on a unit that PASSED, an escape."""
    UNSURE = "UNSURE"
    """The picture does not allow a decision."""
    WITHDRAWN = "WITHDRAWN"
    """An earlier review is withdrawn: the one before it counts again."""


class KeptFor(StrEnum):
    """Why a unit's picture was kept. A closed list."""

    VERDICT = "verdict"
    """The unit is not PASSED, or it is a known part."""
    SAMPLE = "sample"
    """PASSED, and drawn by chance."""
    NEAR_THRESHOLD = "near_threshold"
    """PASSED, and not drawn; something in it was nearly a defect."""


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
    """A source's data about the frame that it just grabbed."""

    captured_mono_ns: int
    captured_unix_ns: int
    label: str | None = None
    """The name of a still picture's file, or of a simulated unit; None for a stream."""
    stamp_ns: int | None = None
    """The camera's own time stamp, if it has one: only used to check whether it changes."""
    clock_trouble: str = ""
    """Why the camera's time stamps are not used; empty if they are."""


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
    """When the unit was at the camera: for the deadline, never for display."""
    triggered_unix_ns: int
    given_id: str | None = None
    """The trigger's name for it; None if it gave none."""
    trigger_entry: str | None = None
    """The entry of the stream of triggers that announced it; None if none did."""
    label: str | None = None
    """The file a still picture came from, or the simulated unit."""
    job: Job | None = None
    """Its job, set when it was opened; None only in tests that do not need it."""

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
    """Announces a unit, which gets exactly one verdict from now on."""

    unit: UnitRef
    frames_expected: int | None = None
    """How many frames will come, if known already; then no `UnitClosed` follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitClosed:
    """Announces that no further frame of the unit will come."""

    unit: UnitRef
    frames_expected: int
    """The number of frames in a complete inspection, including missing ones; at least 1."""
    frames_taken: int
    """The number of frames chosen, or missed with this unit, and so of results to come."""
    miss: MissReason | None = None
    """Why fewer frames were taken than expected."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A compact place where a frame of a unit differs from the product's reference."""

    place: Box
    """In the pixels of the reference."""
    weight: float
    """Its size, in pixels of the compared picture that differ by the reference's full contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a frame lies on the reference of its unit's product."""

    likeness: float
    """Correlation of the contrasts, -1 to 1."""
    shift_px: float
    """Its distance from the place by the outline, or by the frame, in pixels of the reference."""
    matrix: Affine
    """From the frame's pixels to those of the reference."""
    differences: tuple[Difference, ...] = ()
    """Where it differs from the reference, the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRef:
    """Identifies a frame, without its pixels; safe to keep after the buffer is reused."""

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
    """The camera's own time stamp, if it has one: only used to check whether it changes."""
    unit: UnitRef | None = None
    """The unit for which it is inspected; None before the trigger decided, and if there is none."""
    outline: Outline | None = None
    """Where that unit lies in it; None if unknown."""
    placed: Placed | None = None
    """Its place on the reference; None before it is known, and if the unit is not compared."""
    optics: Optics | None = None
    """The measures of its optics; None if they are not measured."""

    @property
    def under(self) -> Job:
        """The job of the unit for which it is inspected.

        Raises:
            RuntimeError: it has none; a programming error.

        """
        if self.unit is None:
            raise RuntimeError(f"frame {self.sequence} of {self.camera_id} belongs to no unit")
        return self.unit.under


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A captured image; its holder must pass it on or release its lease."""

    ref: FrameRef
    lease: PixelLease


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitInView:
    """A unit as a frame shows it, inspected or not."""

    index: int
    """As in `UnitRef.index`."""
    outline: Outline | None
    """In this frame's pixels; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedFrame:
    """A frame that should have been inspected and was not.

    Without a unit (`ref.unit`) it is counted and nothing else.
    """

    ref: FrameRef
    reason: MissReason
    detail: str = ""
    lease: PixelLease | None = None
    """Its pixels, if they may become the unit's picture: the receiver of the notice owns the
    buffer. None if it is released already."""


Notice = MissedFrame | UnitOpened | UnitClosed
"""The notices from capture to the results stage, which bypass the inspection."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a region was placed in the model's input: `model = region * scale + offset`."""

    scale: float
    left_px: int
    top_px: int
    stretch: float = 1.0
    """The ratio of the vertical to the horizontal scale."""

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
    """A place of a unit that is shown to the model again, enlarged."""

    cell: Rect
    """Where in the model's input."""
    middle_px: tuple[float, float]
    """The place at the middle of the cell, in the pixels of the reference."""
    enlarged: float
    differences: tuple[Difference, ...]
    """The difference for which it is shown."""


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
    input; None if unknown. A place that equals the reference is not a defect."""
    close_ups: tuple[CloseUp, ...] = ()
    """The close-ups shown side by side instead of `rect`, which then is the model's input."""
    piece: int = 0
    """The number of this piece; a frame becomes `pieces` model inputs."""
    pieces: int = 1


PADDING_GREY = 114
"""The grey around a letterboxed picture in the training of YOLO-family detectors."""
UNIT_AND_REFERENCE = 2
"""Channels of an input that shows a unit beside its reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """The format of one region for the model, without the batch dimension."""

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
    """The value of the brightest pixel in floats: 1 or 255; in UINT8 it is 255."""
    mean: Triple | None = None
    """Subtracted from each channel of floats, in units of `white`; red, green, blue."""
    deviation: Triple | None = None
    """Then each channel is divided by it."""
    padding: int = PADDING_GREY
    """The grey beside a region that does not fill the input, 0 to 255."""
    registered: bool = False
    """The unit is shown in the geometry of its reference, alone."""
    stretches: bool = False
    """A region fills the input, whatever its proportions, as training did."""
    enlarges: bool = False
    """A region smaller than the input is scaled up to it, as training did."""
    own_scale: bool = False
    """It was trained on pictures at their own scale: it sees less of a picture that is shrunk."""
    most: int = 0
    """The most regions in one request; 0: any number."""
    exactly: int = 0
    """The fixed number of rows in a request, of which those without a region are ignored; 0: one
    per region."""

    @property
    def takes_reference(self) -> bool:
        """Whether a unit is shown beside its reference."""
        return self.channels == UNIT_AND_REFERENCE

    @property
    def is_on_reference(self) -> bool:
        """Whether a unit must be placed on its reference first."""
        return self.registered or self.takes_reference

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one region."""
        if self.channels_first:
            return self.channels, self.height_px, self.width_px
        return self.height_px, self.width_px, self.channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a model reports."""

    code_index: int
    """From its reader: the model's class. Afterwards: an index into the recipe's codes."""
    confidence: float
    place: Place
    """In frame pixels, or those of the unit's upright picture."""
    model: str = ""
    """The model of the recipe that reports it; empty before that is known."""
    is_close_up: bool = False
    """Whether it was found in an enlarged close-up of the place."""

    @property
    def box(self) -> Box | None:
        """The upright box around it; None if it is about the unit as a whole."""
        return None if isinstance(self.place, WholeUnit) else self.place.around


class OutputReader(Protocol):
    """Reads the replies of a model: chosen by its server's description. Pure."""

    @property
    def kind(self) -> str:
        """The kind of answer that it reads, in a few words for people."""

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

        Raises: MalformedReplyError: it is not one result per region, or has impossible values: a
        reply that cannot be read must never count as one without findings.

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
    """The number of requests that it works on at once."""
    range_is_assumed: bool = False
    """Whether the value of white in a float input is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Regions sent to one model as one request, in capture order per camera."""

    batch_id: int
    model: ModelName
    regions: tuple[Region, ...]
    tensor: TensorLease | None
    """Row i holds region i; None while the model's input is not known yet (server away)."""
    model_input: ModelInput | None
    """The input for which `tensor` was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The model server's answer; exactly one of outputs and error is set."""

    request_id: str | None
    """None for an error reply on a stream: the client library drops it."""
    outputs: Mapping[str, NDArray[Any]] | None
    """By output name; first axis is the region. Read-only views of the reply."""
    error: str | None
    model_version: str = ""
    """The version that answered; empty if the server does not name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A batch and how it ended; exactly one of outputs and miss is set.

    The frames' buffers belong to the receiver; the tensor is already released.
    """

    batch: Batch
    outputs: Mapping[str, NDArray[Any]] | None
    spec: ModelSpec | None
    """The model that answered; None if none did."""
    miss: MissReason | None
    detail: str
    taken_mono_ns: int
    """When the inference stage took the batch: the end of its waiting."""
    ended_mono_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """A unit's serial by the codes on its frames, or why it has none."""

    text: str | None
    format: str | None
    """DataMatrix, QRCode or Code128."""
    quality: str
    """How certain it is; a closed list, see `inspector.serials.agreement`."""
    frames_read: int
    """Frames that show it."""
    detail: str = ""
    """For people: the code that was read instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A reference to a picture of a unit on the disk, for its event."""

    kind: str
    """`unit`: cut out and turned upright; `frame`: the frame in which it was seen."""
    camera: CameraId
    uri: str
    """`file:///…`: the absolute path on the station's machine, whose name is in the event."""
    sha256: str
    """The hash of the file, in lower-case hexadecimal digits."""
    bytes: int
    kept_for: KeptFor = KeptFor.VERDICT


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPicture:
    """The best frame of a decided unit, on its way to the disk; its holder owns the frame."""

    frame: Frame
    unit_id: str
    unit_number: int
    event_id: str
    result: Result
    short_by: float | None = None
    """How much confidence its best finding lacked to be a defect; None if there was no finding."""
    is_asked_for: bool = False
    """Whether it is kept whatever the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A person's review of a unit."""

    unit_event_id: str
    unit_id: str
    camera: str
    judgement: Judgement
    defect_id: str | None
    """None: it is about the unit as a whole, or about a defect that the station missed."""
    code: str | None
    """The code of that defect, or of the missed one; None if it has no code."""
    bbox_px: tuple[float, float, float, float] | None = None
    """Where the missed defect lies: x, y, width, height in the pixels of the unit's picture."""
    codes: tuple[str, ...] = ()
    """The codes of the defects that it is about: all the unit's, or the one."""
    comment: str = ""
    by: str = ""
    takes_back: str | None = None
    """The ULID of the review that is withdrawn."""
    unit_result: Result = Result.FAILED
    kept_for: KeptFor | None = None
    """Why the picture was kept; None if there was none."""


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
