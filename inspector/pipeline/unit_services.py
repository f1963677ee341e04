"""Services for the results stage: keeping pictures as evidence, reading serials."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress

import structlog

from inspector.core.faults import FaultBoard
from inspector.core.ports import PictureKeeper, SerialService
from inspector.core.records import CameraId, Evidence, Frame, KeptFor, Serial, UnitPicture, UnitRef
from inspector.events.wording import MAX_DETAIL_CHARACTERS
from inspector.evidence.naming import Subject
from inspector.evidence.sampling import why_kept
from inspector.evidence.store import EvidenceStore
from inspector.evidence.upright import cut_upright
from inspector.ops.metrics import Metrics
from inspector.pipeline.terms import evidence_folder
from inspector.serials.codes import GreyPicture, grey_picture
from inspector.serials.serial_reader import SerialReader, UnitSerial
from inspector.settings.settings import Settings
from inspector.settings.unit_sections import EvidenceSettings

log = structlog.get_logger("units")


class EvidencePictures(PictureKeeper):
    """Keeps the pictures of all units that are not PASSED, and of some that are."""

    def __init__(self, store: EvidenceStore, evidence: EvidenceSettings) -> None:
        self._store = store
        self._settings = evidence
        self._is_failing = False

    @property
    def near_threshold(self) -> float:
        """How far below its threshold a finding may be for its unit's picture to be kept."""
        return self._settings.near_threshold

    def change(self, evidence: EvidenceSettings) -> None:
        """Apply another policy from the next picture on."""
        self._store.change(evidence)
        self._settings = evidence

    async def keep(self, picture: UnitPicture) -> Evidence | None:
        """Cut the unit out, release the frame, write the picture."""
        frame = picture.frame
        ref = frame.ref
        try:
            kept_for = self._why_kept(picture)
            if kept_for is None:
                return None
            subject = Subject(
                kind="frame" if ref.outline is None else "unit",
                camera=ref.camera_id,
                unit_id=picture.unit_id,
                event_id=picture.event_id,
                result=picture.result,
                seen_unix_ns=ref.captured_unix_ns,
                kept_for=kept_for,
            )
            if ref.outline is None:
                waiting = self._store.keep(frame.lease.image, subject)
            else:
                upright = await asyncio.to_thread(cut_upright, frame.lease.image, ref.outline)
                waiting = self._store.keep(upright, subject)
        except Exception:
            # The verdict goes on without its picture. Logged once, or a lack of memory would fill
            # the log as well.
            if not self._is_failing:
                log.exception("a picture could not be taken", camera=ref.camera_id)
            self._is_failing = True
            return None
        finally:
            frame.lease.release()
        self._is_failing = False
        return await waiting

    def _why_kept(self, picture: UnitPicture) -> KeptFor | None:
        if picture.is_asked_for:
            # Not as a sample: a known part says nothing about how many defects escape.
            return KeptFor.VERDICT
        near, short_by = self._settings.near_threshold, picture.short_by
        return why_kept(
            picture.result,
            camera=picture.frame.ref.camera_id,
            number=picture.unit_number,
            passed_share=self._settings.passed_share,
            is_near=near > 0 and short_by is not None and short_by <= near,
        )


class SerialsUnderWay(SerialService):
    """Starts reading when a frame is chosen, beside its inspection."""

    def __init__(
        self, readers: Mapping[CameraId, SerialReader], *, timeout_s: float | None = None
    ) -> None:
        """`timeout_s` of None: each reader's own."""
        self._readers = dict(readers)
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._units: dict[tuple[CameraId, int], UnitSerial] = {}
        self._asked: dict[CameraId, int] = {}
        """For each camera the last unit whose serial was given; units are decided in order."""

    def read(self, frame: Frame) -> None:
        """Take a frame that is going to be inspected. Capture threads."""
        unit = frame.ref.unit
        if unit is None or frame.ref.camera_id not in self._readers:
            return
        grey = grey_picture(frame.lease.image, frame.ref.outline)
        with suppress(RuntimeError):  # the loop is closed: serials are no longer needed
            self._loop.call_soon_threadsafe(self._add, unit, grey)

    def _add(self, unit: UnitRef, grey: GreyPicture) -> None:
        if unit.index <= self._asked.get(unit.camera_id, -1):
            return  # its deadline passed while it was in view: its serial is no longer needed
        key = (unit.camera_id, unit.index)
        if key not in self._units:
            self._units[key] = self._readers[unit.camera_id].unit()
        self._units[key].read_picture(grey)

    async def serial_of(self, unit: UnitRef) -> Serial | None:
        """The serial as read by now, or within the reader's time limit."""
        reader = self._readers.get(unit.camera_id)
        if reader is None:
            return None
        self._asked[unit.camera_id] = unit.index
        reading = self._units.pop((unit.camera_id, unit.index), None) or reader.unit()
        known = await reading.serial(self._timeout_s)
        return Serial(
            text=known.text,
            format=known.format,
            quality=known.quality.value,
            frames_read=known.frames_read,
            detail=known.detail[:MAX_DETAIL_CHARACTERS],
        )


def build_pictures(
    settings: Settings, stack: AsyncExitStack, metrics: Metrics, faults: FaultBoard
) -> EvidencePictures | None:
    """The evidence store, closed with the stack; None if evidence is switched off."""
    evidence = settings.evidence
    if not evidence.enabled:
        return None
    store = EvidenceStore(evidence_folder(settings), evidence, metrics=metrics, faults=faults)
    stack.push_async_callback(store.close)
    return EvidencePictures(store, evidence)


def build_serials(
    settings: Settings,
    stack: AsyncExitStack,
    metrics: Metrics,
    *,
    timeout_s: float | None = None,
) -> SerialsUnderWay | None:
    """The reader of each camera that has serials, closed with the stack; None if none has.

    `timeout_s` replaces the settings', for recordings, whose verdicts may take longer.
    """
    readers = {}
    for camera_id, camera in settings.cameras.items():
        if camera.serial is not None:
            reader = SerialReader(camera.serial, metrics=metrics)
            stack.push_async_callback(reader.close)
            readers[CameraId(camera_id)] = reader
    return SerialsUnderWay(readers, timeout_s=timeout_s) if readers else None
