"""Keeps pictures of units on the disk, off the hot path; never blocks or fails a verdict."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import cv2
import structlog

from inspector.core.faults import FaultBoard
from inspector.core.records import Evidence, Image
from inspector.evidence.folder import EvidenceFolder, EvidenceUnwritableError
from inspector.evidence.naming import Subject, picture_path
from inspector.ops.metrics import Metrics
from inspector.settings.unit_sections import EvidenceSettings

log = structlog.get_logger("evidence")

MAX_WAITING = 8
"""Pictures that wait for the disk, besides the one being written. The memory is this times a
frame's size."""
PROBE_S = 2.0
"""How often a disk that does not take pictures is tried again."""
_FAULT = ("disk", "evidence")
_BYTES_PER_GB = 1_000_000_000
_MS_PER_S = 1000


@dataclass(slots=True, eq=False)
class _Job:
    picture: Image
    subject: Subject
    done: asyncio.Future[Evidence | None]
    _undecided: threading.Lock = field(default_factory=threading.Lock)

    def decide(self) -> bool:
        """True for the first caller: the disk in time, or the deadline. Any thread."""
        return self._undecided.acquire(blocking=False)

    @property
    def is_decided(self) -> bool:
        return self._undecided.locked()


class EvidenceStore:
    """Writes pictures as JPEG in a thread of its own, and keeps quota and free-disk floor.

    Event loop only. At start the thread indexes the existing pictures, between the writing of new
    ones. When the disk does not take a picture in time, for whatever cause, the picture is given up
    and counted, and the fault `disk`/`evidence` stands until the disk takes one again; that is
    tried every few seconds without a picture too.
    """

    def __init__(
        self,
        directory: Path,
        settings: EvidenceSettings,
        *,
        metrics: Metrics,
        faults: FaultBoard,
    ) -> None:
        self._directory = directory.absolute()
        self._timeout_s = settings.timeout_ms / _MS_PER_S
        self._jpeg = [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality]
        self._metrics = metrics
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._folder = EvidenceFolder(self._directory, **_limits(settings))
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        # Written by both threads: the disk says so in one, the deadline in the other. True until
        # the disk was asked for the first time.
        self._faulty = True
        self._thread = threading.Thread(target=self._work, name="evidence", daemon=True)
        self._thread.start()

    def change(self, settings: EvidenceSettings) -> None:
        """Apply other limits from the next picture on; the directory stays."""
        self._timeout_s = settings.timeout_ms / _MS_PER_S
        self._jpeg = [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality]
        self._folder.limit(**_limits(settings))

    def keep(self, picture: Image, subject: Subject) -> asyncio.Future[Evidence | None]:
        """Write a picture; the answer comes within `timeout_ms`, None when it was not kept.

        An array that owns its memory belongs to the store from now on. A view, such as the image of
        a frame's lease, is copied before this returns, so that the lease can be released then: a
        slow disk holds no frame buffer. A copy of 1280x720 takes 0.2 ms.

        When MAX_WAITING pictures wait already, the answer is None at once.
        """
        done: asyncio.Future[Evidence | None] = self._loop.create_future()
        if self._closed:
            self._refuse(done, None)
        elif self._jobs.qsize() >= MAX_WAITING:
            self._refuse(done, f"the disk is too slow: {MAX_WAITING} pictures wait for it")
        else:
            owned = picture if picture.flags.owndata else picture.copy()
            job = _Job(owned, subject, done)
            deadline = self._loop.call_later(self._timeout_s, self._give_up, job)
            done.add_done_callback(lambda _: _answered(job, deadline))
            self._jobs.put(job)
        return done

    async def close(self, wait_s: float = 2.0) -> None:
        """Finish what was requested, if the disk does so in time; keep nothing after that."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, wait_s)
        if self._thread.is_alive():
            log.warning("the disk still holds a picture back; leaving it", waited_s=wait_s)

    def _give_up(self, job: _Job) -> None:
        """At the deadline: whatever the thread still does with the job, it will undo."""
        if job.decide():
            wait_ms = round(self._timeout_s * _MS_PER_S)
            self._refuse(job.done, f"a picture was not on the disk within {wait_ms} ms")

    def _refuse(self, done: asyncio.Future[Evidence | None], cause: str | None) -> None:
        self._metrics.evidence_failures.inc()
        if cause is not None:
            self._set_fault(cause)
        if not done.done():
            done.set_result(None)

    def _set_fault(self, cause: str | None) -> None:
        self._faulty = cause is not None
        kind, subject = _FAULT
        if cause is not None:
            self._faults.raise_fault(kind, cause, subject)
        else:
            self._faults.clear(kind, subject)

    # In the thread.

    def _work(self) -> None:
        self._meanwhile()
        while True:
            may_scan = not self._faulty and not self._folder.is_scanned
            try:
                job = self._jobs.get(block=not may_scan, timeout=PROBE_S)
            except Empty:
                self._meanwhile()
                continue
            if job is None:
                return
            if not job.is_decided:
                self._keep(job)

    def _meanwhile(self) -> None:
        """While idle: index existing pictures, or check if the disk works again."""
        try:
            if self._faulty:
                started_s = time.monotonic()
                self._folder.probe()
                if time.monotonic() - started_s < self._timeout_s:
                    self._faulty = False
                    self._call(self._set_fault, None)
            else:
                self._folder.scan_on()
        except EvidenceUnwritableError as error:
            self._faulty = True
            self._call(self._set_fault, str(error))
        self._metrics.evidence_bytes.set(self._folder.total_bytes)

    def _keep(self, job: _Job) -> None:
        started_ns = time.monotonic_ns()
        try:
            evidence = self._write(job)
        except EvidenceUnwritableError as error:
            self._faulty = True
            self._fail(job, str(error))
        except (
            Exception
        ):  # a picture that cannot be encoded, or a fault of ours: only this picture is lost
            log.exception("a picture could not be kept", camera=job.subject.camera)
            self._fail(job, None)
        else:
            if evidence is not None:
                self._call(self._settle, job, evidence)
        self._metrics.stage("evidence", time.monotonic_ns() - started_ns)

    def _write(self, job: _Job) -> Evidence | None:
        """The picture on the disk; None if it was too late and was removed again."""
        _, encoded = cv2.imencode(".jpg", job.picture, self._jpeg)
        content = encoded.tobytes()
        try:
            kept = self._folder.place(picture_path(job.subject), content)
            if not job.decide():
                self._folder.withdraw(kept)
                return None
            self._folder.admit(kept)
        finally:
            self._metrics.evidence_bytes.set(self._folder.total_bytes)
        return Evidence(
            kind=job.subject.kind,
            camera=job.subject.camera,
            uri=(self._directory / kept.path).as_uri(),
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            kept_for=job.subject.kept_for,
        )

    def _fail(self, job: _Job, cause: str | None) -> None:
        if job.decide():
            self._call(self._refuse, job.done, cause)

    def _settle(self, job: _Job, evidence: Evidence) -> None:
        """Called on the event loop once it is on the disk."""
        self._set_fault(None)
        if not job.done.done():
            job.done.set_result(evidence)

    def _call(self, callback: Callable[..., object], *arguments: object) -> None:
        # The loop may have ended meanwhile: then nothing waits for the answer.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _limits(settings: EvidenceSettings) -> dict[str, int]:
    return {
        "quota_bytes": round(settings.quota_gb * _BYTES_PER_GB),
        "floor_bytes": round(settings.free_floor_gb * _BYTES_PER_GB),
        "near_quota_bytes": round(settings.near_quota_gb * _BYTES_PER_GB),
    }


def _answered(job: _Job, deadline: asyncio.TimerHandle) -> None:
    """The caller has its answer, or was cancelled and needs none."""
    deadline.cancel()
    job.decide()
