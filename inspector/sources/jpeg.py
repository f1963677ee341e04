"""Decodes JPEG: a whole picture, or none.

OpenCV, Pillow and FFmpeg in their usual settings fill missing parts with grey and report success.
libjpeg-turbo notices and warns; here each of its warnings is an error. It then accepts only data
that holds exactly the blocks that the header promises, with the restart markers in order. What it
cannot detect is checked before: that a progressive picture has all its scans.

Not noticed, because the format has no checksum: a change after which the data still decodes to the
right number of blocks. `docs/cameras.md` says how often that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg

from inspector.core.errors import FrameUnreadableError
from inspector.core.records import Image

Encoded = bytes | bytearray | memoryview

_LARGEST_PX = 1 << 28
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP1 = 0xE0, 0xE1
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})  # tables and an extension among the frame headers
_FRAMES = frozenset(range(0xC0, 0xD0)) - _NOT_FRAMES
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_COEFFICIENTS = 64
_WHOLE_BLOCK = bytes((0, _COEFFICIENTS - 1, 0))
_CMYK = 4
_LEAST_FRAME_BYTES = 6
# In a scan: a marker that is neither a stuffed FF nor a restart marker ends it.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# A last byte is filled up with ones: zeros before a marker, or at the end, are padding.
_ZEROS = re.compile(rb"(?<!\xff)\x00+(?=\xff[\xd0-\xd9]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHeader:
    """The content of a picture's markers."""

    size: tuple[int, int]
    """Width and height in pixels, as stored."""
    components: int
    is_sequential: bool
    has_exif: bool
    """Whether it may hold an orientation."""
    has_avi1: bool
    """Motion JPEG as in AVI: a second picture may hold the other lines."""
    jfif_at: int | None
    """Offset of the JFIF version."""
    scans: tuple[tuple[int, int], ...]
    """Begin and end of each scan's data; what precedes the begin are the scan's parameters."""
    end: int | None
    """The offset behind the end marker; None if there is none."""


def decode_jpeg(encoded: Encoded, image: Image | None = None) -> Image:
    """The picture as BGR, in `image` where there is one; the same pixels as OpenCV's.

    An orientation in Exif is applied, as OpenCV does.

    Raises:
        FrameUnreadableError: something is missing or damaged, or it is of another size than
            `image`; one sentence without the picture's name. `image` may then hold anything.

    """
    content = bytes(encoded)
    header = read_header(content)
    _require_room(header)
    if header.has_exif or header.components == _CMYK:
        _decode_strictly(content, header, None)
        return _decode_as_opencv(content, image)
    if image is not None and image.shape != (header.size[1], header.size[0], 3):
        raise FrameUnreadableError(_sizes(header.size, image))
    return _decode_strictly(content, header, image, colours="BGR")


def check_jpeg(encoded: Encoded) -> None:
    """Raise unless the picture is whole; costs about two thirds of decoding it.

    Of Motion JPEG with two fields in a frame, both are checked.

    Raises:
        FrameUnreadableError: something is missing or damaged.

    """
    content = bytes(encoded)
    header = read_header(content)
    _require_room(header)
    _decode_strictly(content, header, None)
    if header.has_avi1 and header.end is not None:
        second = content[header.end :].lstrip(b"\x00\xff")
        if second[:1] == bytes((_SOI,)):
            check_jpeg(b"\xff" + second)


def read_header(content: bytes) -> JpegHeader:
    """Walk over the markers: pure.

    Raises:
        FrameUnreadableError: they are not those of a whole picture.

    """
    if content[:2] != bytes((0xFF, _SOI)):
        raise FrameUnreadableError("not a JPEG")
    walk = _Walk(content)
    for marker, begin, end in walk:
        walk.take(marker, begin, end)
    return walk.header()


class _Walk:
    """The segments of a picture, and what they say."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._size: tuple[int, int] | None = None
        self._is_sequential = True
        self._precision: dict[int, list[int | None]] = {}
        self._scans: list[tuple[int, int]] = []
        self._end: int | None = None
        self._has_exif = self._has_avi1 = False
        self._jfif_at: int | None = None

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Marker, begin and end of each segment's content, up to the end marker."""
        content, at = self._content, 2
        while at < len(content):
            while content[at : at + 2] == b"\xff\xff":  # fill bytes
                at += 1
            marker = content[at + 1 : at + 2]
            if content[at] != 0xFF or not marker:  # noqa: PLR2004 (begins every marker)
                if self._scans:
                    return
                raise FrameUnreadableError("the JPEG is damaged (no marker where one must be)")
            if marker[0] == _EOI:
                self._end = at + 2
                return
            begin, end = at + 4, at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
            if end > len(content) or end < begin:
                raise FrameUnreadableError("the JPEG is cut off (within its header)")
            yield marker[0], begin, end
            at = end
            if marker[0] == _SOS:
                found = _SCAN_END.search(content, end)
                at = found.start() if found else len(content)
                self._scans.append((end, at))

    def take(self, marker: int, begin: int, end: int) -> None:
        """Read one segment."""
        segment = self._content[begin:end]
        if marker in _FRAMES:
            self._take_frame(marker, segment)
        elif marker == _SOS:
            self._take_scan(segment)
        elif marker == _APP1 and segment.startswith(b"Exif"):
            self._has_exif = True
        elif marker == _APP0 and segment.startswith(b"JFIF\x00"):
            self._jfif_at = begin + 5
        elif marker == _APP0 and segment.startswith(b"AVI1"):
            self._has_avi1 = True

    def header(self) -> JpegHeader:
        """The layout that was read, if it is that of a picture."""
        if self._size is None or not self._scans:
            raise FrameUnreadableError("the JPEG is cut off (it ends before its picture)")
        if any(step != 0 for steps in self._precision.values() for step in steps):
            raise FrameUnreadableError("the JPEG is not whole (scans are missing)")
        return JpegHeader(
            size=self._size,
            components=len(self._precision),
            is_sequential=self._is_sequential,
            has_exif=self._has_exif,
            has_avi1=self._has_avi1,
            jfif_at=self._jfif_at,
            scans=tuple(self._scans),
            end=self._end,
        )

    def _take_frame(self, marker: int, segment: bytes) -> None:
        if len(segment) < _LEAST_FRAME_BYTES + 3 * segment[5:6][0]:
            raise FrameUnreadableError("the JPEG is damaged (its frame header is too short)")
        self._is_sequential = marker in _SEQUENTIAL
        self._size = (int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[1:3], "big"))
        for number in range(segment[5]):
            self._precision[segment[_LEAST_FRAME_BYTES + 3 * number]] = [None] * _COEFFICIENTS

    def _take_scan(self, segment: bytes) -> None:
        """Note how exactly each coefficient is known after this scan (ITU-T T.81, G.1.1)."""
        names = segment[1 : 1 + 2 * segment[0] : 2] if segment else b""
        parameters = _WHOLE_BLOCK if self._is_sequential else segment[-3:]
        if len(segment) != 4 + 2 * len(names) or not names or parameters[1] >= _COEFFICIENTS:
            raise FrameUnreadableError("the JPEG is damaged (a scan's header)")
        for name in names:
            if name not in self._precision:
                raise FrameUnreadableError("the JPEG is damaged (a scan of no component)")
            for index in range(parameters[0], parameters[1] + 1):
                self._precision[name][index] = parameters[2] & 0x0F


def _decode_strictly(
    content: bytes, header: JpegHeader, image: Image | None, *, colours: str | None = None
) -> Image:
    """Decode; a warning is an error, unless nothing is lost.

    Without `colours` only an eighth of the size is decoded, but every block is read.
    """
    smallest = colours is None
    colours = colours or ("CMYK" if header.components == _CMYK else "GRAY")
    failure = ""
    attempts: tuple[Callable[[], bytes], ...] = (
        lambda: content,
        lambda: _without_oddities(content, header),
    )
    for made in attempts:
        try:
            drawn: Image = simplejpeg.decode_jpeg(
                made(),
                colorspace=colours,
                min_factor=8 if smallest else 1,
                buffer=image,
            )
        except ValueError as error:
            failure = failure or str(error)
        else:
            return drawn if image is None else image
    raise FrameUnreadableError(f"the JPEG is damaged ({failure})")


def _without_oddities(content: bytes, header: JpegHeader) -> bytes:
    """The same picture without parts of which libjpeg warns although nothing is lost.

    Cameras send each of these: padding before a marker, no end marker, scan parameters that a
    sequential picture does not use, a version of JFIF that does not exist.
    """
    start = 0
    parts: list[bytes] = []
    if header.jfif_at is not None:
        parts += [content[: header.jfif_at], b"\x01"]
        start = header.jfif_at + 1
    for begin, end in header.scans:
        parts.append(content[start : begin - 3])
        parts.append(_WHOLE_BLOCK if header.is_sequential else content[begin - 3 : begin])
        # With the marker that follows, which tells padding from data.
        data = content[begin : end + 2]
        behind = len(data) - (end - begin)
        parts.append(_ZEROS.sub(b"", data)[: -behind or None])
        start = end
    parts.append(content[start : header.end] if header.end else bytes((0xFF, _EOI)))
    return b"".join(parts)


def _decode_as_opencv(content: bytes, image: Image | None) -> Image:
    import cv2  # noqa: PLC0415 - few pictures need it

    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise FrameUnreadableError("the JPEG is damaged, or of a kind that is not read")
    drawn: Image = decoded.astype(np.uint8, copy=False)
    if image is None:
        return drawn
    height, width = drawn.shape[:2]
    if image.shape != drawn.shape:
        raise FrameUnreadableError(_sizes((width, height), image))
    np.copyto(image, drawn)
    return image


def _require_room(header: JpegHeader) -> None:
    width, height = header.size
    if not 0 < width * height <= _LARGEST_PX:
        raise FrameUnreadableError(f"the JPEG says that it is {width}x{height} pixels")


def _sizes(found: tuple[int, int], image: Image) -> str:
    return (
        f"the picture is {found[0]}x{found[1]} pixels, expected {image.shape[1]}x{image.shape[0]}"
    )
