"""The seams of the pipeline, where a real device or server can be replaced by a fake."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from inspector.core.challenges import PartShown
from inspector.core.entries import JournalRow, StreamId, Tip
from inspector.core.packets import Packets
from inspector.core.recipes import ModelName
from inspector.core.records import (
    Batch,
    EncodedBatch,
    EventGroup,
    Evidence,
    Frame,
    FrameRef,
    Grabbed,
    Image,
    MissedFrame,
    MissReason,
    ModelSpec,
    Reply,
    Serial,
    Stream,
    UnitInView,
    UnitPicture,
    UnitRef,
)
from inspector.core.verdicts import Verdict


class Stage(Protocol):
    """A step of the pipeline."""

    @property
    def name(self) -> str:
        """Short name for logs and metrics."""

    async def run(self) -> None:
        """Work until the input ends, then close the output and return."""


class Source(Stage, Protocol):
    """A stage with no input: it ends when asked to."""

    def request_stop(self) -> None:
        """Produce nothing more; `run` returns soon after. Safe from any thread."""


class FrameSource(Protocol):
    """A camera, as used by its capture thread. Every method may block; one thread only."""

    def open(self) -> None:
        """Connect.

        Raises:
            CameraUnavailableError: it cannot be reached, refuses us, or delivers another size.

        """

    def grab(self) -> Grabbed:
        """Wait for the next frame; decodes as little as the format allows.

        Raises:
            CameraUnavailableError: the camera is gone, or sent nothing for its read timeout.
            EndOfFootageError: a recording is over.

        """

    def retrieve_into(self, image: Image) -> None:
        """Write the grabbed frame's pixels into `image`, in place.

        Raises:
            FrameUnreadableError: this one picture cannot be decoded.

        """

    def close(self) -> None:
        """Disconnect; never raises; `open` may follow."""


@runtime_checkable
class NotingSource(Protocol):
    """A `FrameSource` with notes for people about its footage."""

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes, as sentences. Empty before `open`."""


@runtime_checkable
class AnsweringSource(Protocol):
    """A `FrameSource` that can check its camera while no frames arrive.

    A camera that waits for triggers is silent between units, but still up.
    """

    @property
    def heard_mono_ns(self) -> int | None:
        """When it last sent a frame or answered; None while it is not open. Any thread."""


@runtime_checkable
class FiringSource(Protocol):
    """A `FrameSource` that can make its camera take a picture."""

    def ask_for(self, frames: int) -> None:
        """Take this many pictures, one after the other, from now on.

        Any thread; never blocks. A camera that runs freely, or waits for a trigger at its own
        input, ignores it.
        """


@runtime_checkable
class PacketSource(Protocol):
    """A `FrameSource` whose pictures come in packets that can be counted."""

    @property
    def packets(self) -> Packets | None:
        """Those of this connection; None while it is not open, or where there are none."""


class UnitTrigger(Protocol):
    """Decides which frames are inspected, and for which unit: the trigger of one camera.

    Called by the camera's capture thread, frame by frame in order. It announces units as
    `UnitOpened` and `UnitClosed`; what it returns or misses carries its unit in `ref.unit`.
    It stamps each unit with the job that is in force as it opens it.
    """

    @property
    def opened_units(self) -> int:
        """The number of units opened since start."""

    def observe(self, frame: Frame) -> Sequence[Frame]:
        """Take a frame, return those to inspect now; keeps or releases the others' buffers."""

    def missed(self, missed: MissedFrame) -> MissedFrame:
        """Take a frame that could not be inspected; returns it with the unit it belonged to."""

    def interrupted(self, reason: MissReason, detail: str) -> Sequence[Frame]:
        """Close every unit in view: the camera is lost, frozen, stopped or at its end.

        Returns frames that were still to be inspected. `observe` may follow.
        """


class Model(Protocol):
    """The models of one server, as used by the inference stage. Event loop only."""

    async def connect(self) -> Mapping[ModelName, ModelSpec]:
        """Check that the server has every model that is needed, and that each fits.

        Raises:
            InferenceUnavailableError: the server is away, or a model is not ready.
            ConfigurationError: a model does not match the settings or its recipe.

        """

    def spec_of(self, model: ModelName) -> ModelSpec | None:
        """The description of a model on this connection; None if it was not prepared."""

    def encode(self, batch: Batch) -> EncodedBatch:
        """Make the wire request; separate from sending, so that its errors are seen."""

    def replies(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        """Yield one reply per request, in order.

        Raises:
            InferenceUnavailableError: the server is away or dropped the stream.

        """

    async def close(self) -> None:
        """Disconnect; never raises."""


class Sink(Protocol):
    """A place where others read the station's events, as used by its delivery.

    Event loop only, one caller at a time: blocking calls go to a thread. Nothing is tried twice in
    here. A sink reports problems by SinkUnavailableError, whose text is the cause for people and
    holds no password; it is tried again soon, and holds up neither verdicts nor other sinks.

    Exactly once depends on two things: the journal names each entry (`JournalRow.entry_id`, which
    only grows within a stream), and the sink reports the last entry of its streams. After a crash
    or a lost answer it is asked for that, and delivery continues from there.
    """

    async def tips(self) -> Mapping[Stream, Tip]:
        """Where each of its streams ends now; `NO_STREAM` for one without entries.

        Raises:
            SinkUnavailableError: it cannot be asked.

        """

    async def append(
        self, rows: Sequence[JournalRow], ends: Mapping[Stream, StreamId], published_at: str
    ) -> bool:
        """Add the rows, all or none, provided that each of their streams still ends at `ends`.

        True only once they are stored safely. False: a stream ends elsewhere, and nothing was
        added. After an error they may have been added or not: the ends of the streams show it.

        Raises:
            SinkUnavailableError: it does not take them now.

        """

    async def make_room(self, rows: Sequence[JournalRow]) -> None:
        """Called before rows are added: refuse if the sink must not be filled further.

        Raises:
            SinkUnavailableError: it is to take nothing now.

        """
        del rows

    async def holds(self, rows: Sequence[JournalRow]) -> list[bool]:
        """Whether each row is in it: called if a stream ends with an entry that is not ours."""
        return [False] * len(rows)

    async def trim(self, stream: Stream, below: StreamId) -> int:
        """Drop entries with smaller IDs, or most of them; returns how many.

        Raises:
            SinkUnavailableError: it cannot now.

        """
        del stream, below
        return 0

    async def close(self) -> None:
        """Disconnect; never raises."""
        return


class PictureKeeper(Protocol):
    """Keeps pictures of units as evidence. Event loop only."""

    async def keep(self, picture: UnitPicture) -> Evidence | None:
        """Keep a picture, if it should be kept; takes over its frame's buffer.

        None if it was not kept, for whatever reason. Never raises, takes bounded time.
        """


class Preview(Protocol):
    """Shows a camera's pictures to the viewers of the page.

    Capture threads, one per camera. Nothing here may hold a frame's buffer: `take` copies the
    pixels.
    """

    def take(self, frame: Frame) -> bool:
        """Copy the pixels if a picture is wanted now; true when `show` is to follow."""

    def show(self, ref: FrameRef, in_view: Sequence[UnitInView]) -> None:
        """Show the picture just taken, with the places of the units in it."""


class Teacher(Protocol):
    """Learns the look of good units. Capture threads, one call at a time per camera."""

    def take(self, frame: Frame) -> None:
        """Take a chosen frame of a unit that was opened while its job was TEACHING.

        Copies the pixels it needs: the buffer is released afterwards. Never blocks, never raises.
        """


class ProductCheck(Protocol):
    """Checks whether a unit is of the product as which it was judged. Event loop only."""

    def check(self, verdict: Verdict, serial: Serial | None) -> Verdict:
        """The verdict, or that the unit was not inspected; once per unit, in order."""


class KnownParts(Protocol):
    """Knows which units are known parts, shown to test the station.

    Event loop only; for each camera in the order of its units.
    """

    def part(self, verdict: Verdict, unit_id: str) -> PartShown | None:
        """The check of a known part; None: it is a unit of production.

        `verdict` is the verdict by the pictures, whatever is due or locked.
        """

    def shown(self, part: PartShown, verdict: Verdict, group: EventGroup) -> EventGroup:
        """Add the events and notes of a check to the group.

        It goes into the journal's door before anything is awaited.
        """


class SerialService(Protocol):
    """Has the serials of the units under way. Event loop only."""

    async def serial_of(self, unit: UnitRef) -> Serial | None:
        """The serial of a decided unit; waits a bounded time for reading under way.

        None if no serial is read. Once per unit: it is forgotten then.
        """
