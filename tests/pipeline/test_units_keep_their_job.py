"""A product that changes while frames are under way: each unit is judged as it was opened."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from inspector.core.recipes import CameraRecipe, Cropping, JobState
from inspector.core.records import CameraId, Rect
from inspector.pipeline.terms import first_job
from tests.kit import jobs
from tests.kit.fake_triton import Act, FakeTriton, serving
from tests.kit.pipeline_units import live, patient, unit_line

CAMERA = CameraId("a")
EXTERNAL = {"trigger": "external", "trigger_wait_ms": 3000, "frames_per_unit": 3}
SPOT = (10, 10, 20, 20)
"""The model is 0.9 sure of it."""
SLOWLY = Act(delay_s=0.4)


def test_a_unit_opened_before_the_swap_is_judged_by_the_old_recipe_and_one_after_by_the_new() -> (
    None
):
    async def main() -> None:
        # What is under way at the swap is not answered before the units after it are opened.
        async with serving(FakeTriton(script=lambda n, _: SLOWLY if n < 4 else Act())) as fake:
            settings = patient(fake.url, {"a": EXTERNAL})
            old = first_job(settings)
            strict = replace(old.recipe.rules, thresholds=(0.95,) * 6)
            lenient = jobs.of_product(old, "b", revision="7", rules=strict)
            beside = CameraRecipe(cropping=Cropping(rect=Rect(80, 60, 80, 60)), frames_of_unit=1)
            elsewhere = jobs.of_product(lenient, "c", cameras={CAMERA: beside}, rules=strict)
            async with unit_line(settings, {"a": live(1000, fps=50, spot=SPOT)}) as run:
                await run.until(lambda: run.pipeline.captured > 3)
                run.trigger("old")
                # The first of its frames is at the model, the others are still to come.
                await run.until(lambda: fake.waiting)
                assert run.pipeline.change_job(lenient) == {CAMERA: 1}
                await run.until(lambda: run.pipeline.handed_on == 3)
                run.trigger("new")
                await run.until(lambda: run.pipeline.handed_on == 6)
                assert run.pipeline.change_job(elsewhere) == {CAMERA: 2}
                run.trigger("newest")
                assert not run.units, "all three are in flight at once"
                await run.until(lambda: len(run.units) == 3)
        units = {unit["unit"]["id"]: unit for unit in run.units}
        assert {name: unit["result"] for name, unit in units.items()} == {
            "old": "FAILED",
            "new": "PASSED",
            "newest": "PASSED",
        }
        assert [u["product"] for u in units.values()] == [
            {"name": "default", "revision": old.recipe.revision},
            {"name": "b", "revision": "7"},
            {"name": "c", "revision": "7"},
        ]
        assert [u["counts"]["frames_inspected"] for u in units.values()] == [3, 3, 1]

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("state", [JobState.TEACHING, JobState.CHANGING_OVER, JobState.NO_PRODUCT])
def test_units_of_a_job_that_does_not_inspect_say_so_and_the_next_ones_are_inspected(
    state: JobState,
) -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = patient(fake.url, {"a": EXTERNAL})
            inspecting = first_job(settings)
            waiting = replace(inspecting, state=state, detail="not now")
            async with unit_line(settings, {"a": live(1000, fps=50, spot=SPOT)}) as run:
                await run.until(lambda: run.pipeline.captured > 3)
                run.pipeline.change_job(waiting)
                run.trigger("u0")
                await run.until(lambda: run.units)
                run.pipeline.change_job(replace(inspecting, order="88", lot="12", context="x"))
                run.trigger("u1")
                await run.until(lambda: len(run.units) == 2)
        assert run.results() == [state.value, "FAILED"]
        assert run.units[0]["detail"] == "not now"
        assert run.missed("a") == {state.value: 3}
        assert (run.units[0]["product"] is None) == (state is JobState.NO_PRODUCT)
        assert [run.units[1][key] for key in ("order", "lot", "context")] == ["88", "12", "x"]
        assert run.units[0]["order"] is None

    asyncio.run(main(), debug=True)
