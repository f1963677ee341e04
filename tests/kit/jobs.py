"""Jobs and recipes, for tests that care for little else of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from inspector.core.recipes import (
    CameraRecipe,
    Cropping,
    FusingRules,
    Job,
    JobState,
    ModelName,
    Recipe,
)
from inspector.core.records import CameraId, Rect

CODES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
CROPPING = Cropping(rect=Rect(0, 0, 640, 480))
TOP, SIDE, A, B = CameraId("top"), CameraId("side"), CameraId("a"), CameraId("b")


def recipe(
    *,
    cameras: Iterable[CameraId] = (TOP, SIDE, A, B),
    codes: tuple[str, ...] = CODES,
    thresholds: tuple[float, ...] | None = None,
    cropping: Cropping = CROPPING,
    frames_of_unit: int = 1,
    **more: Any,
) -> Recipe:
    """Of a product that claims what the model is at least half sure of."""
    described: dict[str, Any] = {
        "product": "default",
        "revision": "1",
        "sha256": "0" * 64,
        "codes": codes,
        "rules": FusingRules(thresholds=thresholds or (0.5,) * len(codes)),
        "model": ModelName(name="pcb_inspection"),
        "cameras": {
            camera: CameraRecipe(cropping=cropping, frames_of_unit=frames_of_unit)
            for camera in cameras
        },
    }
    return Recipe(**(described | more))


def job(state: JobState = JobState.INSPECTING, *, number: int = 1, **of_recipe: Any) -> Job:
    return Job(number=number, recipe=recipe(**of_recipe), state=state)


def of_product(job: Job, product: str, **more: Any) -> Job:
    """The same job for another product, whose recipe differs in nothing but what is said."""
    return replace(job, number=job.number + 1, recipe=replace(job.recipe, product=product, **more))
