"""Units that pass on a belt, are triggered from outside, or are looked at in tiles."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from typing import Any

import pytest

from tests.kit.fake_triton import Act, FakeTriton, serving
from tests.kit.pipeline import Lost, Picture
from tests.kit.pipeline_units import FPS, UnitLine, belt, live, patient, stuck, unit_line

BELT = {"trigger": "presence", "size": "640x240"}
EXTERNAL = {"trigger": "external", "trigger_wait_ms": 1000}


def test_boards_on_a_belt_get_one_verdict_each_of_three_frames_fused() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = patient(fake.url, {"a": BELT})
            async with unit_line(settings, {"a": belt(4, bad=[1, 3])}) as run:
                await asyncio.wait_for(asyncio.shield(run.ended), 15)
        assert run.results() == ["PASSED", "FAILED", "PASSED", "FAILED"]
        assert [u["counts"]["frames_inspected"] for u in run.units] == [3] * 4
        assert run.count("inspector_frames_idle_total", camera="a") > 40
        for unit in run.units:
            assert unit["unit"]["outline_px"] is not None
            for defect in unit["defects"]:
                assert defect["frames_seen"] >= 2
                # Drawn at 60, 60 of the board, 20 by 16.
                assert defect["bbox_px"] == pytest.approx([60, 60, 20, 16], abs=6)

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("max_regions", [2, 4])
def test_a_frame_in_tiles_is_one_frame_and_a_refused_tile_misses_all_of_it(
    max_regions: int,
) -> None:
    # 160 by 120 in tiles of 64 with 16 in common: 3 by 3, in 5 requests of 2 or 3 of 4.
    requests = -(-9 // max_regions)

    def refuse(number: int, _request_id: str) -> Act:
        return Act(refuse="no" if number == requests + 1 else "")

    async def main() -> None:
        async with serving(FakeTriton(script=refuse)) as fake:
            settings = patient(
                fake.url,
                {"a": {"crop": "tiles", "tile_overlap_px": 16}},
                batching={"max_regions": max_regions, "window_ms": 0.0},
            )
            script = live(6, fps=5, spot=(50, 50, 14, 14))
            async with unit_line(settings, {"a": script}) as run:
                await asyncio.wait_for(asyncio.shield(run.ended), 10)
        assert run.results() == ["FAILED", "inference_failed", *["FAILED"] * 4]
        assert run.missed("a") == {"inference_failed": 1}
        assert fake.requests == 6 * requests
        for unit in run.units:
            if unit["result"] == "FAILED":
                assert [d["bbox_px"] for d in unit["defects"]] == [[50, 50, 14, 14]]

    asyncio.run(main(), debug=True)


def has(run: UnitLine, verdicts: int) -> bool:
    return len(run.units) == verdicts


def test_every_trigger_gets_its_verdict_and_frames_between_are_idle() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = patient(fake.url, {"a": EXTERNAL})
            async with unit_line(settings, {"a": live(1000, spot=(10, 10, 20, 20))}) as run:
                await run.until(lambda: run.pipeline.captured > 3)
                for number in range(6):
                    run.trigger(f"u{number}", ago_s=0.01)
                    assert run.trigger(f"u{number}").outcome == "doubled"
                    await run.until(partial(has, run, number + 1))
                run.trigger("u-last")
        assert [u["unit"]["id"] for u in run.units] == [f"u{n}" for n in range(6)] + ["u-last"]
        assert run.results()[:6] == ["FAILED"] * 6
        assert run.results()[6] in ("FAILED", "shutting_down", "no_frame")

    asyncio.run(main(), debug=True)


def test_a_trigger_without_a_frame_in_time_is_not_inspected() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = patient(fake.url, {"a": {**EXTERNAL, "silent_after_s": 5}})
            script = [*live(5), *live(5, start_s=2.0)]
            async with unit_line(settings, {"a": script}) as run:
                await run.until(lambda: run.pipeline.captured == 5)
                await run.until(lambda: run.pipeline.inference is not None)
                run.trigger("lonely", ago_s=-0.1)
                took_s = await run.until(lambda: run.units)
        assert run.results() == ["no_frame"]
        assert took_s < 2.5

    asyncio.run(main(), debug=True)


def test_a_silent_server_costs_the_verdict_and_not_the_deadline() -> None:
    deadline_s = 1.5

    async def main() -> None:
        late = Act(delay_s=2.5)
        async with serving(FakeTriton(script=lambda n, _: late if n == 0 else Act())) as fake:
            settings = patient(
                fake.url,
                {"a": EXTERNAL},
                batching={"max_age_ms": deadline_s * 1000},
                inspection={"deadline_ms": deadline_s * 1000},
                inference={"reply_timeout_s": 3.5, "max_in_flight": 2},
            )
            async with unit_line(settings, {"a": live(400)}) as run:
                await run.until(lambda: run.pipeline.captured > 3)
                run.trigger("first")
                run.trigger("second", ago_s=-0.05)
                took_s = await run.until(lambda: run.units)
                assert deadline_s - 0.1 < took_s < deadline_s + 0.3
                await run.until(lambda: run.late == 2)
                run.trigger("third")
                await run.until(lambda: len(run.units) == 3)
        assert run.results() == ["deadline_missed", "deadline_missed", "PASSED"]
        assert [u["deadline_met"] for u in run.units] == [False, False, True]
        assert run.count("inspector_deadline_missed_total") == 2

    asyncio.run(main(), debug=True)


def test_a_camera_lost_in_the_middle_of_a_unit_closes_it_with_that_reason() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = patient(fake.url, {"a": BELT})
            # Lost where the first board is wholly in view, with one frame taken of it or so.
            whole = [*itertools.islice(belt(1), 10 + 160 // 20 + 4), Lost()]
            async with unit_line(settings, {"a": whole}) as run:
                await asyncio.wait_for(asyncio.shield(run.ended), 10)
        assert run.results() == ["camera_lost"]

    asyncio.run(main(), debug=True)


def test_a_stop_in_the_middle_of_a_unit_gives_it_a_verdict_that_is_not_passed() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = patient(fake.url, {"a": BELT, "b": {**EXTERNAL, "frames_per_unit": 3}})
            scripts = {"a": belt(2), "b": live(2000, fps=8)}
            async with unit_line(settings, scripts) as run:
                await run.until(lambda: run.count("inspector_frames_inspected_total", camera="a"))
                run.trigger("half", camera="b")
                run.stop.set()
                began_s = time.monotonic()
                await run.ended
                assert time.monotonic() - began_s < 2.0
        assert set(run.results("a")) <= {"shutting_down", "PASSED"}
        assert run.results("b") == ["shutting_down"]

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("camera", [{}, EXTERNAL], ids=["every_frame", "external"])
def test_a_frozen_camera_never_passes_a_unit(camera: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = patient(fake.url, {"a": {**camera, "frozen_after_s": 0.4}})
            script = [*live(20), *stuck(150, start_s=0.2), *live(200, start_s=1.7)]
            async with unit_line(settings, {"a": script}) as run:
                await run.until(lambda: run.faults.standing)
                [fault] = run.faults.standing
                assert (fault.kind, fault.subject) == ("camera", "a")
                if camera:
                    run.trigger("frozen")
                    await run.until(lambda: run.units)
                    assert run.results() == ["camera_frozen"]
                frozen_from = len(run.units)
                await run.until(lambda: not run.faults.standing)
                if camera:
                    run.trigger("thawed")
                    await run.until(lambda: len(run.units) == 2)
                else:
                    await run.until(lambda: run.results()[-1] == "PASSED")
        reasons = run.results()[frozen_from:]
        assert reasons[-1] == "PASSED"
        if not camera:
            assert reasons.index("PASSED") > 50
            assert set(reasons) <= {"camera_frozen", "PASSED", "frame_dropped"}
        assert [state for _kind, state, *_ in run.health if _kind == "camera"][-2:] == [
            "raised",
            "cleared",
        ]

    asyncio.run(main(), debug=True)


def test_verdicts_leave_in_the_order_in_which_units_came_whatever_befell_their_frames() -> None:
    def fate(number: int, _request_id: str) -> Act:
        return Act(delay_s=0.03 if number % 5 == 0 else 0.0, refuse="no" if number % 7 == 3 else "")

    async def main() -> None:
        async with serving(FakeTriton(script=fate)) as fake:
            settings = patient(
                fake.url, {"a": EXTERNAL, "b": BELT}, inference={"transport": "unary"}
            )
            async with unit_line(settings, {"a": live(600), "b": belt(3, bad=[0])}) as run:
                await run.until(lambda: run.pipeline.captured > 10)
                for number in range(40):
                    run.trigger(f"u{number}")
                    await asyncio.sleep(0.03)
                await run.until(lambda: len(run.results("a")) == 40)
        numbers = [u["unit"]["id"] for u in run.units if u["camera"] == "a"]
        assert numbers == [f"u{n}" for n in range(40)]

    asyncio.run(main(), debug=True)


def test_the_belts_frame_rate_is_what_the_scripts_say() -> None:
    times = [step.at_s for step in belt(1) if isinstance(step, Picture)]
    assert times == [n / FPS for n in range(len(times))]
