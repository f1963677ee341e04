"""Ten thousand units through everything between a camera's frames and the journal, at random.

The gate, its trigger, the inbox, the results stage with its deadlines, the verdict desk and the
events are the real ones, on the real clock; the camera has no pixels and the model no server.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.capture.gate import CameraGate, JobInForce
from inspector.core.geometry import fit
from inspector.core.recipes import ModelName
from inspector.core.records import (
    Batch,
    CameraId,
    Frame,
    FrameRef,
    Image,
    MissedFrame,
    MissReason,
    ModelInput,
    ModelSpec,
    Outcome,
    Rect,
    Region,
)
from inspector.events.wording import EventBuilder
from inspector.flow.channel import Channel
from inspector.flow.event_door import EventDoor
from inspector.flow.inbox import FrameInbox, Lane
from inspector.flow.notices import Notices
from inspector.inference.outputs.detections import DetectionsReader
from inspector.ops.metrics import Metrics
from inspector.pipeline.terms import event_terms
from inspector.results.verdict_desk import NoPictures, NoSerials, VerdictServices
from inspector.results.worker import ResultsWorker
from inspector.triggers.external.messages import Trigger
from inspector.triggers.external.trigger import ExternalTrigger
from tests.kit import jobs
from tests.kit.pipeline import settings_for

CAMERA = CameraId("a")
DEADLINE_S, WAIT_S, LATE_S = 0.25, 0.05, 0.4
MODEL = ModelName(name="m")
INPUT = ModelInput(
    name="image", width_px=64, height_px=64, channels_first=False, dtype="UINT8", rgb=False
)
SPEC = ModelSpec(
    name="pcb_inspection",
    version="1",
    input=INPUT,
    reader=DetectionsReader(input=INPUT, classes=6),
)
WHOLE = Rect(0, 0, 64, 64)


class Lease:
    released = 0

    @property
    def image(self) -> Image:
        raise AssertionError("nobody looks at pixels here")

    def release(self) -> None:
        self.released += 1


class Station:
    """A camera that is triggered, a model that answers for its frames, and all in between."""

    def __init__(self, seed: int, units: int, frames_of_unit: int) -> None:
        self.rng = random.Random(seed)
        self.wanted = units
        self.frames_of_unit = frames_of_unit
        settings = settings_for("127.0.0.1:1", {"a": {"trigger": "external"}})
        self.metrics = Metrics([CAMERA], settings.inspection.codes)
        self.notices = Notices()
        self.outcomes: Channel[Outcome] = Channel(1)
        self.door = EventDoor()
        lane = Lane(capacity=4, max_age_ns=500_000_000, waits=False)
        self.inbox = FrameInbox({CAMERA: lane}, on_drop=self._drop)
        job = JobInForce(jobs.job(frames_of_unit=frames_of_unit))
        trigger = ExternalTrigger(
            CAMERA,
            job_now=job.now,
            wait_ns=round(WAIT_S * 1e9),
            announce=self.notices.put,
            on_idle=lambda _ref: self.counts.update(["idle"]),
        )
        self.gate = CameraGate(trigger, self.inbox, self.notices, job=job)
        self.results = ResultsWorker(
            self.outcomes,
            self.notices,
            self.door,
            services=VerdictServices(
                builder=EventBuilder(event_terms(settings)),
                units_before={CAMERA: 0},
                metrics=self.metrics,
                pictures=NoPictures(),
                serials=NoSerials(),
            ),
            nms_iou=settings.inspection.nms_iou,
            deadlines_ns={CAMERA: round(DEADLINE_S * 1e9)},
            metrics=self.metrics,
        )
        self.counts: Counter[str] = Counter()
        self.leases: list[Lease] = []
        self.accepted: list[str] = []
        self.bad = {n for n in range(units) if self.rng.random() < 0.3}
        self.answered: Counter[str] = Counter()
        """By unit, the frames that the model looked at."""
        self.units: list[dict[str, Any]] = []

    def _drop(self, frame: Frame, reason: MissReason) -> None:
        frame.lease.release()
        self.notices.put(MissedFrame(ref=frame.ref, reason=reason))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.results.run())
            group.create_task(self._collect())
            group.create_task(self._answer())
            expiring = group.create_task(self._expire())
            await self._film()
            expiring.cancel()

    async def _film(self) -> None:
        for number in range(self.wanted):
            if self.rng.random() < 0.01:
                self.gate.interrupt(MissReason.CAMERA_LOST, "unplugged")
            for _again in range(2 if self.rng.random() < 0.1 else 1):
                self._trigger(f"u{number}")
            for _frame in range(self.frames_of_unit + (self.rng.random() < 0.2)):
                self._frame(number)
            if self.rng.random() < 0.95:  # else the next comes before anybody could look
                while len(self.inbox) > 1:  # noqa: ASYNC110 - a turn of the loop each
                    await asyncio.sleep(0)
        self.gate.interrupt(MissReason.SHUTTING_DOWN, "the end")
        self.inbox.close_lane()

    def _trigger(self, unit_id: str) -> None:
        trigger = Trigger(
            unit_id=unit_id,
            received_mono_ns=time.monotonic_ns(),
            received_unix_ns=time.time_ns(),
        )
        answer = self.gate.trigger(trigger)
        self.counts[answer.outcome] += 1
        if answer.outcome == "accepted":
            self.accepted.append(unit_id)

    def _frame(self, number: int) -> None:
        ref = FrameRef(
            camera_id=CAMERA,
            sequence=self.counts["captured"],
            captured_mono_ns=time.monotonic_ns(),
            captured_unix_ns=time.time_ns(),
            label=f"u{number}",
        )
        self.counts["captured"] += 1
        if self.rng.random() < 0.03:
            self.gate.miss(ref, self.rng.choice([MissReason.NO_BUFFER, MissReason.UNREADABLE]))
            return
        self.leases.append(Lease())
        self.gate.pass_on(Frame(ref=ref, lease=self.leases[-1]))

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.gate.expire(time.monotonic_ns())

    async def _answer(self) -> None:
        held: deque[tuple[float, Outcome]] = deque()
        while not self.inbox.ended or held:
            await self.inbox.wait(0.01)
            while held and held[0][0] <= time.monotonic():
                await self.outcomes.send(held.popleft()[1])
            frames: list[Frame] = []
            while len(frames) < 4 and (frame := self.inbox.take(time.monotonic_ns())) is not None:
                frames.append(frame)
            if frames:
                outcome = self._outcome(frames)
                if self.rng.random() < 0.008:
                    held.append((time.monotonic() + LATE_S, outcome))
                else:
                    await self.outcomes.send(outcome)
        await self.outcomes.close()

    def _outcome(self, frames: list[Frame]) -> Outcome:
        box = fit(WHOLE, width_px=64, height_px=64)
        regions = tuple(Region(frame=f, rect=WHOLE, letterbox=box) for f in frames)
        fate, now_ns, many = self.rng.random(), time.monotonic_ns(), len(frames)
        shown = [[int((f.ref.label or "")[1:]) in self.bad] for f in frames]
        outputs: dict[str, NDArray[Any]] = {
            "boxes": np.tile(np.array([[8, 8, 24, 24]], np.float32), (many, 1, 1)),
            "scores": np.full((many, 1), 0.9, np.float32),
            "classes": np.zeros((many, 1), np.int32),
            "count": np.array(shown, np.int32),
        }
        if fate < 0.02:
            outputs["count"][:] = 99
        failed = fate > 0.98
        if 0.02 <= fate <= 0.98:
            self.answered.update(f.ref.unit.given_id or "" for f in frames if f.ref.unit)
            # And what it looked at was that unit.
            assert all(f.ref.unit and f.ref.unit.given_id == f.ref.label for f in frames)
        return Outcome(
            batch=Batch(batch_id=0, model=MODEL, regions=regions, tensor=None, model_input=INPUT),
            outputs=None if failed else outputs,
            spec=None if failed else SPEC,
            miss=MissReason.MODEL_UNAVAILABLE if failed else None,
            detail="",
            taken_mono_ns=now_ns,
            ended_mono_ns=now_ns,
        )

    async def _collect(self) -> None:
        async for group in self.door:
            assert group.verdict is not None
            self.units.append(group.verdict.body)


@pytest.mark.parametrize(("wanted", "frames_of_unit"), [(7000, 1), (3000, 3)])
def test_each_of_ten_thousand_units_leaves_the_station_with_its_one_true_verdict(
    wanted: int, frames_of_unit: int
) -> None:
    async def main() -> Station:
        station = Station(frames_of_unit, wanted, frames_of_unit)
        await station.run()
        return station

    # Not in asyncio's debug mode, which takes ten times as long.
    station = asyncio.run(main())
    units, counts = station.units, station.counts
    assert [u["unit"]["id"] for u in units] == station.accepted
    assert [u["unit"]["number"] for u in units] == list(range(1, wanted + 1))
    for unit in units:
        looked = station.answered[unit["unit"]["id"]]
        is_bad = int(unit["unit"]["id"][1:]) in station.bad
        if unit["result"] == "PASSED":
            assert looked >= frames_of_unit == unit["counts"]["frames_inspected"]
            assert not is_bad
        if unit["result"] == "FAILED":
            assert looked
            assert is_bad
        assert (unit["reason"] is None) == (unit["result"] in ("PASSED", "FAILED"))
    value = station.metrics.registry.get_sample_value
    inspected = value("inspector_frames_inspected_total", {"camera": "a"}) or 0
    missed = sum(
        value("inspector_frames_missed_total", {"camera": "a", "reason": reason}) or 0
        for reason in MissReason
    )
    assert counts["captured"] == inspected + missed + counts["idle"]
    assert all(lease.released == 1 for lease in station.leases)
    told = Counter(u["reason"] or u["result"] for u in units)
    seen = ["PASSED", "FAILED", "model_unavailable", "malformed_reply", "deadline_missed"]
    seen += ["frame_dropped", "frame_unreadable"]
    assert all(told[outcome] >= 3 for outcome in seen), told
    assert counts["doubled"] > 100
    assert (value("inspector_results_late_total", {"camera": "a"}) or 0) > 3
