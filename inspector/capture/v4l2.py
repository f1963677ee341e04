"""Cameras of this machine (USB, capture cards) over Video4Linux2, by OpenCV."""

from __future__ import annotations

import math
import os
import threading
import time

import cv2

from inspector.errors import CameraUnavailableError, FrameUnreadableError
from inspector.records import Grabbed, Image
from inspector.source_uri import V4l2Uri

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_OLDEST_NS = 30 * _NS_PER_S
_SILENT_S = 0.9
_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


class V4l2Source:
    """A camera of this machine as a `FrameSource`; one thread.

    OpenCV waits for a frame in whole seconds, and for the whole process: `read_timeout_s` is
    rounded up, and of several cameras the first one opened decides for all. It tells us neither
    of frames the driver dropped nor of those it marked damaged.
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
        self._timeout_s = max(1, math.ceil(read_timeout_s))
        self._stop = stop
        self._capture: cv2.VideoCapture | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None before `open` where none was asked for."""
        return self._size

    def open(self) -> None:
        """Configure the camera and wait for its first frame.

        The first frame is the proof: OpenCV calls a dead device opened, and a camera asked for
        a size it does not have takes the nearest.
        """
        self.close()
        self._check_device()
        # Read once, when the process opens its first camera.
        os.environ[_SELECT_TIMEOUT] = str(self._timeout_s)
        self._capture = cv2.VideoCapture(str(self._uri.device), cv2.CAP_V4L2)
        try:
            self._configure(self._capture)
            self._check_first_frame(self._capture)
        except CameraUnavailableError:
            self.close()
            raise

    def grab(self) -> Grabbed:
        """Wait for the next frame; the driver's own time stamp says when it was captured."""
        asked_ns = time.monotonic_ns()
        if self._capture is None or self._stop.is_set() or not self._capture.grab():
            raise CameraUnavailableError(self._no_frame(asked_ns))
        now_ns = time.monotonic_ns()
        position_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        captured_ns = captured_mono_ns(position_ms, now_ns)
        return Grabbed(
            captured_mono_ns=captured_ns,
            captured_unix_ns=time.time_ns() - (time.monotonic_ns() - captured_ns),
        )

    def retrieve_into(self, image: Image) -> None:
        """Decode the grabbed frame into `image`."""
        if self._capture is None:
            msg = f"{self._uri}: not open"
            raise FrameUnreadableError(msg)
        decoded, written = self._capture.retrieve(image)
        if not decoded:
            msg = f"{self._uri}: a frame was damaged and could not be decoded"
            raise FrameUnreadableError(msg)
        if written is not image:  # of another size: OpenCV then returns a new array, silently
            height, width = written.shape[:2]
            msg = (
                f"{self._uri}: the frame is {width}x{height} pixels, "
                f"expected {image.shape[1]}x{image.shape[0]}"
            )
            raise FrameUnreadableError(msg)

    def close(self) -> None:
        """Give the device back."""
        capture, self._capture = self._capture, None
        self._size = self._expected_size
        if capture is not None:
            capture.release()

    def _check_device(self) -> None:
        if not self._uri.device.exists():
            msg = f"{self._uri}: no such device (unplugged?)"
            raise CameraUnavailableError(msg)
        if not os.access(self._uri.device, os.R_OK | os.W_OK):
            msg = f"{self._uri}: this user may not use it (is it in the group `video`?)"
            raise CameraUnavailableError(msg)

    def _configure(self, capture: cv2.VideoCapture) -> None:
        if not capture.isOpened():
            msg = f"{self._uri}: cannot be opened: in use by another program, or no camera"
            raise CameraUnavailableError(msg)
        if self._uri.fourcc is not None:
            wanted = cv2.VideoWriter.fourcc(*self._uri.fourcc)
            capture.set(cv2.CAP_PROP_FOURCC, wanted)
            found = int(capture.get(cv2.CAP_PROP_FOURCC))
            if found != wanted:
                name = found.to_bytes(4, "little").decode("ascii", "replace")
                msg = f"{self._uri}: the camera delivers {name}, expected {self._uri.fourcc}"
                raise CameraUnavailableError(msg)
        if self._expected_size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._expected_size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._expected_size[1])
        if self._uri.fps is not None:
            capture.set(cv2.CAP_PROP_FPS, self._uri.fps)

    def _check_first_frame(self, capture: cv2.VideoCapture) -> None:
        asked_ns = time.monotonic_ns()
        arrived, picture = capture.read()
        if not arrived:
            raise CameraUnavailableError(self._no_frame(asked_ns))
        found = (picture.shape[1], picture.shape[0])
        if self._expected_size is not None and found != self._expected_size:
            msg = (
                f"{self._uri}: the camera delivers {found[0]}x{found[1]} pixels, "
                f"expected {self._expected_size[0]}x{self._expected_size[1]}"
            )
            raise CameraUnavailableError(msg)
        self._size = found

    def _no_frame(self, asked_ns: int) -> str:
        if self._capture is None:
            return f"{self._uri}: not open"
        if self._stop.is_set():
            return f"{self._uri}: stopped"
        waited_s = (time.monotonic_ns() - asked_ns) / _NS_PER_S
        # OpenCV's answer is the same for both; only the driver's refusal comes at once.
        why = f"silent for {waited_s:.1f} s" if waited_s >= _SILENT_S else "gone or failing"
        return f"{self._uri}: no frame, the camera is {why}"


def captured_mono_ns(position_ms: float, now_mono_ns: int) -> int:
    """The driver's time stamp where it is on our monotonic clock, else `now_mono_ns`: pure.

    UVC and most drivers stamp with CLOCK_MONOTONIC; some old ones with the wall clock, or not.
    """
    stamp_ns = round(position_ms * _NS_PER_MS)
    return stamp_ns if 0 <= now_mono_ns - stamp_ns <= _OLDEST_NS else now_mono_ns
