"""What would pass a bad unit, lose a frame or keep memory, if nobody looked after it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from inspector.capture.gate import CameraGate, JobInForce
from inspector.core.recipes import FusingRules, Zone
from inspector.core.records import (
    CameraId,
    Finding,
    Frame,
    FrameRef,
    Outline,
    Result,
    TriggerKind,
    UnitRef,
)
from inspector.core.verdicts import DecidedUnit, FrameResult
from inspector.flow.frame_pool import FramePool
from inspector.flow.inbox import FrameInbox, Lane
from inspector.flow.notices import Notices
from inspector.ops.metrics import Metrics
from inspector.pipeline.build import ignore_frame
from inspector.pipeline.unit_services import SerialsUnderWay
from inspector.results.judging import judge
from inspector.results.verdict_desk import comparable
from inspector.serials.serial_reader import SerialReader
from inspector.settings.types import Size
from inspector.settings.unit_sections import SerialSettings
from inspector.triggers.every_frame import EveryFrame
from tests.kit import jobs
from tests.kit.fake_triton import Act, FakeTriton, serving
from tests.kit.findings import boxed
from tests.kit.pipeline_units import live, patient, unit_line

CAMERA = CameraId("a")
RULES = FusingRules(thresholds=(0.5, 0.8))
OUTLINE = Outline(centre_x_px=50, centre_y_px=50, width_px=40, height_px=40, turn_deg=0)


def unit(kind: TriggerKind, index: int = 0) -> UnitRef:
    return UnitRef(
        camera_id=CAMERA, index=index, kind=kind, triggered_mono_ns=0, triggered_unix_ns=0
    )


def frame_ref(sequence: int, of: UnitRef | None, outline: Outline | None = None) -> FrameRef:
    return FrameRef(
        camera_id=CAMERA,
        sequence=sequence,
        captured_mono_ns=0,
        captured_unix_ns=0,
        unit=of,
        outline=outline,
    )


def defect(left_px: float, confidence: float = 0.9, code_index: int = 0) -> Finding:
    return boxed(
        code_index=code_index,
        confidence=confidence,
        left_px=left_px,
        top_px=10,
        right_px=left_px + 10,
        bottom_px=20,
    )


def judged(
    kind: TriggerKind,
    *frames: tuple[list[Finding], Outline | None],
    zones: tuple[Zone, ...] = (),
) -> Result:
    of = unit(kind)
    results = [
        FrameResult(ref=frame_ref(n, of, outline), findings=tuple(seen), miss=None)
        for n, (seen, outline) in enumerate(frames)
    ]
    decided = DecidedUnit(unit=of, frames_expected=len(frames), frames=tuple(results))
    under = jobs.recipe(codes=("open", "short"), rules=RULES, zones=zones)
    decided, recipe = comparable(decided, under)
    verdict = judge(decided, unit_number=1, recipe=recipe)
    assert len(verdict.inspected) == len(frames)
    return verdict.result


def test_no_zone_counts_for_a_unit_of_which_nobody_knows_where_it_lay() -> None:
    everywhere = ((0.0, 0.0), (640.0, 0.0), (640.0, 480.0), (0.0, 480.0))
    label = Zone(name="label", polygon_px=everywhere, ignore=True)
    for frames, result in (
        ([([defect(10)], OUTLINE)] * 3, Result.PASSED),
        ([([defect(10)], None)] * 3, Result.FAILED),
        ([([defect(10)], None)], Result.FAILED),
    ):
        assert judged(TriggerKind.PRESENCE, *frames, zones=(label,)) is result
    # A camera that is triggered sees each unit at the same place: there the frame is the unit.
    assert judged(TriggerKind.EXTERNAL, ([defect(10)], None), zones=(label,)) is Result.PASSED


@pytest.mark.parametrize("outline_once", [None, OUTLINE])
def test_a_defect_that_moves_with_a_unit_whose_outline_is_not_known_does_not_pass_it(
    outline_once: Outline | None,
) -> None:
    frames = [([defect(10)], outline_once), ([defect(110)], None), ([defect(210)], None)]
    assert judged(TriggerKind.PRESENCE, *frames) is Result.FAILED
    weak = [([defect(10 + 100 * n, 0.79, 1)], None) for n in range(3)]
    assert judged(TriggerKind.PRESENCE, *weak) is Result.PASSED
    mixed = [([defect(10, 0.7, 1)], None), ([defect(110, 0.6)], None), ([], None)]
    assert judged(TriggerKind.PRESENCE, *mixed) is Result.FAILED


def test_frames_that_can_be_compared_still_outvote_one_another() -> None:
    placed = [([defect(10)], OUTLINE), ([], OUTLINE), ([], None)]
    assert judged(TriggerKind.PRESENCE, *placed) is Result.PASSED
    standing = [([defect(10)], None), ([], None), ([], None)]
    assert judged(TriggerKind.EXTERNAL, *standing) is Result.PASSED


def test_a_unit_is_not_decided_later_because_another_cameras_deadline_is_waited_for() -> None:
    async def main() -> None:
        silent = Act(hang=True)
        async with serving(FakeTriton(script=lambda *_: silent)) as fake:
            external = {"trigger": "external", "trigger_wait_ms": 1400}
            settings = patient(
                fake.url,
                {"a": external, "b": external},
                batching={"max_age_ms": 1500.0},
                inspection={"deadline_ms": 1500.0},
                inference={"reply_timeout_s": 3.0},
            )
            async with unit_line(settings, {"a": live(900), "b": live(900)}) as run:
                await run.until(lambda: run.pipeline.captured > 6)
                run.trigger("now", camera="a")
                await asyncio.sleep(0.05)
                run.trigger("a second ago", camera="b", ago_s=1.0)
                await run.until(lambda: len(run.units) == 2)
        assert [u["unit"]["id"] for u in run.units] == ["a second ago", "now"]
        assert run.units[0]["timing_ms"]["trigger_to_verdict"] < 1900

    asyncio.run(main(), debug=True)


def test_a_serial_that_is_looked_for_too_late_is_forgotten() -> None:
    async def main() -> None:
        reader = SerialReader(SerialSettings(timeout_ms=10), metrics=Metrics([CAMERA], []))
        serials = SerialsUnderWay({CAMERA: reader})
        pool = FramePool(buffers=1, size=Size(64, 64))
        lease = pool.lease()
        assert lease is not None
        for index in range(3):
            of = unit(TriggerKind.PRESENCE, index)
            serials.read(Frame(ref=frame_ref(index, of), lease=lease))
            await asyncio.sleep(0)
            assert len(serials._units) == 1
            assert await serials.serial_of(of) is not None
            serials.read(Frame(ref=frame_ref(index, of), lease=lease))
            await asyncio.sleep(0)
            assert not serials._units
        await reader.close()

    asyncio.run(main(), debug=True)


def test_a_frame_is_inspected_also_when_nobody_can_read_its_serial() -> None:
    def fails(_frame: Frame) -> None:
        raise ValueError("not a picture")

    async def main() -> None:
        for on_chosen in (fails, ignore_frame):
            lane = Lane(capacity=2, max_age_ns=None, waits=False)
            inbox = FrameInbox({CAMERA: lane}, on_drop=lambda *_: None)
            notices = Notices()
            job = JobInForce(jobs.job())
            trigger = EveryFrame(notices.put, job_now=job.now)
            gate = CameraGate(trigger, inbox, notices, job=job, on_chosen=on_chosen)
            lease = FramePool(buffers=1, size=Size(64, 64)).lease()
            assert lease is not None
            gate.pass_on(Frame(ref=frame_ref(0, None), lease=lease))
            taken = inbox.take(0)
            assert taken is not None
            assert taken.ref.unit is not None
            assert np.shares_memory(taken.lease.image, lease.image)

    asyncio.run(main(), debug=True)
