"""Network cameras over RTSP, by PyAV (FFmpeg)."""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import structlog
from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError, HTTPUnauthorizedError
from av.video.stream import VideoStream

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError, LoginRefusedError
from inspector.core.records import Grabbed, Image
from inspector.sources.coded.continuity import Outcome
from inspector.sources.coded.decoding import PictureDecoder, stamp_ns
from inspector.sources.coded.key_frames import FAR_S, KeyFrameDistance
from inspector.sources.pixels import PixelWriter
from inspector.sources.rtsp.clock import SenderClock
from inspector.sources.rtsp.errors import explain, explain_answer, is_an_answer
from inspector.sources.rtsp.losses import RtpLosses
from inspector.sources.rtsp.probe import first_refusal
from inspector.sources.rtsp.uri import RtspUri
from inspector.sources.stream_clock import StreamClock

log = structlog.get_logger("capture")

_NS_PER_S = 1_000_000_000
_KEY_FRAMES = (
    f"set the camera's key frame interval (GOP, I frame) to one second: more than {FAR_S:g} s "
    "without one, and for so long nothing is inspected after a picture that was lost"
)

_OPTIONS = {
    "rtsp_transport": "tcp",  # over UDP lost packets become silently wrong pixels
    "flags": "low_delay",
    # From two on, FFmpeg looks at the sequence numbers of RTP packets, over TCP too: cameras and
    # proxies whose send buffer is full leave packets out. A packet that comes late waits for it.
    "reorder_queue_size": "2",
    # Sound would move the pictures' time stamps to its own whenever the camera's clock is set.
    "allowed_media_types": "video",
    # Look at one packet, not at 0.4 s of them: the first picture comes at once. Not `nobuffer`,
    # which throws that packet away: it is the key frame, the next may be seconds off.
    "analyzeduration": "0",
    "probesize": "2048",
}
_UNREADABLE_LIMIT, _UNREADABLE_LIMIT_S = 10, 2.0
"""A new connection brings a key frame sooner than a camera that sends few of them."""
_PROBE_S = 2.0
_SETTLING_LIMIT_S = 2.0
_PRODUCER_TIME = struct.Struct("<qi")  # FFmpeg's AVProducerReferenceTime: unix µs, flags


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """What one step of the stream gave; without a frame it is unreadable."""

    grabbed: Grabbed
    frame: VideoFrame | None
    cause: str
    """Why there is no frame."""
    came: bool
    """False: the camera owed it, and nothing of it arrived."""
    pts_ns: int | None
    waited_ns: int
    """How long the camera let us wait for its packet: next to nothing within a backlog."""


class RtspSource:
    """A network camera as a `FrameSource`; one thread.

    A silent camera is noticed after one to two `read_timeout_s`: FFmpeg delivers the access unit
    it held back at the first timeout (the frame carries its true age) and fails at the second. A
    blocked `open` or `grab` cannot be interrupted; it ends with its timeout. TLS certificates are
    verified only where `tls_ca` says by which authority: cameras mostly sign their own.
    """

    def __init__(
        self,
        uri: RtspUri,
        *,
        size: tuple[int, int] | None,
        connect_timeout_s: float,
        read_timeout_s: float,
        stop: threading.Event,
        tls_ca: Path | None = None,
    ) -> None:
        self._uri = uri
        self._expected_size = size
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._stop = stop
        self._tls_ca = tls_ca
        self._writer = PixelWriter()
        self._key_frames = KeyFrameDistance()
        self._connection: _Connection | None = None
        self._held: _Picture | None = None
        self._current: _Picture | None = None
        self._unreadable_in_a_row = 0
        self._readable_ns = 0
        self._given_up = ""
        self.size = size
        """Width and height in pixels; None before `open` where none was asked for."""

    def open(self) -> None:
        """Connect, and wait until pictures arrive as they are taken."""
        self.close()
        deadline_ns = time.monotonic_ns() + round(self._connect_timeout_s * _NS_PER_S)
        try:
            self._connection = _Connection(
                self._connect(), self._uri, self._read_timeout_s, self._key_frames
            )
            self._held = self._settled(self._connection, deadline_ns)
        except CameraUnavailableError:
            self.close()
            raise

    def grab(self) -> Grabbed:
        """Wait for the next picture and decode it."""
        if self._connection is None:
            msg = f"{self._uri}: not open"
            raise CameraUnavailableError(msg)
        if self._given_up:
            raise CameraUnavailableError(self._given_up)
        picture, self._held = self._held, None
        if picture is None:
            # Packets without a single picture do not trip the read timeout.
            deadline_ns = time.monotonic_ns() + round(2 * self._read_timeout_s * _NS_PER_S)
            picture = self._next_picture(self._connection, deadline_ns)
        self._count_unreadable(picture)
        self._current = picture
        return picture.grabbed

    def retrieve_into(self, image: Image) -> None:
        """Convert the grabbed picture to BGR, in `image`."""
        if self._current is None or self._current.frame is None:
            cause = self._current.cause if self._current else "no picture was grabbed"
            msg = f"{self._uri}: {cause}"
            raise FrameUnreadableError(msg)
        self._writer.write(self._current.frame, image)

    def close(self) -> None:
        """Disconnect; waits for the camera's goodbye no longer than the read timeout."""
        connection, self._connection = self._connection, None
        self._held = self._current = None
        self._unreadable_in_a_row = 0
        self._given_up = ""
        self.size = self._expected_size
        if connection is not None:
            connection.close()

    def _connect(self) -> InputContainer:
        options = dict(_OPTIONS)
        if self._uri.scheme == "rtsps" and self._tls_ca is not None:
            options |= {"tls_verify": "1", "ca_file": str(self._tls_ca)}
        timeouts_s = (self._connect_timeout_s, self._read_timeout_s)
        failure = f"{self._uri}: no answer within {self._connect_timeout_s:g} s"
        deadline_s = time.monotonic() + 0.95 * self._connect_timeout_s
        refused = False
        try:
            return av.open(self._uri.url(), mode="r", options=options, timeout=timeouts_s)
        except (FFmpegError, OSError, ValueError) as error:
            # A connection that opened and stayed silent ends as "invalid data".
            if time.monotonic() < deadline_s:
                refused = isinstance(error, HTTPUnauthorizedError)
                failure = self._explain(error)
        # Raised out here, so that no exception keeps FFmpeg's, whose text holds the password.
        raise LoginRefusedError(failure) if refused else CameraUnavailableError(failure)

    def _explain(self, error: Exception) -> str:
        """What went wrong, if need be in the camera's own words."""
        answer = None
        if is_an_answer(error) and not self._stop.is_set():
            log_in = not isinstance(error, HTTPUnauthorizedError)
            answer = first_refusal(self._uri, timeout_s=_PROBE_S, log_in=log_in)
        if answer is not None:
            return explain_answer(answer, self._uri)
        return explain(error, self._uri, timeout_s=self._connect_timeout_s)

    def _settled(self, connection: _Connection, deadline_ns: int) -> _Picture:
        """The first whole picture that the camera let us wait for: its backlog is gone.

        What precedes the first key frame cannot be decoded and is passed over.
        """
        previous = self._next_picture(connection, deadline_ns)
        while previous.frame is None:
            previous = self._next_picture(connection, deadline_ns)
        settled_ns = time.monotonic_ns() + round(_SETTLING_LIMIT_S * _NS_PER_S)
        while time.monotonic_ns() < min(deadline_ns, settled_ns):
            picture = self._next_picture(connection, deadline_ns)
            # FFmpeg gives the first packet of a connection no time stamp.
            if picture.pts_ns is not None and previous.pts_ns is not None:
                step_ns = picture.pts_ns - previous.pts_ns
                if 2 * picture.waited_ns >= step_ns:
                    return picture
            elif picture.pts_ns is None and previous.pts_ns is None:
                return picture
            previous = picture
        return previous

    def _next_picture(self, connection: _Connection, deadline_ns: int) -> _Picture:
        while not connection.decoded:
            if time.monotonic_ns() > deadline_ns:
                msg = (
                    f"{self._uri}: the camera sends, but no picture came: no key frame yet? Set "
                    "its key frame interval to one second, or connect_timeout_s above it"
                )
                raise CameraUnavailableError(msg)
            if self._stop.is_set():
                msg = f"{self._uri}: stopped while waiting for a picture"
                raise CameraUnavailableError(msg)
            connection.read_packet()
        picture = connection.decoded.popleft()
        if picture.frame is not None:
            self._check_size(picture.frame)
        return picture

    def _check_size(self, frame: VideoFrame) -> None:
        found = (frame.width, frame.height)
        if self.size is None:
            self.size = found
        if found != self.size:
            msg = (
                f"{self._uri}: the camera delivers {found[0]}x{found[1]} pixels, "
                f"expected {self.size[0]}x{self.size[1]}"
            )
            raise CameraUnavailableError(msg)

    def _count_unreadable(self, picture: _Picture) -> None:
        if picture.frame is not None:
            self._unreadable_in_a_row = 0
            self._readable_ns = picture.grabbed.captured_mono_ns
            return
        if not picture.came:
            return
        self._unreadable_in_a_row += 1
        lasts_ns = picture.grabbed.captured_mono_ns - self._readable_ns
        is_long = lasts_ns >= _UNREADABLE_LIMIT_S * _NS_PER_S
        if self._unreadable_in_a_row >= _UNREADABLE_LIMIT and is_long:
            # This one is still owed a unit; the next call says so.
            many = self._unreadable_in_a_row
            self._given_up = f"{self._uri}: {many} damaged pictures in a row ({picture.cause})"


class _Connection:
    """One connection: its packets, its decoder, its clocks."""

    def __init__(
        self,
        container: InputContainer,
        uri: RtspUri,
        read_timeout_s: float,
        key_frames: KeyFrameDistance,
    ) -> None:
        self._key_frames = key_frames
        key_frames.connected()
        self._container = container
        self._uri = uri
        self._read_timeout_s = read_timeout_s
        self._clock = StreamClock()
        self._sender = SenderClock()
        self._losses = RtpLosses()
        self.decoded: deque[_Picture] = deque()
        """Decoded and not taken yet; a packet gives one picture, seldom none or two."""
        if not container.streams.video:
            self.close()
            msg = f"{uri}: the camera's stream holds no video"
            raise CameraUnavailableError(msg)
        stream = container.streams.video[0]
        # Frame threads would hold one frame back per thread: 16 threads, half a second.
        stream.thread_type = "SLICE"
        self._decoder = PictureDecoder(stream, captured_ns=self._clock.captured_mono_ns)
        self._packets: Iterator[Packet[VideoStream]] = container.demux(stream)

    def read_packet(self) -> None:
        """Wait for a packet and decode it into any number of pictures."""
        asked_ns = time.monotonic_ns()
        packet, failure = None, f"{self._uri}: the camera ended the stream"
        try:
            with self._losses:
                packet = next(self._packets, None)
        except (FFmpegError, OSError) as error:
            failure = explain(error, self._uri, timeout_s=2 * self._read_timeout_s)
        if packet is None or packet.size == 0:  # an empty packet marks the end
            raise CameraUnavailableError(failure)
        arrival_ns = time.monotonic_ns()
        pts_ns = stamp_ns(packet)
        self._clock.arrived(pts_ns, arrival_ns, waited_ns=arrival_ns - asked_ns)
        for news in self._clock.take_news():
            log.warning("the camera's clock is wrong", source=str(self._uri), note=news)
        if pts_ns is not None and packet.has_sidedata("prft"):
            unix_us, _ = _PRODUCER_TIME.unpack_from(bytes(packet.get_sidedata("prft")))
            self._sender.reported(pts_ns, unix_us * 1000)
        self._decode(packet, arrival_ns, waited_ns=arrival_ns - asked_ns)

    def close(self) -> None:
        """Say goodbye; the camera may be gone."""
        with contextlib.suppress(FFmpegError, OSError):
            self._container.close()

    def _decode(self, packet: Packet[VideoStream], arrival_ns: int, *, waited_ns: int) -> None:
        if self._key_frames.is_far(is_key=packet.is_keyframe, pts_ns=stamp_ns(packet)):
            log.warning("key frames are far apart", source=str(self._uri), advice=_KEY_FRAMES)
        lost = self._losses.take()
        for outcome in self._decoder.decode(packet, arrival_ns=arrival_ns, lost=lost):
            picture = _Picture(
                grabbed=self._times(outcome),
                frame=outcome.frame,
                cause=outcome.cause,
                came=outcome.came,
                pts_ns=outcome.pts_ns,
                waited_ns=waited_ns,
            )
            self.decoded.append(picture)

    def _times(self, outcome: Outcome[VideoFrame]) -> Grabbed:
        captured_ns = outcome.captured_ns
        ours_ns = time.time_ns() - (time.monotonic_ns() - captured_ns)
        unix_ns = self._sender.captured_unix_ns(outcome.pts_ns, ours_unix_ns=ours_ns)
        return Grabbed(
            captured_mono_ns=captured_ns,
            captured_unix_ns=unix_ns,
            stamp_ns=outcome.pts_ns,
            clock_trouble=self._clock.trouble,
        )
