"""Counts the pictures of a recording that are missing because its file broke off.

A demuxer gives what is there and then reports the end, as for an intact file. The expected length
is elsewhere: in the index of an MP4, in the lengths at the beginning of an AVI or Matroska file. A
transport stream has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer
from av.video.stream import VideoStream

_HEAD_BYTES = 256
_RIFF, _EBML, _SEGMENT = b"RIFF", b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ISO = b"ftyp"
_RIFF_HEADER_BYTES, _LONG_HEADER_BYTES = 8, 16
_US_PER_S = 1_000_000


def missing_pictures(
    path: Path, container: InputContainer, stream: VideoStream, *, had: int, had_until_s: float
) -> int:
    """How many expected pictures are missing; called at the end of what can be read.

    `had` pictures came, the last one ends at `had_until_s` of the recording. If a file certainly
    broke off and the number is unknown, it is one.
    """
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            promised_bytes = _promised_bytes(file, size_bytes)
    except OSError:
        return 1
    index = stream.index_entries
    if any(entry.pos + entry.size > size_bytes for entry in index):
        return max(1, sum(not entry.is_discard for entry in index) - had)
    if promised_bytes <= size_bytes:
        return 0
    # AVI: the number in the header; else by its length.
    rate = float(stream.average_rate or 0)
    missing_s = float(container.duration or 0) / _US_PER_S - had_until_s
    return max(1, stream.frames - had, round(missing_s * rate))


def _promised_bytes(file: BinaryIO, size_bytes: int) -> int:
    """The length in the file itself; 0 if there is none."""
    head = file.read(_HEAD_BYTES)
    if head.startswith(_RIFF):
        return int.from_bytes(head[4:_RIFF_HEADER_BYTES], "little") + _RIFF_HEADER_BYTES
    if head[4:8] == _ISO:
        return _end_of_boxes(file, size_bytes)
    at = head.find(_SEGMENT)
    if not head.startswith(_EBML) or at < 0:
        return 0
    at += len(_SEGMENT)
    # EBML (RFC 8794): the leading zeros of the first byte say how long the number is; one of all
    # ones is unknown, as in a live recording.
    digits = 9 - head[at].bit_length()
    mask = (1 << 7 * digits) - 1
    length = int.from_bytes(head[at : at + digits], "big") & mask
    return 0 if length == mask else at + digits + length


def _end_of_boxes(file: BinaryIO, size_bytes: int) -> int:
    """Where the last box of an MP4 ends (ISO/IEC 14496-12); each begins with its length."""
    at = 0
    while at < size_bytes:
        file.seek(at)
        head = file.read(_LONG_HEADER_BYTES)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        # Up to the end of the file; or no box, but data written behind the last one.
        if length == 0 or not head[4:8].isalnum():
            return size_bytes
        at += max(length, _RIFF_HEADER_BYTES)
    return at
