from __future__ import annotations

from typing import Any

from inspector.records import CameraId, TriggerKind, UnitRef
from inspector.results.fusing import FusingRules
from inspector.results.recipes import Recipe, Recipes

TOP, SIDE = CameraId("top"), CameraId("side")


def recipe(threshold: float) -> Recipe:
    builder: Any = None
    return Recipe(rules=FusingRules(thresholds=(threshold,)), builder=builder)


def unit(index: int, camera: CameraId = TOP) -> UnitRef:
    return UnitRef(
        camera_id=camera,
        index=index,
        kind=TriggerKind.EVERY_FRAME,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
    )


def test_a_unit_is_judged_by_what_was_in_force_when_it_was_opened() -> None:
    first, second, third = recipe(0.5), recipe(0.7), recipe(0.3)
    recipes = Recipes(first, [TOP, SIDE])
    recipes.change(second, {TOP: 3, SIDE: 0})
    recipes.change(third, {TOP: 5, SIDE: 0})
    judged_by = [recipes.of(unit(index)) for index in range(7)]
    assert judged_by == [first, first, first, second, second, third, third]
    assert recipes.of(unit(0, SIDE)) is third


def test_frames_are_decoded_down_to_the_lowest_threshold_any_unit_under_way_needs() -> None:
    recipes = Recipes(recipe(0.5), [TOP, SIDE])
    assert recipes.floor(TOP, 1) == 0.5
    recipes.change(recipe(0.8), {TOP: 2, SIDE: 1})
    assert recipes.floor(TOP, 1) == 0.5, "unit 1 is under way, its defects count from 0.5 on"
    recipes.of(unit(1))
    assert recipes.floor(TOP, 1) == 0.5
    recipes.of(unit(2))
    assert recipes.floor(TOP, 1) == 0.8
    assert recipes.floor(TOP, 3) == 0.4, "half of it supports what other frames see"
    recipes.change(recipe(0.2), {TOP: 9, SIDE: 1})
    assert recipes.floor(TOP, 1) == 0.2
    assert recipes.floor(SIDE, 1) == 0.2
