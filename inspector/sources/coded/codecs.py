"""Which reader understands a codec's pictures: pure."""

from __future__ import annotations

from inspector.sources.coded.h264 import H264Pictures
from inspector.sources.coded.h265 import H265Pictures
from inspector.sources.coded.picture_order import Coded, PictureReader, Start

_VOP = b"\x00\x00\x01\xb6"
_INTRA, _PREDICTED, _FROM_BOTH_SIDES = 0, 1, 2
_RANKS = 1000
"""More than the number of bidirectional pictures in a row."""
_STILLS = frozenset({"mjpeg", "png", "jpeg2000", "rawvideo", "ffv1", "huffyuv", "prores", "dnxhd"})
_UNNUMBERED = frozenset({"mpeg1video", "mpeg2video", "h263", "flv1"})


def reader_of(codec: str, extradata: bytes | None) -> PictureReader:
    """Return the reader for a codec, by FFmpeg's name for it."""
    if codec == "h264":
        return H264Pictures(extradata)
    if codec == "hevc":
        return H265Pictures(extradata)
    if codec == "mpeg4":
        return Mpeg4Pictures()
    if codec in _STILLS:
        return Stills()
    return KeyFrames(is_numbered=codec not in _UNNUMBERED)


class Mpeg4Pictures:
    """A `PictureReader` for MPEG-4 part 2: which pictures depend on no other (6.3.5)."""

    def __init__(self) -> None:
        self._follows_key = False
        self._rank = 0

    def read(self, packet: bytes, *, is_key: bool) -> Coded | None:
        """Describe the packet's picture."""
        position = packet.find(_VOP)
        is_whole = 0 <= position < len(packet) - 4
        kind = packet[position + 4] >> 6 if is_whole else _INTRA if is_key else _PREDICTED
        if kind == _FROM_BOTH_SIDES:
            # Shown before the picture that it follows in the stream.
            self._rank += 1
            return Coded(rank=self._rank - _RANKS, leading=self._follows_key)
        self._rank += _RANKS - self._rank % _RANKS
        self._follows_key = is_key = kind == _INTRA
        start = Start.CLEAN if is_key else Start.NO
        return Coded(rank=self._rank, start=start, alone=is_key)


class Stills:
    """A `PictureReader` for codecs whose pictures depend on no others."""

    def read(self, packet: bytes, *, is_key: bool) -> Coded | None:  # noqa: ARG002
        """Each packet is a picture."""
        return Coded(start=Start.CLEAN, alone=True, is_sealed=True) if packet else None


class KeyFrames:
    """A `PictureReader` for the rest: the container says where decoding can begin."""

    def __init__(self, *, is_numbered: bool) -> None:
        """`is_numbered`: a gap in the time stamps is no loss, because the rate may vary."""
        self._is_numbered = is_numbered

    def read(self, packet: bytes, *, is_key: bool) -> Coded | None:
        """Each packet is a picture."""
        if not packet:
            return None
        start = Start.CLEAN if is_key else Start.NO
        return Coded(start=start, alone=is_key, is_numbered=self._is_numbered)
