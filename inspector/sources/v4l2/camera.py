"""Cameras of this machine (USB, capture cards) over Video4Linux2."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.core.records import Grabbed, Image
from inspector.sources.unreadable import UnreadableFrames, require_whole_frame
from inspector.sources.v4l2.clock import DriverClock
from inspector.sources.v4l2.device import Buffer, NotACameraError, PixelFormat, V4l2Device
from inspector.sources.v4l2.gaps import SequenceGaps
from inspector.sources.v4l2.pixels import PREFERRED, write_frame
from inspector.sources.v4l2.uri import V4l2Uri

_NS_PER_S = 1_000_000_000
_POLL_S = 0.1
_DEFAULT_FPS = 30.0
"""As OpenCV asks for; left to themselves, some drivers take five."""
_FAILURES_LIMIT = 10
_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.EBADF})


class V4l2Source:
    """A camera of this machine as a `FrameSource`; one thread.

    Frames that the driver numbered and did not deliver come as unreadable ones: they were due.
    What is not whole is never shown, nor is anything of the frame before it: a frame is written
    from its own bytes alone, after they were counted.
    """

    def __init__(
        self,
        uri: V4l2Uri,
        *,
        size: tuple[int, int] | None,
        read_timeout_s: float,
        stop: threading.Event,
    ) -> None:
        self._uri = uri
        self._expected_size = size
        self._size = size
        self._timeout_s = read_timeout_s
        self._stop = stop
        self._device: V4l2Device | None = None
        self._layout: PixelFormat | None = None
        self._current: Buffer | None = None
        self._next: Buffer | None = None
        """Fetched already; frames that are missing before it come first."""
        self._missing: list[int] = []
        self._gaps = SequenceGaps()
        self._clock = DriverClock()
        self._unreadable = UnreadableFrames(str(uri))
        self._newest_ns = 0

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None before `open` where none was asked for."""
        return self._size

    def open(self) -> None:
        """Configure the camera and wait for its first whole frame, which is the proof."""
        self.close()
        self._check_device()
        try:
            self._device = self._opened()
            require_whole_frame(self, self._size)
        except CameraUnavailableError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise CameraUnavailableError(self._refusal(error)) from error

    def grab(self) -> Grabbed:
        """Wait for the next frame; the driver's own time stamp says when it was captured."""
        self._give_back()
        asked_ns = time.monotonic_ns()
        if self._next is None:
            self._fetch()
        now_ns = time.monotonic_ns()
        if self._missing:
            due_ns = self._clock.due_mono_ns(self._missing.pop(0), now_ns)
            return _times(self._in_order(due_ns))
        self._current, self._next = self._next, None
        stamp_ns = None if self._current is None else self._current.stamp_ns
        captured_ns = self._clock.captured_mono_ns(stamp_ns, now_ns, waited_ns=now_ns - asked_ns)
        return _times(self._in_order(captured_ns), clock_trouble=self._clock.trouble)

    def retrieve_into(self, image: Image) -> None:
        """Write the grabbed frame into `image`."""
        if self._device is None or self._layout is None:
            msg = f"{self._uri}: not open"
            raise FrameUnreadableError(msg)
        try:
            with self._unreadable.counted():
                self._write(image)
        finally:
            self._give_back()

    def close(self) -> None:
        """Give the device back."""
        device, self._device = self._device, None
        self._current = self._next = None
        self._missing = []
        self._gaps = SequenceGaps()
        self._clock = DriverClock()
        self._unreadable.reset()
        self._size = self._expected_size
        if device is not None:
            device.close()

    def _in_order(self, captured_ns: int) -> int:
        """Later than the frame before: a missing one is dated by the driver's stamps alone."""
        self._newest_ns = max(captured_ns, self._newest_ns + 1)
        return self._newest_ns

    def _write(self, image: Image) -> None:
        if self._current is None:
            raise FrameUnreadableError("a frame was lost before it reached the driver's buffers")
        if self._current.is_damaged:
            raise FrameUnreadableError("the driver marked a frame as damaged")
        if self._layout is not None:
            write_frame(self._current.content, self._layout, image)

    def _give_back(self) -> None:
        """Let the driver have the current frame's buffer again."""
        buffer, self._current = self._current, None
        if buffer is not None and self._device is not None:
            # BufferError: an exception under way still holds the frame; OSError: the next
            # dequeue says what is wrong.
            with contextlib.suppress(BufferError):
                buffer.content.release()
            with contextlib.suppress(OSError):
                self._device.enqueue(buffer.index)

    def _fetch(self) -> None:
        """Wait for the driver's next frame; note those that are missing before it."""
        asked_ns = time.monotonic_ns()
        deadline_ns = asked_ns + round(self._timeout_s * _NS_PER_S)
        failures = 0
        while self._device is not None and not self._stop.is_set():
            now_ns = time.monotonic_ns()
            if now_ns > deadline_ns:
                waited_s = (now_ns - asked_ns) / _NS_PER_S
                msg = f"{self._uri}: no frame, the camera is silent for {waited_s:.1f} s"
                raise CameraUnavailableError(msg)
            try:
                if not self._device.wait(min(_POLL_S, (deadline_ns - now_ns) / _NS_PER_S)):
                    continue
                self._next = self._device.dequeue()
            except OSError as error:
                failures += 1
                # EIO may pass (a lost signal, a failed transfer), says the kernel's manual.
                if error.errno in _GONE or failures >= _FAILURES_LIMIT:
                    reason = os.strerror(error.errno or 0)
                    msg = f"{self._uri}: no frame, the camera is gone or failing ({reason})"
                    raise CameraUnavailableError(msg) from error
                continue
            if self._next is not None:
                self._missing = self._gaps.missing_before(
                    self._next.sequence, self._next.stamp_ns or time.monotonic_ns()
                )
                return
        state = "not open" if self._device is None else "stopped"
        raise CameraUnavailableError(f"{self._uri}: {state}")

    def _check_device(self) -> None:
        if not self._uri.device.exists():
            msg = f"{self._uri}: no such device (unplugged?)"
            raise CameraUnavailableError(msg)
        if not os.access(self._uri.device, os.R_OK | os.W_OK):
            msg = f"{self._uri}: this user may not use it (is it in the group `video`?)"
            raise CameraUnavailableError(msg)

    def _opened(self) -> V4l2Device:
        try:
            device = V4l2Device(self._uri.device)
        except NotACameraError as error:
            raise CameraUnavailableError(f"{self._uri}: cannot be opened: {error}") from error
        try:
            self._layout = self._configured(device)
            with contextlib.suppress(OSError):  # not every camera lets it be set
                device.set_rate(self._uri.fps or _DEFAULT_FPS)
            device.start()
        except NotACameraError as error:
            device.close()
            raise CameraUnavailableError(f"{self._uri}: {error}") from error
        except BaseException:
            device.close()
            raise
        return device

    def _configured(self, device: V4l2Device) -> PixelFormat:
        wanted = self._uri.fourcc
        if wanted is None:
            found = _preferred(device, self._expected_size)
        else:
            found = device.set_format(wanted, self._expected_size)
        if wanted is not None and found.fourcc != wanted.ljust(4):
            msg = f"{self._uri}: the camera delivers {found.fourcc}, expected {wanted}"
            raise CameraUnavailableError(msg)
        if found.fourcc not in PREFERRED:
            msg = (
                f"{self._uri}: the camera delivers {found.fourcc}, "
                f"expected one of {', '.join(sorted(PREFERRED))}"
            )
            raise CameraUnavailableError(msg)
        size = (found.width, found.height)
        if self._expected_size is not None and size != self._expected_size:
            msg = (
                f"{self._uri}: the camera delivers {size[0]}x{size[1]} pixels, "
                f"expected {self._expected_size[0]}x{self._expected_size[1]}"
            )
            raise CameraUnavailableError(msg)
        self._size = size
        return found

    def _refusal(self, error: OSError) -> str:
        if error.errno == errno.EBUSY:
            return f"{self._uri}: cannot be opened: in use by another program"
        reason = os.strerror(error.errno or 0)
        return f"{self._uri}: cannot be opened ({reason}): in use by another program, or no camera"


def _times(captured_ns: int, *, clock_trouble: str = "") -> Grabbed:
    return Grabbed(
        captured_mono_ns=captured_ns,
        captured_unix_ns=time.time_ns() - (time.monotonic_ns() - captured_ns),
        clock_trouble=clock_trouble,
    )


def _preferred(device: V4l2Device, size: tuple[int, int] | None) -> PixelFormat:
    """The first format of ours that the camera has; else what it has."""
    found = None
    for fourcc in PREFERRED:
        found = device.set_format(fourcc, size)
        if found.fourcc == fourcc:
            return found
    return found or device.set_format(None, size)
