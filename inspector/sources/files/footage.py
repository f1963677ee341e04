"""Recorded footage: a video file, or a folder of pictures."""

from __future__ import annotations

import threading
import time

import structlog

from inspector.core.errors import CameraUnavailableError, EndOfFootageError, FrameUnreadableError
from inspector.core.records import Grabbed, Image
from inspector.sources.files.folder import Pictures
from inspector.sources.files.uri import FileUri
from inspector.sources.files.video import Video
from inspector.sources.uri import Pace

log = structlog.get_logger("capture")

_NS_PER_S = 1_000_000_000


class FootageSource:
    """A recording as a `FrameSource`: every frame, in order; one thread.

    At pace `recorded` a frame comes when its time stamp says; a caller that falls behind gets
    the next frame at once, and the schedule moves with it: no frame is skipped, no burst
    follows. At pace `max` frames come as fast as they are read. Setting `stop` ends a wait:
    the frame then comes early.

    Frames carry the clocks of their delivery, not of their recording.
    """

    def __init__(
        self,
        uri: FileUri,
        *,
        size: tuple[int, int] | None,
        pace: Pace,
        stop: threading.Event,
    ) -> None:
        self._uri = uri
        self._expected_size = size
        self._pace = uri.pace or pace
        self._stop = stop
        self._footage: Video | Pictures | None = None
        self._schedule = Schedule()

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None before `open` where none was asked for."""
        return self._footage.size if self._footage else self._expected_size

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the recording; sentences. Empty before `open`."""
        return self._footage.notes if self._footage else ()

    @property
    def interval_ns(self) -> int | None:
        """The time from one recorded frame to the next; None before `open`."""
        return self._footage.interval_ns if self._footage else None

    def open(self) -> None:
        """Find the recording and read its first frame's size."""
        self.close()
        if not self._uri.path.exists():
            path = self._uri.path
            looked = "" if path.is_absolute() else f"; looked in {path.absolute().parent}"
            msg = f"{self._uri}: no such file or folder{looked}"
            raise CameraUnavailableError(msg)
        kind = Pictures if self._uri.path.is_dir() else Video
        self._footage = kind(self._uri, self._expected_size)
        self._schedule = Schedule()
        if self._expected_size is not None:  # not asked for the size alone
            for note in self._footage.notes:
                log.warning("recording", source=str(self._uri), note=note)

    def grab(self) -> Grabbed:
        """Wait for the next frame's time."""
        if self._footage is None:
            msg = f"{self._uri}: not open"
            raise CameraUnavailableError(msg)
        if not self._footage.advance():
            msg = f"{self._uri}: the recording is over"
            if not self._uri.loop:
                raise EndOfFootageError(msg)
            self._footage.rewind()
            if not self._footage.advance():
                raise EndOfFootageError(msg)
        if self._pace == "recorded":
            wait_s = self._schedule.wait_s(self._footage.position_ns, time.monotonic_ns())
            self._stop.wait(wait_s)
        return Grabbed(
            captured_mono_ns=time.monotonic_ns(),
            captured_unix_ns=time.time_ns(),
            label=self._footage.label,
        )

    def retrieve_into(self, image: Image) -> None:
        """Write the grabbed frame into `image`: the same bytes at every replay."""
        if self._footage is None:
            msg = f"{self._uri}: not open"
            raise FrameUnreadableError(msg)
        self._footage.retrieve_into(image)

    def close(self) -> None:
        """Let go of the file."""
        footage, self._footage = self._footage, None
        if footage is not None:
            footage.close()


class Schedule:
    """Says when the next frame of a recording is due: pure, the time is passed in."""

    def __init__(self) -> None:
        self._start_mono_ns: int | None = None

    def wait_s(self, position_ns: int, now_mono_ns: int) -> float:
        """Seconds until the frame at `position_ns` is due; 0 moves the schedule if it is late."""
        if self._start_mono_ns is None:
            self._start_mono_ns = now_mono_ns - position_ns
        early_ns = self._start_mono_ns + position_ns - now_mono_ns
        if early_ns < 0:
            self._start_mono_ns -= early_ns
            return 0.0
        return early_ns / _NS_PER_S
