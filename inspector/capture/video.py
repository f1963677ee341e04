"""A video file, frame by frame, by PyAV (FFmpeg)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from inspector.capture.pixels import PixelWriter
from inspector.errors import CameraUnavailableError, FrameUnreadableError
from inspector.records import Image
from inspector.source_uri import FileUri

_NS_PER_S = 1_000_000_000
_GUESSED_FPS = 25.0


class Video:
    """Every frame of a video, damaged ones too; opening reads its header. One thread.

    Raises:
        CameraUnavailableError: it is no video, or not of the expected size.

    """

    def __init__(self, uri: FileUri, expected_size: tuple[int, int] | None) -> None:
        self._uri = uri
        self._writer = PixelWriter()
        self._frame: VideoFrame | None = None
        self._index = -1
        self.position_ns = 0
        """The current frame's time since the start; goes on over `rewind`."""
        self._open_file()
        self.size = (self._stream.width, self._stream.height)
        """Width and height in pixels."""
        if expected_size not in {None, self.size}:
            self.close()
            msg = f"{uri}: the video is {_by(self.size)} pixels, expected {_by(expected_size)}"
            raise CameraUnavailableError(msg)

    @property
    def label(self) -> str | None:
        """Frames of a video have no name of their own."""
        return None

    def advance(self) -> bool:
        """Decode the next frame; False at the end."""
        while not self._decoded:
            if not self._read_packet():
                return False
        self._frame = self._decoded.popleft()
        self._index += 1
        self.position_ns = self._position_ns()
        return True

    def rewind(self) -> None:
        """Start over."""
        self.close()
        self._turn_start_ns = self.position_ns + self.interval_ns
        self._open_file(self._turn_start_ns)

    def retrieve_into(self, image: Image) -> None:
        """Convert the current frame to BGR, in `image`."""
        if self._frame is None:
            msg = f"{self._uri}: frame {self._index} is damaged"
            raise FrameUnreadableError(msg)
        found = (self._frame.width, self._frame.height)
        if found != self.size:
            msg = (
                f"{self._uri}: frame {self._index} is {_by(found)} pixels, "
                f"expected {_by(self.size)}"
            )
            raise FrameUnreadableError(msg)
        self._writer.write(self._frame, image)

    def close(self) -> None:
        """Let go of the file."""
        self._frame = None
        self._container.close()

    def _open_file(self, turn_start_ns: int = 0) -> None:
        self._container: InputContainer
        try:
            self._container = av.open(str(self._uri.path), mode="r")
        except (FFmpegError, OSError, ValueError) as error:
            msg = f"{self._uri}: not a video that can be read ({type(error).__name__})"
            raise CameraUnavailableError(msg) from error
        if not self._container.streams.video:
            self._container.close()
            msg = f"{self._uri}: holds no video"
            raise CameraUnavailableError(msg)
        self._stream: VideoStream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._packets: Iterator[Packet[VideoStream]] = self._container.demux(self._stream)
        self._decoded: deque[VideoFrame | None] = deque()
        fps = float(self._uri.fps or self._stream.average_rate or _GUESSED_FPS)
        self.interval_ns = round(_NS_PER_S / fps)
        self._turn_start_ns = turn_start_ns
        self._first_pts_ns: int | None = None
        self._frames_this_turn = 0

    def _read_packet(self) -> bool:
        """Decode one packet, into any number of frames; False at the end."""
        try:
            packet = next(self._packets, None)
        except (FFmpegError, OSError):
            # The rest of the file cannot be read: one damaged frame says so, then it is over.
            self._packets = iter(())
            self._decoded.append(None)
            return True
        if packet is None:
            return False
        try:
            decoded = packet.decode()
        except FFmpegError:
            self._decoded.append(None)
            return True
        self._decoded.extend(None if frame.is_corrupt else frame for frame in decoded)
        return True

    def _position_ns(self) -> int:
        """From the frame's own time stamp; counted where it has none, or fps= overrides it."""
        counted_ns = self._turn_start_ns + self._frames_this_turn * self.interval_ns
        self._frames_this_turn += 1
        frame = self._frame
        if frame is None or frame.pts is None or frame.time_base is None or self._uri.fps:
            return counted_ns
        tick = frame.time_base
        pts_ns = frame.pts * tick.numerator * _NS_PER_S // tick.denominator
        if self._first_pts_ns is None:
            self._first_pts_ns = pts_ns
        return self._turn_start_ns + pts_ns - self._first_pts_ns


def _by(size: tuple[int, int] | None) -> str:
    return "any" if size is None else f"{size[0]}x{size[1]}"
