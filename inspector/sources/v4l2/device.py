"""The kernel's ioctls for a camera of this machine, and their answers.

OpenCV's own reader does not report how many bytes a frame has, that the driver marked it as
damaged, or that frames are missing before it: for half a frame it shows half of the one before
again. The libraries that do are under the GPL. Layouts are those of <linux/videodev2.h> on 64-bit
machines, the only ones that OpenCV and PyAV have wheels for.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import select
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_NS_PER_US = 1_000
_NS_PER_S = 1_000_000_000


def _request(direction: int, number: int, size_bytes: int) -> int:
    return direction << 30 | size_bytes << 16 | ord("V") << 8 | number


_WRITE, _READ, _BOTH = 1, 2, 3
_CAPABILITY_BYTES, _FORMAT_BYTES, _PARAMETERS_BYTES = 104, 208, 204
_BUFFER_BYTES, _PLANE_BYTES, _REQUEST_BYTES, _DESCRIPTION_BYTES = 88, 64, 20, 64
_QUERYCAP = _request(_READ, 0, _CAPABILITY_BYTES)
_DESCRIBE_FORMAT = _request(_BOTH, 2, _DESCRIPTION_BYTES)
_GET_FORMAT = _request(_BOTH, 4, _FORMAT_BYTES)
_SET_FORMAT = _request(_BOTH, 5, _FORMAT_BYTES)
_REQUEST_BUFFERS = _request(_BOTH, 8, _REQUEST_BYTES)
_QUERY_BUFFER = _request(_BOTH, 9, _BUFFER_BYTES)
_ENQUEUE = _request(_BOTH, 15, _BUFFER_BYTES)
_DEQUEUE = _request(_BOTH, 17, _BUFFER_BYTES)
_STREAM_ON = _request(_WRITE, 18, 4)
_STREAM_OFF = _request(_WRITE, 19, 4)
_SET_PARAMETERS = _request(_BOTH, 22, _PARAMETERS_BYTES)

_CAPTURE, _CAPTURE_PLANES = 1, 9
_CAN_CAPTURE, _CAN_CAPTURE_PLANES, _CAN_STREAM = 0x1, 0x1000, 0x04000000
_HAS_DEVICE_CAPABILITIES = 0x80000000
_MAPPED, _ANY_FIELD = 1, 0
_DAMAGED, _CLOCK_MASK, _MONOTONIC = 0x40, 0xE000, 0x2000
_BUFFERS = 4
_MOST_FORMATS = 64


class NotACameraError(Exception):
    """The file is no capture device, or streams in a way that is not supported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How the driver lays out a frame."""

    fourcc: str
    width: int
    height: int
    row_bytes: int
    """Bytes from one row of the first plane to the next; meaningless for compressed frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The driver's name of a camera, and where it is plugged in."""

    card: str
    bus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A frame as the driver delivered it; it owns the memory until it is enqueued again."""

    index: int
    content: memoryview
    """The bytes that came, as the driver reports."""
    is_damaged: bool
    """Whether the driver marked it as damaged."""
    sequence: int
    stamp_ns: int | None
    """When it was captured, on our monotonic clock; None if the driver uses another."""


class V4l2Device:
    """An open camera; one thread. Every call raises OSError as the kernel's ioctl fails.

    Raises:
        NotACameraError: it is none.
        OSError: it cannot be opened, or is in use.

    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._memory: list[mmap.mmap] = []
        self._kind = _CAPTURE
        try:
            self._kind = self._find_kind()
        except BaseException:
            self.close()
            raise

    def identity(self) -> Identity:
        """The driver's description of the camera."""
        answer = bytearray(_CAPABILITY_BYTES)
        self._call(_QUERYCAP, answer)
        card, bus = (
            bytes(answer[begin : begin + 32]).split(b"\0")[0].decode(errors="replace")
            for begin in (16, 48)
        )
        return Identity(card=card, bus=bus)

    def fourccs(self) -> tuple[str, ...]:
        """Every pixel format that the driver offers, in its order."""
        found: list[str] = []
        with contextlib.suppress(OSError):  # EINVAL ends the list
            for index in range(_MOST_FORMATS):
                asked = bytearray(_DESCRIPTION_BYTES)
                struct.pack_into("<II", asked, 0, index, self._kind)
                self._call(_DESCRIBE_FORMAT, asked)
                found.append(asked[44:48].decode("ascii", "replace"))
        return tuple(found)

    def format_now(self) -> PixelFormat:
        """The present format; changes nothing."""
        asked = bytearray(_FORMAT_BYTES)
        struct.pack_into("<I", asked, 0, self._kind)
        self._call(_GET_FORMAT, asked)
        return self._read_format(asked)

    def is_free(self) -> bool:
        """Whether no program streams from it: otherwise the driver would lend no buffers."""
        asked = bytearray(_REQUEST_BYTES)
        struct.pack_into("<III", asked, 0, 0, self._kind, _MAPPED)
        try:
            self._call(_REQUEST_BUFFERS, asked)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            raise
        return True

    def set_format(self, fourcc: str | None, size: tuple[int, int] | None) -> PixelFormat:
        """Ask for a format and a size, or keep either; returns the driver's choice."""
        asked = bytearray(_FORMAT_BYTES)
        struct.pack_into("<I", asked, 0, self._kind)
        self._call(_GET_FORMAT, asked)
        if size is not None:
            struct.pack_into("<II", asked, 8, *size)
        if fourcc is not None:
            asked[16:20] = fourcc.encode().ljust(4)[:4]
        struct.pack_into("<I", asked, 20, _ANY_FIELD)
        if self._kind == _CAPTURE:
            struct.pack_into("<I", asked, 24, 0)  # bytes per row: the driver's choice
        self._call(_SET_FORMAT, asked)
        return self._read_format(asked)

    def set_rate(self, fps: float) -> None:
        """Ask for a frame rate; the driver takes the nearest it has."""
        interval = 1 / Fraction(fps).limit_denominator(1001)
        asked = bytearray(_PARAMETERS_BYTES)
        struct.pack_into(
            "<5I", asked, 0, self._kind, 0, 0, interval.numerator, interval.denominator
        )
        self._call(_SET_PARAMETERS, asked)

    def start(self) -> None:
        """Map the driver's buffers, lend it all of them and let it stream."""
        asked = bytearray(_REQUEST_BYTES)
        struct.pack_into("<III", asked, 0, _BUFFERS, self._kind, _MAPPED)
        self._call(_REQUEST_BUFFERS, asked)
        (given,) = struct.unpack_from("<I", asked)
        for index in range(given):
            described, planes = self._describe(index)
            self._call(_QUERY_BUFFER, described)
            if self._kind == _CAPTURE:
                (offset,) = struct.unpack_from("<I", described, 64)
                (length,) = struct.unpack_from("<I", described, 72)
            else:
                (length,) = struct.unpack_from("<I", planes, 4)
                (offset,) = struct.unpack_from("<I", planes, 8)
            self._memory.append(mmap.mmap(self._fd, length, mmap.MAP_SHARED, offset=offset))
            self.enqueue(index)
        self._call(_STREAM_ON, bytearray(struct.pack("<I", self._kind)))

    def wait(self, timeout_s: float) -> bool:
        """Whether a frame, or a failure, is ready within this time."""
        return bool(select.select([self._fd], [], [], timeout_s)[0])

    def dequeue(self) -> Buffer | None:
        """The next frame; None if none is ready."""
        described, planes = self._describe(0)
        try:
            self._call(_DEQUEUE, described)
        except BlockingIOError:
            return None
        index, _, used_bytes, flags = struct.unpack_from("<4I", described)
        seconds, microseconds = struct.unpack_from("<qq", described, 24)
        (sequence,) = struct.unpack_from("<I", described, 56)
        begin = 0
        if self._kind == _CAPTURE_PLANES:
            (used_bytes,) = struct.unpack_from("<I", planes)
            (begin,) = struct.unpack_from("<I", planes, 16)
        is_ours = flags & _CLOCK_MASK == _MONOTONIC
        return Buffer(
            index=index,
            content=memoryview(self._memory[index])[begin:used_bytes],
            is_damaged=bool(flags & _DAMAGED),
            sequence=sequence,
            stamp_ns=seconds * _NS_PER_S + microseconds * _NS_PER_US if is_ours else None,
        )

    def enqueue(self, index: int) -> None:
        """Give the buffer back to the driver."""
        described, _ = self._describe(index)
        self._call(_ENQUEUE, described)

    def close(self) -> None:
        """Stop streaming and give everything back; never raises."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        with contextlib.suppress(OSError):  # it is gone, or was never started
            fcntl.ioctl(fd, _STREAM_OFF, bytearray(struct.pack("<I", self._kind)))
        for memory in self._memory:
            # A frame of it may still be in use: then the memory goes with the last view.
            with contextlib.suppress(BufferError):
                memory.close()
        self._memory.clear()
        os.close(fd)

    def _read_format(self, asked: bytearray) -> PixelFormat:
        width, height = struct.unpack_from("<II", asked, 8)
        if self._kind == _CAPTURE_PLANES and asked[188] != 1:
            msg = f"a frame in {asked[188]} pieces of memory: expected one"
            raise NotACameraError(msg)
        (row_bytes,) = struct.unpack_from("<I", asked, 24 if self._kind == _CAPTURE else 32)
        found = asked[16:20].decode("ascii", "replace")
        return PixelFormat(fourcc=found, width=width, height=height, row_bytes=row_bytes)

    def _find_kind(self) -> int:
        answer = bytearray(_CAPABILITY_BYTES)
        try:
            self._call(_QUERYCAP, answer)
        except OSError as error:
            if error.errno in {errno.ENOTTY, errno.EINVAL}:
                raise NotACameraError("no camera") from error
            raise
        capabilities, of_device = struct.unpack_from("<II", answer, 84)
        if capabilities & _HAS_DEVICE_CAPABILITIES:
            capabilities = of_device
        if not capabilities & _CAN_STREAM:
            raise NotACameraError("no camera that streams")
        if capabilities & _CAN_CAPTURE:
            return _CAPTURE
        if capabilities & _CAN_CAPTURE_PLANES:
            return _CAPTURE_PLANES
        raise NotACameraError("no camera (it captures no video)")

    def _describe(self, index: int) -> tuple[bytearray, bytearray]:
        """A `struct v4l2_buffer`, and the plane it points to if the driver uses planes."""
        described, planes = bytearray(_BUFFER_BYTES), bytearray(_PLANE_BYTES)
        struct.pack_into("<II", described, 0, index, self._kind)
        struct.pack_into("<I", described, 60, _MAPPED)
        if self._kind == _CAPTURE_PLANES:
            address = ctypes.addressof(ctypes.c_char.from_buffer(planes))
            struct.pack_into("<QI", described, 64, address, 1)
        return described, planes

    def _call(self, request: int, argument: bytearray) -> None:
        fcntl.ioctl(self._fd, request, argument, True)
