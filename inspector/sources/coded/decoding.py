"""Decodes a stream's packets into trusted pictures, for cameras and recordings alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from av import Packet, VideoFrame
from av.error import FFmpegError
from av.video.stream import VideoStream

from inspector.core.errors import FrameUnreadableError
from inspector.sources.coded.continuity import Continuity, Outcome
from inspector.sources.jpeg import check_jpeg

_NS_PER_S = 1_000_000_000


class PictureDecoder:
    """Decodes one stream, from its first packet on; one thread.

    A damaged or missing picture becomes an outcome without a frame, in the order of showing.
    """

    def __init__(
        self, stream: VideoStream, *, captured_ns: Callable[[int | None, int], int]
    ) -> None:
        """`captured_ns` maps a time stamp and an arrival to the time of capture, in order."""
        context = stream.codec_context
        context.copy_opaque = True  # a ticket goes through the decoder with each packet
        self._holds_jpegs = context.name == "mjpeg"
        self._continuity: Continuity[VideoFrame] = Continuity(
            context.name, context.extradata, captured_ns=captured_ns
        )

    def decode(
        self, packet: Packet[VideoStream], *, arrival_ns: int, lost: str = ""
    ) -> Iterator[Outcome[VideoFrame]]:
        """Decode a packet into any number of pictures. An empty packet marks the end.

        `lost` names what never arrived before it.
        """
        pts_ns = stamp_ns(packet)
        if packet.size and not packet.is_discard:
            packet.opaque = self._continuity.sent(
                bytes(packet),
                is_key=packet.is_keyframe,
                pts_ns=pts_ns,
                arrival_ns=arrival_ns,
                doubt=lost or ("a packet is marked as damaged" if packet.is_corrupt else ""),
            )
        yield from self._outcomes(packet, pts_ns, arrival_ns)
        if packet.size == 0:
            yield from self._continuity.ended()

    def broken_off(self) -> Iterator[Outcome[VideoFrame]]:
        """Nothing more can be read: one damaged picture says so."""
        yield from self._continuity.ended()
        yield from self._continuity.refused(pts_ns=None, arrival_ns=0)

    def _outcomes(
        self, packet: Packet[VideoStream], pts_ns: int | None, arrival_ns: int
    ) -> Iterator[Outcome[VideoFrame]]:
        try:
            if self._holds_jpegs and packet.size:
                check_jpeg(bytes(packet))
            frames = packet.decode()
        except FFmpegError:
            return self._continuity.refused(pts_ns=pts_ns, arrival_ns=arrival_ns)
        except FrameUnreadableError as damage:
            return self._continuity.refused(pts_ns=pts_ns, arrival_ns=arrival_ns, cause=str(damage))
        return self._continuity.decoded(frames, stamp_ns=stamp_ns, arrival_ns=arrival_ns)


def stamp_ns(stamped: Packet[VideoStream] | VideoFrame) -> int | None:
    """Its presentation time stamp; None if it has none."""
    if stamped.pts is None or stamped.time_base is None:
        return None
    return stamped.pts * stamped.time_base.numerator * _NS_PER_S // stamped.time_base.denominator
