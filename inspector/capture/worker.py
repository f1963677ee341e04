"""Keeps one camera running: starts its thread, detects silence, replaces a thread that is stuck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from inspector.capture.camera_reader import CameraReader, FrameCount
from inspector.capture.liveness import Liveness, Outage, Sighting, is_stuck, judge_camera
from inspector.core.errors import FatalError
from inspector.core.records import CameraId
from inspector.settings.sections import CameraSettings

log = structlog.get_logger("capture")

POLL_INTERVAL_S = 0.2
STUCK_AFTER_S = 15.0
"""A library that stays in one call for this long counts as stuck: all its time-outs are shorter."""
STOPPED_WITHIN_S = 4.0
"""How long a read may take to return after a stop; a thread that takes longer is abandoned."""
MAX_STUCK_READERS = 4


class CaptureWorker:
    """The event loop's side of a camera: its thread reads, this judges.

    The judgement does not depend on the library: whatever a read call does, a camera that is silent
    for `silent_after_s` is reported within `POLL_INTERVAL_S` after that.
    """

    def __init__(
        self,
        camera_id: CameraId,
        settings: CameraSettings,
        make_reader: Callable[[FrameCount], CameraReader],
        *,
        on_up: Callable[[CameraId, bool, str], None],
        on_poll: Callable[[CameraId], None],
        close_lane: Callable[[], None],
        stopped_within_s: float = STOPPED_WITHIN_S,
        obstacle: Callable[[], str] = str,
        on_clock: Callable[[CameraId, str], None] = lambda _camera_id, _trouble: None,
    ) -> None:
        """`obstacle` says why frames are unusable; empty if they are not.

        `on_clock` hears why a camera's time stamps are not believed, and when they are again.
        """
        self.name = f"capture/{camera_id}"
        self._camera_id = camera_id
        self._settings = settings
        self._make_reader = make_reader
        self._on_up = on_up
        self._on_poll = on_poll
        self._close_lane = close_lane
        self._stopped_within_s = stopped_within_s
        self._obstacle = obstacle
        self._on_clock = on_clock
        self._clock_trouble = ""
        self._count = FrameCount()
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        kind = settings.source.traits
        self._is_realtime = kind.realtime
        self._is_device = kind.realtime and not kind.simulated
        self._outage = Outage()
        self._stuck = 0

    @property
    def captured(self) -> int:
        """Frames grabbed since start, missed ones too."""
        return self._count.total

    def request_stop(self) -> None:
        """Produce nothing more; `run` returns after the current read. Any thread."""
        self._loop.call_soon_threadsafe(self._stop.set)

    async def run(self) -> None:
        """Read until asked to stop or the footage is over.

        Raises:
            FatalError: the camera's library got stuck again and again.

        """
        reader = self._start()
        try:
            while not self._stop.is_set() and not reader.has_ended:
                reader = self._replace_if_silent(reader)
                await self._wait(POLL_INTERVAL_S)
            reader.stop.set()
            await self._wait_for_end(reader)
        finally:
            reader.stop.set()
            self._close_lane()
        if reader.has_ended and reader.error is not None:
            raise reader.error

    def _start(self) -> CameraReader:
        reader = self._make_reader(self._count)
        reader.start()
        return reader

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _wait_for_end(self, reader: CameraReader) -> None:
        give_up_s = time.monotonic() + self._stopped_within_s
        while not reader.has_ended and time.monotonic() < give_up_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # a thread has no event for its own end
        if not reader.has_ended:
            log.warning("the camera's library does not return; left behind", camera=self._camera_id)
            reader.abandon()

    def _replace_if_silent(self, reader: CameraReader) -> CameraReader:
        """Report a change of state; returns the reader to go on with."""
        self._on_poll(self._camera_id)
        now_ns, sighting = time.monotonic_ns(), reader.sighting
        liveness = self._judge(sighting, now_ns)
        if sighting.clock_trouble != self._clock_trouble:
            self._clock_trouble = sighting.clock_trouble
            self._on_clock(self._camera_id, sighting.clock_trouble)
        if liveness.up and (obstacle := self._obstacle()):
            liveness = Liveness(up=False, cause=obstacle)
        told = liveness.up or (False if liveness.cause else None)
        if told is not None and self._outage.is_news(up=told, cause=liveness.cause):
            self._on_up(self._camera_id, told, liveness.cause)
        if self._is_device and is_stuck(sighting, stuck_after_s=STUCK_AFTER_S, now_ns=now_ns):
            return self._replace(reader)
        return reader

    def _judge(self, sighting: Sighting, now_ns: int) -> Liveness:
        # A recording may stand still because we make it wait.
        silent_after_s = self._settings.silent_after_s if self._is_realtime else float("inf")
        return judge_camera(sighting, silent_after_s=silent_after_s, now_ns=now_ns)

    def _replace(self, reader: CameraReader) -> CameraReader:
        self._stuck += 1
        if self._stuck > MAX_STUCK_READERS:
            raise FatalError(f"{self._camera_id}: its library got stuck {self._stuck} times")
        log.warning("the camera's library is stuck; starting over", camera=self._camera_id)
        reader.abandon()
        return self._start()
