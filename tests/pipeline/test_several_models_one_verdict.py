"""Every chosen frame goes to each of the recipe's models; a unit gets one verdict of all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from inspector.core.recipes import Job
from inspector.pipeline.terms import first_job
from tests.kit.fake_triton import Act, Deployed, FakeTriton, serving
from tests.kit.pipeline import Line, Picture, Step, line, recording, settings_for

SPOT = (40, 30, 24, 16)
SECOND = Deployed(name="surface", classes=2, code=1, side_px=96)
TERMS: dict[str, Any] = {
    "inference": {"also": ["surface"]},
    "inspection": {"codes_of": {"surface": ["good_one", "stain"]}},
}


def inspect(fake: FakeTriton, steps: list[Step], **sections: Any) -> Line:
    async def main() -> Line:
        async with serving(fake):
            merged = {name: {**TERMS[name], **sections.get(name, {})} for name in TERMS}
            settings = settings_for(fake.url, {"a": recording()}, **merged)
            job: Job = first_job(settings)
            assert [model.name for model in job.recipe.models] == ["pcb_inspection", "surface"]
            async with line(settings, {"a": steps}) as run:
                await asyncio.wait_for(run.ended, 30)
            return run

    return asyncio.run(main())


def test_a_unit_passes_only_when_both_looked_and_what_either_sees_is_a_defect() -> None:
    fake = FakeTriton(Deployed(code=2), more=[SECOND])
    run = inspect(fake, [Picture(), Picture(spot=SPOT), Picture()])
    assert [unit["result"] for unit in run.units] == ["PASSED", "FAILED", "PASSED"]
    assert fake.asked["pcb_inspection"] >= 1
    assert fake.asked["surface"] >= 1
    bad = run.units[1]
    found = {defect["model"]: (defect["code"], defect["bbox_px"]) for defect in bad["defects"]}
    assert {model: code for model, (code, _) in found.items()} == {
        "pcb_inspection": "mousebite",
        "surface": "stain",
    }
    for _code, box in found.values():
        assert box == pytest.approx(SPOT, abs=3)
    for unit in run.units:
        assert unit["model"] == {"name": "pcb_inspection", "version": "1"}
        assert unit["models"] == [
            {"name": "pcb_inspection", "version": "1"},
            {"name": "surface", "version": "1"},
        ]


def test_no_unit_passes_where_one_of_two_models_refuses() -> None:
    """Whichever of them it is."""
    for refusing in ("pcb_inspection", "surface"):
        fake = FakeTriton(Deployed(), more=[SECOND])
        fake.refuses = refusing
        run = inspect(fake, [Picture(), Picture()])
        assert [unit["result"] for unit in run.units] == ["NOT_INSPECTED"] * 2
        assert {unit["reason"] for unit in run.units} == {"inference_failed"}


def test_what_one_model_sees_fails_a_unit_though_the_other_refuses() -> None:
    fake = FakeTriton(Deployed(), more=[SECOND])
    fake.refuses = "surface"
    run = inspect(fake, [Picture(spot=SPOT)])
    # A frame of which one model said nothing is missed: nothing of it is claimed, and none passes.
    assert [unit["result"] for unit in run.units] == ["NOT_INSPECTED"]


def test_thresholds_are_by_code_over_all_models() -> None:
    """The fake is 0.9 sure of everything."""
    fake = FakeTriton(Deployed(), more=[SECOND])
    strict = {**TERMS["inspection"], "thresholds": {"stain": 0.95}}
    run = inspect(fake, [Picture(spot=SPOT)], inspection=strict)
    assert [defect["code"] for defect in run.units[0]["defects"]] == ["mousebite"]


def test_a_model_that_wants_a_reference_passes_no_unit_of_a_product_without_one() -> None:
    compares = Deployed(
        name="surface",
        classes=2,
        code=1,
        side_px=96,
        channels=2,
        parameters={"channels": "unit,reference"},
    )
    run = inspect(FakeTriton(Deployed(), more=[compares]), [Picture(), Picture(spot=SPOT)])
    assert [unit["reason"] for unit in run.units] == ["model_unavailable"] * 2
    assert {unit["detail"] for unit in run.units} == {
        "model surface sees units on a reference; there is none"
    }


def test_an_answer_of_a_class_that_a_further_model_has_not_is_no_verdict() -> None:
    def says_class_five(response: Any) -> None:
        names = [output.name for output in response.outputs]
        if response.model_name == "surface":
            number = names.index("classes")
            raw = bytearray(response.raw_output_contents[number])
            raw[0:4] = (5).to_bytes(4, "little")
            response.raw_output_contents[number] = bytes(raw)

    fake = FakeTriton(Deployed(), script=lambda _n, _id: Act(edit=says_class_five), more=[SECOND])
    run = inspect(fake, [Picture(spot=SPOT)])
    assert [unit["reason"] for unit in run.units] == ["malformed_reply"]
