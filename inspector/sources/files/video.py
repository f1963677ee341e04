"""A video file, frame by frame, by PyAV (FFmpeg)."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator

import av
import numpy as np
import structlog
from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.core.records import Image
from inspector.sources.coded.continuity import Outcome
from inspector.sources.coded.decoding import PictureDecoder
from inspector.sources.files.broken_off import missing_pictures
from inspector.sources.files.turning import AS_STORED, Turning, turning_of
from inspector.sources.files.uri import FileUri
from inspector.sources.pixels import PixelWriter

log = structlog.get_logger("capture")

_NS_PER_S = 1_000_000_000
_GUESSED_FPS = 25.0
_PACKETS_PROBED = 250
"""How many damaged frames at the beginning are read for the orientation."""


class Video:
    """Every frame of a video, damaged and missing ones included, in its orientation.

    One thread. Opening reads its header and decodes up to its first whole frame, which has its
    orientation. If the file broke off, the missing frames come last, as damaged ones.

    Raises:
        CameraUnavailableError: it is no video, not of the expected size, or to be shown slanted.

    """

    def __init__(self, uri: FileUri, expected_size: tuple[int, int] | None) -> None:
        self._uri = uri
        self._writer = PixelWriter()
        self._frame: VideoFrame | None = None
        self._cause = "no frame was grabbed"
        self._index = -1
        self.position_ns = 0
        """The current frame's time since the start; goes on over `rewind`."""
        self._turning = AS_STORED
        self._stored: Image | None = None
        self._open_file()
        self.notes = self._probe_first()
        """What a person should know about the recording; sentences."""
        self.size = self._turning.size((self._stream.width, self._stream.height))
        """Width and height in pixels, as shown."""
        if expected_size not in {None, self.size}:
            self.close()
            msg = f"{uri}: the video is {_by(self.size)} pixels, expected {_by(expected_size)}"
            raise CameraUnavailableError(msg)

    @property
    def label(self) -> str | None:
        """None: frames of a video have no names."""
        return None

    def advance(self) -> bool:
        """Decode the next frame; False at the end."""
        while not self._decoded:
            if not (self._read_packet() or self._add_missing()):
                return False
        shown = self._decoded.popleft()
        self._frame, self._cause = shown.frame, shown.cause
        self._taken += 1
        self._index += 1
        self.position_ns = self._position_ns(shown.pts_ns)
        return True

    def rewind(self) -> None:
        """Begin again with the first frame."""
        self.close()
        self._turn_start_ns = self.position_ns + self.interval_ns
        self._open_file(self._turn_start_ns)

    def retrieve_into(self, image: Image) -> None:
        """Convert the current frame to BGR, in `image`."""
        if self._frame is None:
            msg = f"{self._uri}: frame {self._index} is damaged or missing: {self._cause}"
            raise FrameUnreadableError(msg)
        turning = self._turning_of(self._frame)
        found = turning.size((self._frame.width, self._frame.height))
        if found != self.size:
            msg = (
                f"{self._uri}: frame {self._index} is {_by(found)} pixels, "
                f"expected {_by(self.size)}"
            )
            raise FrameUnreadableError(msg)
        if not turning:
            self._writer.write(self._frame, image)
            return
        shape = (self._frame.height, self._frame.width, 3)
        if self._stored is None or self._stored.shape != shape:
            self._stored = np.empty(shape, np.uint8)
        self._writer.write(self._frame, self._stored)
        turning.show(self._stored, image)

    def close(self) -> None:
        """Let go of the file."""
        self._frame = None
        # The decoding thread may need the interpreter, which waits for that thread when freeing it.
        with contextlib.suppress(FFmpegError, EOFError):
            self._stream.codec_context.decode(None)
        self._container.close()

    def _open_file(self, turn_start_ns: int = 0) -> None:
        self._container: InputContainer
        try:
            # With its protocol: otherwise FFmpeg reads `cam1:line.mp4` as a URL with the protocol
            # cam1.
            self._container = av.open(f"file:{self._uri.path}", mode="r")
        except (FFmpegError, OSError, ValueError) as error:
            msg = f"{self._uri}: not a video that can be read ({type(error).__name__})"
            raise CameraUnavailableError(msg) from error
        videos = _videos(self._container)
        if not videos:
            self._container.close()
            msg = f"{self._uri}: holds no video"
            raise CameraUnavailableError(msg)
        self._stream: VideoStream = videos[0]
        self._stream.thread_type = "AUTO"
        self._packets: Iterator[Packet[VideoStream]] = self._container.demux(self._stream)
        self._decoded: deque[Outcome[VideoFrame]] = deque()
        self._decoder = PictureDecoder(self._stream, captured_ns=lambda pts_ns, _: pts_ns or 0)
        fps = float(self._uri.fps or self._stream.average_rate or _GUESSED_FPS)
        self.interval_ns = round(_NS_PER_S / fps)
        self._turn_start_ns = turn_start_ns
        self._first_pts_ns: int | None = None
        self._frames_this_turn = 0
        self._taken = 0
        self._has_ended = False

    def _read_packet(self) -> bool:
        """Decode one packet, into any number of frames; False at the end."""
        try:
            packet = next(self._packets, None)
        except (FFmpegError, OSError):
            # The rest of the file cannot be read: one damaged frame says so, then it is over.
            self._packets = iter(())
            self._decoded.extend(self._decoder.broken_off())
            return True
        if packet is None:
            return False
        self._decoded.extend(self._decoder.decode(packet, arrival_ns=0))
        return True

    def _add_missing(self) -> bool:
        """At the end: the frames that are missing there, once; False if there are none."""
        if self._has_ended:
            return False
        self._has_ended = True
        until_s = (self.position_ns - self._turn_start_ns + self.interval_ns) / _NS_PER_S
        missing = missing_pictures(
            *(self._uri.path, self._container, self._stream),
            had=self._taken,
            had_until_s=until_s if self._taken else 0.0,
        )
        if missing:
            note = f"the file broke off: at least {missing} of its pictures are missing"
            log.warning("recording", source=str(self._uri), note=note)
        broken_off: Outcome[VideoFrame] = Outcome(
            frame=None, cause="the file broke off", pts_ns=None, captured_ns=0, came=False
        )
        self._decoded.extend([broken_off] * missing)
        return missing > 0

    def _probe_first(self) -> tuple[str, ...]:
        """Decode ahead to the first whole frame, and note what is special about the video.

        Damaged ones before it do not have the orientation. `advance` returns them all the same.
        """
        first = None
        while first is None and len(self._decoded) < _PACKETS_PROBED and self._read_packet():
            first = next((shown.frame for shown in self._decoded if shown.frame), None)
        notes = []
        if first is not None:
            try:
                self._turning = turning_of(first)
            except CameraUnavailableError as error:
                self.close()
                raise CameraUnavailableError(f"{self._uri}: {error}") from error
            if self._turning:
                notes.append(f"the video says that it is to be shown {self._turning}, and is")
            if first.interlaced_frame:
                notes.append("the video is interlaced: what moves is seen twice in a picture")
        tracks = len(_videos(self._container))
        if tracks > 1:
            notes.append(f"the file holds {tracks} videos: only the first is inspected")
        return tuple(notes)

    def _turning_of(self, frame: VideoFrame) -> Turning:
        try:
            return turning_of(frame)
        except CameraUnavailableError as error:
            msg = f"{self._uri}: frame {self._index}: {error}"
            raise FrameUnreadableError(msg) from error

    def _position_ns(self, pts_ns: int | None) -> int:
        """From the frame's own time stamp; counted where it has none, or fps= overrides it."""
        counted_ns = self._turn_start_ns + self._frames_this_turn * self.interval_ns
        self._frames_this_turn += 1
        if pts_ns is None or self._uri.fps:
            return counted_ns
        if self._first_pts_ns is None:
            self._first_pts_ns = pts_ns
        return self._turn_start_ns + pts_ns - self._first_pts_ns


def _videos(container: InputContainer) -> list[VideoStream]:
    """The file's videos, without the cover picture for music players."""
    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def _by(size: tuple[int, int] | None) -> str:
    return "any" if size is None else f"{size[0]}x{size[1]}"
