"""Reads one camera on a thread of its own, for as long as its frames are wanted."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread

import structlog

from inspector.capture.gate import CameraGate
from inspector.capture.liveness import Sighting
from inspector.capture.reconnect import ReconnectDelay
from inspector.core.errors import (
    CameraUnavailableError,
    EndOfFootageError,
    FrameUnreadableError,
    LoginRefusedError,
)
from inspector.core.ports import AnsweringSource, FiringSource, FrameSource
from inspector.core.records import CameraId, Frame, FrameRef, Grabbed, MissReason
from inspector.flow.frame_pool import FrameLease, FramePool
from inspector.ops.metrics import Metrics

FRAMES_HELD = 1
"""The one that is being filled."""

log = structlog.get_logger("capture")

NS_PER_S = 1_000_000_000


class FrameCount:
    """Numbers a camera's frames across readers, without gaps. Any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sequence = itertools.count()
        self.total = 0

    def next(self, stop: Event) -> int | None:
        """The next number; None for a reader that was asked to stop while it grabbed."""
        with self._lock:
            if stop.is_set():
                return None
            self.total += 1
            return next(self._sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """Where a reader's frames go."""

    pool: FramePool
    gate: CameraGate
    metrics: Metrics
    waits: bool
    """A recording: wait for a buffer instead of skipping the frame."""


class CameraReader:
    """Opens, reads and reopens one source until it is asked to stop or the footage ends.

    The thread is a daemon: a driver stuck in a read cannot keep the process alive.
    """

    def __init__(
        self,
        camera_id: CameraId,
        make_source: Callable[[Event], FrameSource],
        outlets: Outlets,
        *,
        count: FrameCount,
        delay: ReconnectDelay,
    ) -> None:
        self._camera_id = camera_id
        self._make_source = make_source
        self._outlets = outlets
        self._count = count
        self._delay = delay
        self.stop = Event()
        self._last_frame_ns: int | None = None
        self._lost: str | None = None
        self._since_ns = self._returned_ns = time.monotonic_ns()
        self._answering: AnsweringSource | None = None
        self._firing: FiringSource | None = None
        self._clock_trouble = ""
        self._claim = Lock()
        self._unsettled: FrameRef | None = None
        self._abandoned = False
        self.error: BaseException | None = None
        self._thread = Thread(target=self._body, name=f"capture/{camera_id}", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def abandon(self) -> None:
        """Give this reader up: the frame it may be stuck with is missed. Any thread."""
        with self._claim:
            self.stop.set()
            self._abandoned = True
            ref, self._unsettled = self._unsettled, None
        if ref is not None:
            detail = "the camera's library did not return"
            self._outlets.gate.miss(ref, MissReason.UNREADABLE, detail)
        self._outlets.gate.interrupt(MissReason.CAMERA_LOST, "the camera's library is stuck")

    @property
    def has_ended(self) -> bool:
        """The thread is done: the footage is over, it was asked to stop, or `error`."""
        return not self._thread.is_alive()

    @property
    def sighting(self) -> Sighting:
        """What is known of the camera. Any thread."""
        heard_ns = None if self._answering is None else self._answering.heard_mono_ns
        last_ns = [at_ns for at_ns in (self._last_frame_ns, heard_ns) if at_ns is not None]
        return Sighting(
            last_frame_ns=max(last_ns, default=None),
            lost=self._lost,
            since_ns=self._since_ns,
            returned_ns=max(self._returned_ns, heard_ns or 0),
            clock_trouble=self._clock_trouble,
        )

    def ask_for(self, frames: int) -> None:
        """Have the camera take this many pictures now, if it supports that. Any thread."""
        if self._firing is not None:
            self._firing.ask_for(frames)

    def _body(self) -> None:
        try:
            source = self._make_source(self.stop)
            if isinstance(source, AnsweringSource):
                self._answering = source
            if isinstance(source, FiringSource):
                self._firing = source
            while not self.stop.is_set():
                self._wait(self._read_until_lost(source))
        except EndOfFootageError:
            self._interrupt(MissReason.SHUTTING_DOWN, "the recording ended")
            self._outlets.gate.end()
        except BaseException as error:  # noqa: BLE001 - handed to the event loop's side
            self.error = error
            self._interrupt(MissReason.CAMERA_LOST, f"{type(error).__name__} in its reader")
        else:
            self._interrupt(MissReason.SHUTTING_DOWN, "the service stops")

    def _wait(self, delay_s: float) -> None:
        """Wait before the next attempt; this does not count as a library that is stuck."""
        until_s = time.monotonic() + delay_s
        while (left_s := until_s - time.monotonic()) > 0 and not self.stop.wait(min(left_s, 1.0)):
            self._returned_ns = time.monotonic_ns()

    def _interrupt(self, reason: MissReason, detail: str) -> None:
        """Close the units in view, unless this reader was replaced and no longer speaks."""
        if not self._abandoned:
            self._outlets.gate.interrupt(reason, detail)

    def _read_until_lost(self, source: FrameSource) -> float:
        """Read one connection to its end; returns how long to wait before the next."""
        metrics = self._outlets.metrics
        refused = False
        try:
            source.open()
            self._returned_ns = time.monotonic_ns()
            if self._answering is not None:
                self._lost = None  # it answers, and may have no frame to send for a long time
            while not self.stop.is_set():
                self._forward_next(source)
        except CameraUnavailableError as lost:
            self._lost = str(lost)
            refused = isinstance(lost, LoginRefusedError)
        except EndOfFootageError:
            raise
        except Exception as failure:
            # A library's own fault must not end the camera: it is retried like a lost one.
            log.exception("the camera's library failed", camera=self._camera_id)
            self._lost = f"{type(failure).__name__} in the camera's library"
        finally:
            source.close()
            self._returned_ns = time.monotonic_ns()
        if self.stop.is_set():
            return 0.0
        self._interrupt(MissReason.CAMERA_LOST, self._lost or "the camera is gone")
        metrics.camera_reconnects.labels(self._camera_id).inc()
        return self._delay.after_refusal() if refused else self._delay.after_failure()

    def _forward_next(self, source: FrameSource) -> None:
        grabbed = source.grab()
        self._returned_ns = time.monotonic_ns()
        with self._claim:
            sequence = self._count.next(self.stop)
            if sequence is None:
                return
            ref = self._unsettled = _reference(self._camera_id, sequence, grabbed)
        self._last_frame_ns, self._lost = time.monotonic_ns(), None
        self._clock_trouble = grabbed.clock_trouble
        self._delay.after_frame()
        metrics = self._outlets.metrics
        metrics.frames_captured.labels(self._camera_id).inc()
        metrics.camera_last_frame.labels(self._camera_id).set(grabbed.captured_unix_ns / 1e9)
        lease = self._lease()
        if lease is None:
            # Skipping the decode is the cheapest way to shed load: the grab kept the stream in
            # step, and a decoded frame would only be thrown away.
            stopping = self.stop.is_set() and self._outlets.waits
            self._miss(MissReason.SHUTTING_DOWN if stopping else MissReason.NO_BUFFER)
            return
        try:
            source.retrieve_into(lease.image)
        except BaseException as error:
            lease.release()
            self._miss(MissReason.UNREADABLE, str(error))
            if not isinstance(error, FrameUnreadableError):
                raise
            return
        if self._settle() is None:
            lease.release()
        else:
            self._outlets.gate.pass_on(Frame(ref=ref, lease=lease))

    def _settle(self) -> FrameRef | None:
        """Take the frame at hand; None when it was reported as missed meanwhile."""
        with self._claim:
            ref, self._unsettled = self._unsettled, None
        return ref

    def _miss(self, reason: MissReason, detail: str = "") -> None:
        ref = self._settle()
        if ref is not None:
            self._outlets.gate.miss(ref, reason, detail)

    def _lease(self) -> FrameLease | None:
        if not self._outlets.waits:
            return self._outlets.pool.lease()
        while not self.stop.is_set():
            lease = self._outlets.pool.lease(timeout_s=0.2)
            if lease is not None:
                return lease
        return None


def _reference(camera_id: CameraId, sequence: int, grabbed: Grabbed) -> FrameRef:
    return FrameRef(
        camera_id=camera_id,
        sequence=sequence,
        captured_mono_ns=grabbed.captured_mono_ns,
        captured_unix_ns=grabbed.captured_unix_ns,
        label=grabbed.label,
        stamp_ns=grabbed.stamp_ns,
    )
