from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import CameraId
from inspector.results.fusing import FusingRules
from inspector.results.recipes import Recipe, Recipes
from tests.kit.units_in_view import SIDE, TOP, unit


def recipe(threshold: float) -> Recipe:
    builder: Any = None
    return Recipe(rules=FusingRules(thresholds=(threshold,)), builder=builder)


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


steps = st.lists(
    st.one_of(
        st.tuples(st.just("opened"), st.sampled_from([TOP, SIDE])),
        st.tuples(st.just("judged"), st.sampled_from([TOP, SIDE])),
        st.tuples(st.just("changed"), st.floats(0.1, 0.9)),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_changes_when_each_unit_is_judged_by_what_was_in_force_at_its_opening(
    steps: list[tuple[str, Any]],
) -> None:
    latest = recipe(0.5)
    recipes = Recipes(latest, [TOP, SIDE])
    opened: dict[CameraId, list[Recipe]] = {TOP: [], SIDE: []}
    judged = {TOP: 0, SIDE: 0}
    for what, which in steps:
        if what == "changed":
            latest = recipe(which)
            recipes.change(latest, {camera: len(units) for camera, units in opened.items()})
        elif what == "opened":
            opened[which].append(latest)
        elif judged[which] < len(opened[which]):
            for _ in range(2):  # frame after frame, then for the verdict
                assert recipes.of(unit(judged[which], which)) is opened[which][judged[which]]
            judged[which] += 1
        for camera, units in opened.items():
            needed = [latest, *units[judged[camera] :]]
            for frames in (1, 3):
                lowest = min(one.rules.floor(frames) for one in needed)
                assert recipes.floor(camera, frames) <= lowest, "a defect would not be seen"
    for camera, units in opened.items():
        recipes.of(unit(len(units), camera))
        assert recipes.floor(camera, 1) == latest.rules.floor(1), "nothing old is kept for ever"
