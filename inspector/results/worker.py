"""Turns replies, and the absence of replies, into exactly one verdict per unit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog

from inspector.errors import MalformedReplyError
from inspector.flow.channel import Channel
from inspector.flow.missed import MissedFrames
from inspector.ops.metrics import NS_PER_S, Metrics
from inspector.records import CameraId, EventGroup, MissReason, Outcome, Region
from inspector.results.decode import decode
from inspector.results.event_builder import EventBuilder
from inspector.results.units import FrameResult, VerdictOrder, judge
from inspector.sections import InspectionSettings

log = structlog.get_logger("results")


class ResultsWorker:
    """Every captured frame comes here once, inspected or missed, and leaves as a verdict.

    Releases the frames' buffers. The one place where frames are counted as inspected or missed.
    """

    name = "results"

    def __init__(
        self,
        outcomes: Channel[Outcome],
        missed: MissedFrames,
        groups: Channel[EventGroup],
        *,
        builder: EventBuilder,
        inspection: InspectionSettings,
        units_before: Mapping[CameraId, int],
        metrics: Metrics,
    ) -> None:
        self._outcomes = outcomes
        self._missed = missed
        self._groups = groups
        self._builder = builder
        self._inspection = inspection
        self._thresholds = [inspection.threshold_of(code) for code in inspection.codes]
        self._units_before = dict(units_before)
        self._metrics = metrics
        self._told_miss: MissReason | None = None
        self._orders = {camera: VerdictOrder() for camera in units_before}
        self._one_at_a_time = asyncio.Lock()
        self.settled = 0
        """Frames that got their verdict since start."""

    async def run(self) -> None:
        """Work until the outcomes end and every missed frame is accounted for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_outcomes(), name="results/outcomes")
            group.create_task(self._read_missed(), name="results/missed")
        await self._publish_what_waits_in_vain()
        await self._groups.close()

    async def _read_outcomes(self) -> None:
        async for outcome in self._outcomes:
            started_ns = time.monotonic_ns()
            results = self._frame_results(outcome)
            self._tell(results[0])
            for region in outcome.batch.regions:
                region.frame.lease.release()
            self._metrics.stage("results", time.monotonic_ns() - started_ns)
            for result in results:
                await self._settle(result)
        # Every producer of missed frames ended before the outcomes did.
        self._missed.close()

    async def _read_missed(self) -> None:
        while (missed := await self._missed.receive()) is not None:
            await self._settle(
                FrameResult(
                    ref=missed.ref, detections=None, miss=missed.reason, detail=missed.detail
                )
            )

    def _frame_results(self, outcome: Outcome) -> list[FrameResult]:
        regions, spec = outcome.batch.regions, outcome.spec
        if outcome.outputs is None or spec is None:
            miss = outcome.miss or MissReason.INTERNAL_ERROR
            return [self._miss(region, miss, outcome.detail) for region in regions]
        try:
            decoded = decode(
                outcome.outputs,
                regions,
                spec,
                classes=len(self._inspection.codes),
                floor=min(self._thresholds),
                nms_iou=self._inspection.nms_iou,
            )
        except MalformedReplyError as malformed:
            detail = str(malformed)
            return [self._miss(region, MissReason.MALFORMED_REPLY, detail) for region in regions]
        except Exception:
            # A fault of ours must not read as a good unit, nor stop the line's verdicts.
            if self._told_miss is not MissReason.INTERNAL_ERROR:
                log.exception("a reply could not be evaluated", batch=outcome.batch.batch_id)
            detail = "a reply could not be evaluated: see the log"
            return [self._miss(region, MissReason.INTERNAL_ERROR, detail) for region in regions]
        return [
            FrameResult(
                ref=region.frame.ref,
                detections=tuple(detections),
                miss=None,
                model_version=spec.version,
                queue_ns=outcome.taken_mono_ns - region.frame.ref.captured_mono_ns,
                inference_ns=outcome.ended_mono_ns - outcome.taken_mono_ns,
            )
            for region, detections in zip(regions, decoded, strict=True)
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

    @staticmethod
    def _miss(region: Region, miss: MissReason, detail: str) -> FrameResult:
        return FrameResult(ref=region.frame.ref, detections=None, miss=miss, detail=detail)

    async def _settle(self, frame: FrameResult) -> None:
        camera = frame.ref.camera_id
        if frame.miss is None:
            self._metrics.frames_inspected.labels(camera).inc()
        else:
            self._metrics.frames_missed.labels(camera, frame.miss).inc()
        # Two readers settle: without the lock one could overtake the other at the channel.
        async with self._one_at_a_time:
            for due in self._orders[camera].add(frame):
                await self._publish(due)

    async def _publish_what_waits_in_vain(self) -> None:
        """Verdicts behind a frame that never came are still true; the loss is ours and loud."""
        for camera, order in self._orders.items():
            if left := order.flush():
                log.error("frames were lost on the way", camera=camera, behind_them=len(left))
            for frame in left:
                await self._publish(frame)

    async def _publish(self, frame: FrameResult) -> None:
        verdict = judge(
            frame,
            unit_number=self._units_before[frame.ref.camera_id] + frame.ref.sequence + 1,
            codes=self._inspection.codes,
            thresholds=self._thresholds,
        )
        now_ns = time.monotonic_ns()
        self._metrics.units.labels(verdict.result).inc()
        for defect in verdict.defects:
            self._metrics.defects.labels(defect.code).inc()
        self._metrics.verdict_seconds.observe((now_ns - frame.ref.captured_mono_ns) / NS_PER_S)
        if not self._builder.is_in_time(verdict, now_ns):
            self._metrics.deadline_missed.inc()
        await self._groups.send(self._builder.verdict(verdict, now_ns))
        self.settled += 1
