from __future__ import annotations

from typing import Any

from inspector.core.recipes import JobState
from inspector.core.records import CameraId
from inspector.pipeline.terms import default_recipe, first_job
from tests.kit.pipeline import settings_for


def digest(**sections: Any) -> str:
    return default_recipe(settings_for("127.0.0.1:1", {"a": {}}, **sections)).sha256


def test_the_default_recipe_changes_with_what_decides_and_with_nothing_else() -> None:
    assert digest() == digest(log={"level": "debug"})
    assert digest() != digest(inspection={"threshold": 0.6})
    assert digest() != digest(inference={"model": "other"})


def test_the_settings_describe_a_product_that_is_inspected_from_the_start() -> None:
    settings = settings_for(
        "127.0.0.1:1",
        {"a": {"region": [0, 0, 80, 60]}, "b": {"trigger": "presence"}},
        inspection={"threshold": 0.6, "thresholds": {"short": 0.9}},
    )
    job = first_job(settings)
    recipe = job.recipe
    assert (recipe.product, job.state) == ("default", JobState.INSPECTING)
    assert dict(zip(recipe.codes, recipe.rules.thresholds, strict=True))["short"] == 0.9
    views = {c: (r.view.crop, r.frames_of_unit) for c, r in recipe.cameras.items()}
    assert views == {CameraId("a"): ("region", 1), CameraId("b"): ("unit", 3)}
    assert recipe.revision
    assert recipe.sha256.startswith(recipe.revision)
