"""Turns replies, and the absence of replies, into exactly one verdict per unit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog
from numpy.typing import NDArray

from inspector.core.errors import MalformedReplyError
from inspector.core.recipes import ModelName, Recipe
from inspector.core.records import (
    Batch,
    CameraId,
    Finding,
    Frame,
    MissedFrame,
    MissReason,
    ModelSpec,
    Notice,
    Outcome,
    Region,
    UnitClosed,
    UnitOpened,
)
from inspector.core.verdicts import DecidedUnit, FrameResult
from inspector.flow.channel import Channel
from inspector.flow.event_door import EventDoor
from inspector.flow.notices import Notices
from inspector.ops.metrics import NS_PER_S, Metrics
from inspector.results.near import parted
from inspector.results.picked_frames import KEPT_PER_CAMERA, UnitPictures
from inspector.results.pieces import FrameParts
from inspector.results.unit_book import UnitBook
from inspector.results.verdict_desk import WAITING_PER_CAMERA, VerdictDesk, VerdictServices

BATCHES_HELD = 1
"""Whose results are being read."""
FRAMES_HELD = KEPT_PER_CAMERA + WAITING_PER_CAMERA + 2
"""Buffers of each camera for pictures: of units that are undecided, of those that wait for their
verdict, of the one that gets it, and of the one that waits for room."""

log = structlog.get_logger("results")


class ResultsWorker:
    """Takes each frame once, inspected or missed; every unit leaves as a verdict.

    Releases the frames' buffers. The one place where frames are counted as inspected or missed.
    """

    name = "results"

    def __init__(
        self,
        outcomes: Channel[Outcome],
        notices: Notices,
        door: EventDoor,
        *,
        services: VerdictServices,
        nms_iou: float,
        deadlines_ns: Mapping[CameraId, int | None],
        metrics: Metrics,
        before_end: Callable[[], None] = lambda: None,
    ) -> None:
        """`nms_iou` is for models that leave suppression to us.

        `deadlines_ns`: after what time a camera's units are decided; None: recordings wait for the
        model. `before_end` is called when no frame comes any more: the last moment to open a unit.
        """
        self._outcomes = outcomes
        self._notices = notices
        self._door = door
        self._nms_iou = nms_iou
        self._near = services.near
        self._metrics = metrics
        self._told_miss: MissReason | None = None
        self._books = {
            camera: UnitBook(camera, deadline_ns=deadline)
            for camera, deadline in deadlines_ns.items()
        }
        self._before_end = before_end
        self._parts = FrameParts()
        self._pictures = UnitPictures()
        self._desk = VerdictDesk(door, services)
        self._one_at_a_time = asyncio.Lock()
        self._has_deadlines = asyncio.Event()
        self.settled = 0
        """Frames that got their result since start."""

    @property
    def verdicts(self) -> int:
        """Units that got their verdict since start."""
        return self._desk.verdicts

    async def run(self) -> None:
        """Work until the outcomes end and every notice is read."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desk.run(), name="results/desk")
            watching = group.create_task(self._keep_deadlines(), name="results/deadlines")
            async with asyncio.TaskGroup() as readers:
                readers.create_task(self._read_outcomes(), name="results/outcomes")
                readers.create_task(self._read_notices(), name="results/notices")
            async with self._one_at_a_time:
                # Not while it passes on what it took out of the books: that would be lost.
                watching.cancel()
            await self._publish_what_waits_in_vain()
            await self._desk.close()
        self._door.close()

    async def _read_outcomes(self) -> None:
        async for outcome in self._outcomes:
            started_ns = time.monotonic_ns()
            async with self._one_at_a_time:
                await self._take_notices()
                results = self._piece_results(outcome)
                self._tell(results[0])
                self._metrics.stage("results", time.monotonic_ns() - started_ns)
                for region, piece in zip(outcome.batch.regions, results, strict=True):
                    models = region.frame.ref.under.recipe.models
                    whole = self._parts.add(
                        region, piece, model=outcome.batch.model, models=len(models)
                    )
                    if whole is not None:
                        await self._settle(whole, region.frame)
        # Every other producer of notices ended before the outcomes did.
        self._before_end()
        self._notices.close()

    async def _read_notices(self) -> None:
        while await self._notices.wait():
            async with self._one_at_a_time:
                await self._take_notices()

    async def _take_notices(self) -> None:
        """Read all notices: a frame's unit must be known before the frame is."""
        while (notice := self._notices.take()) is not None:
            await self._take_notice(notice)

    async def _take_notice(self, notice: Notice) -> None:
        match notice:
            case UnitOpened(unit=unit):
                self._books[unit.camera_id].opened(notice)
                self._has_deadlines.set()
            case UnitClosed(unit=unit):
                await self._hand_on(self._books[unit.camera_id].closed(notice))
            case MissedFrame(ref=ref, reason=reason, detail=detail, lease=lease):
                missed = FrameResult(ref=ref, findings=None, miss=reason, detail=detail)
                await self._settle(missed, None if lease is None else Frame(ref=ref, lease=lease))

    async def _keep_deadlines(self) -> None:
        while True:
            self._has_deadlines.clear()
            due = [b.next_deadline_ns for b in self._books.values()]
            next_ns = min((d for d in due if d is not None), default=None)
            wait_s = None if next_ns is None else max(0, next_ns - time.monotonic_ns()) / NS_PER_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    # A unit triggered some time ago may be due before those that we know.
                    await self._has_deadlines.wait()
                    continue
            async with self._one_at_a_time:
                # A notice that came in time counts, even if it is read late.
                await self._take_notices()
                for book in self._books.values():
                    await self._hand_on(book.expire(time.monotonic_ns()))

    def _piece_results(self, outcome: Outcome) -> list[FrameResult]:
        regions, spec = outcome.batch.regions, outcome.spec
        if outcome.outputs is None or spec is None:
            miss = outcome.miss or MissReason.INTERNAL_ERROR
            return [_miss(region, miss, outcome.detail) for region in regions]
        try:
            decoded = self._decoded(outcome.outputs, outcome.batch, spec)
        except MalformedReplyError as malformed:
            detail = str(malformed)
            return [_miss(region, MissReason.MALFORMED_REPLY, detail) for region in regions]
        except Exception:
            # Our own error must not make a good unit, nor stop the line's verdicts.
            if self._told_miss is not MissReason.INTERNAL_ERROR:
                log.exception("a reply could not be evaluated", batch=outcome.batch.batch_id)
            detail = "a reply could not be evaluated: see the log"
            return [_miss(region, MissReason.INTERNAL_ERROR, detail) for region in regions]
        parts = [
            parted(
                findings,
                region.frame.ref.under.recipe.floor(
                    region.frame.ref.camera_id, outcome.batch.model
                ),
            )
            for region, findings in zip(regions, decoded, strict=True)
        ]
        return [
            FrameResult(
                ref=region.frame.ref,
                findings=findings,
                faint=faint,
                miss=None,
                versions={spec.name: spec.version},
                queue_ns=outcome.taken_mono_ns - region.frame.ref.captured_mono_ns,
                inference_ns=outcome.ended_mono_ns - outcome.taken_mono_ns,
            )
            for region, (findings, faint) in zip(regions, parts, strict=True)
        ]

    def _decoded(
        self,
        outputs: Mapping[str, NDArray[Any]],
        batch: Batch,
        spec: ModelSpec,
    ) -> list[list[Finding]]:
        """The findings of each region; every one names a code of the unit's recipe."""
        model, regions = batch.model, batch.regions
        refs = [region.frame.ref for region in regions]
        deciding = min(ref.under.recipe.floor(ref.camera_id, model) for ref in refs)
        near = min(ref.under.recipe.lowest_threshold(model) for ref in refs) - self._near()
        floor = max(0.0, min(deciding, near))
        decoded = spec.reader.decode(outputs, regions, floor=floor, nms_iou=self._nms_iou)
        return [
            [_by_code(finding, ref.under.recipe, model) for finding in findings]
            for ref, findings in zip(refs, decoded, strict=True)
        ]

    def _tell(self, result: FrameResult) -> None:
        """Log when batches begin to fail, fail otherwise than before, or succeed again."""
        if result.miss is self._told_miss:
            return
        self._told_miss = result.miss
        if result.miss is None:
            log.info("units are inspected again")
        else:
            log.warning("units are not inspected", reason=result.miss.value, detail=result.detail)

    async def _settle(self, result: FrameResult, frame: Frame | None) -> None:
        """A frame has its result; `frame` is None where its buffer is released already."""
        camera, unit = result.ref.camera_id, result.ref.unit
        self.settled += 1
        if result.miss is None:
            self._metrics.frames_inspected.labels(camera).inc()
        else:
            self._metrics.frames_missed.labels(camera, result.miss).inc()
        if unit is None:
            if frame is not None:
                frame.lease.release()
            return
        book = self._books[camera]
        await self._hand_on(book.expire(time.monotonic_ns()))
        decided = book.settled(result)
        if decided is None:
            self._metrics.results_late.labels(camera).inc()
            if frame is not None:
                frame.lease.release()
            return
        if frame is not None and not self._pictures.offer(unit, frame, result):
            self._metrics.evidence_failures.inc()
        await self._hand_on(decided)

    async def _hand_on(self, decided: list[DecidedUnit]) -> None:
        for unit in decided:
            await self._desk.put(unit, self._pictures.take(unit.unit))

    async def _publish_what_waits_in_vain(self) -> None:
        """Decide units that were never closed: each still gets a verdict, an error of ours."""
        for camera, book in self._books.items():
            left = book.flush(MissReason.SHUTTING_DOWN, "the service stopped before its verdict")
            if left:
                log.warning("units were open at the end", camera=camera, units=len(left))
            await self._hand_on(left)


def _by_code(finding: Finding, recipe: Recipe, model: ModelName) -> Finding:
    """A finding of a class of the model, as one of a code of the recipe."""
    classes, number = recipe.classes_of(model), finding.code_index
    if not 0 <= number < len(classes):
        raise MalformedReplyError(f"class {number} reported, inspection.codes names {len(classes)}")
    index = number if classes is recipe.codes else recipe.codes.index(classes[number])
    return replace(finding, code_index=index, model=model.name)


def _miss(region: Region, miss: MissReason, detail: str) -> FrameResult:
    return FrameResult(ref=region.frame.ref, findings=None, miss=miss, detail=detail)
