"""Reads the serials of units in a thread, beside the inspection; never blocks a verdict."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

import structlog

from inspector.core.records import Image, Outline
from inspector.ops.metrics import Metrics
from inspector.serials.agreement import AgreedSerial, Code, Reading, SerialQuality, agree
from inspector.serials.codes import GreyPicture, can_be_enlarged, grey_picture, read_codes
from inspector.settings.unit_sections import SerialSettings

log = structlog.get_logger("serials")

MAX_REFUSED = 16
"""How many refused codes of a unit are remembered."""
MAX_WAITING = 12
"""Grey pictures that wait for the thread, besides the one being searched."""
_MS_PER_S = 1000


@dataclass(slots=True, eq=False)
class _Job:
    picture: GreyPicture
    unit: UnitSerial
    done: asyncio.Future[Reading]


class SerialReader:
    """Searches frames for codes, one after the other, in a thread of its own. Event loop only.

    When MAX_WAITING pictures wait, a further one is not searched. One reader serves the cameras
    that share its settings.
    """

    def __init__(self, settings: SerialSettings, *, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        for quality in SerialQuality:
            metrics.serials.labels(quality)
        # A daemon: a picture that keeps the library busy for ever must not keep the process.
        self._thread = threading.Thread(target=self._work, name="serials", daemon=True)
        self._thread.start()

    def unit(self) -> UnitSerial:
        """Start a unit: give the result its frames, then ask it for the serial."""
        return UnitSerial(self)

    async def close(self, wait_s: float = 2.0) -> None:
        """Stop reading; pictures that still wait count as not read."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, wait_s)

    @property
    def timeout_s(self) -> float:
        """How long a verdict waits at most."""
        return self._settings.timeout_ms / _MS_PER_S

    def read(self, picture: GreyPicture, unit: UnitSerial) -> asyncio.Future[Reading]:
        """Put a picture in line; for `UnitSerial`."""
        done: asyncio.Future[Reading] = self._loop.create_future()
        if self._closed or self._jobs.qsize() >= MAX_WAITING:
            done.set_result(None)
        else:
            self._jobs.put(_Job(picture, unit, done))
        return done

    def judge(self, readings: list[Reading], refused: Sequence[str] = ()) -> AgreedSerial:
        """Agree on a unit's serial, and count how that ended; for `UnitSerial`."""
        serial = agree(readings, self._settings.pattern, refused)
        self._metrics.serials.labels(serial.quality).inc()
        return serial

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            reading: Reading = None
            if not (job.unit.is_over or self._closed):
                reading = self._read(job)
            # The loop may have ended meanwhile: then nothing waits for the answer.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, job.done, reading)

    def _read(self, job: _Job) -> tuple[Code, ...]:
        started_ns = time.monotonic_ns()
        codes: tuple[Code, ...] = ()
        try:
            read = partial(
                read_codes, job.picture, self._settings.formats, on_refused=job.unit.refuse
            )
            codes = read()
            # Once per unit until it is read: small and blurred codes, at several times the cost.
            if not (codes or job.unit.is_read) and can_be_enlarged(job.picture):
                codes = read(enlarged=True)
                # Even if its text is not a serial: the next frame would show the same.
                job.unit.is_read |= job.unit.has_refused
        except Exception:  # a picture that the library cannot read counts as one without a code
            log.exception("a picture could not be searched for a serial")
        job.unit.is_read |= bool(codes)
        self._metrics.stage("serial", time.monotonic_ns() - started_ns)
        return codes


@dataclass(slots=True, eq=False)
class UnitSerial:
    """One unit's frames on their way to a serial."""

    reader: SerialReader
    is_read: bool = False
    """Whether a code was read on one of its frames; the reader's thread."""
    is_over: bool = False
    """Whether the serial is no longer needed: frames that still wait are not read."""
    _readings: list[asyncio.Future[Reading]] = field(default_factory=list)
    _refused: list[str] = field(default_factory=list)
    """Why codes that were read are not serials; filled by the reader's thread."""

    def read(self, frame: Image, outline: Outline | None = None) -> None:
        """Read one more frame; it may be released at once. Event loop only.

        With an outline only codes inside it count: the next unit may be in view as well.
        Without, every code in `frame` counts; give a part of it to search only that part.
        """
        self.read_picture(grey_picture(frame, outline))

    def read_picture(self, picture: GreyPicture) -> None:
        """As `read`, for a picture that was made grey already, in another thread. Event loop."""
        if not self.is_over:
            self._readings.append(self.reader.read(picture, self))

    async def serial(self, timeout_s: float | None = None) -> AgreedSerial:
        """The unit's serial as far as it is known within the timeout; call once.

        The default is `serial.timeout_ms`. Frames that were not searched by then count as not read.
        """
        within_s = self.reader.timeout_s if timeout_s is None else timeout_s
        try:
            if self._readings:
                await asyncio.wait(self._readings, timeout=within_s)
        finally:
            self.is_over = True
        readings = [done.result() if done.done() else None for done in self._readings]
        return self.reader.judge(readings, tuple(self._refused))

    @property
    def has_refused(self) -> bool:
        """Whether a code was read that is not a serial; the reader's thread."""
        return bool(self._refused)

    def refuse(self, why: str) -> None:
        """Record a code that is not a serial; the reader's thread."""
        if len(self._refused) < MAX_REFUSED:
            self._refused.append(why)

    def abandon(self) -> None:
        """The unit got its verdict without it: spend no more time on it."""
        self.is_over = True


def _settle(done: asyncio.Future[Reading], reading: Reading) -> None:
    if not done.done():
        done.set_result(reading)
