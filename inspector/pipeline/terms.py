"""What the settings mean for each stage."""

from __future__ import annotations

import hashlib

import orjson

from inspector.batching.window import BatchWindow
from inspector.core.recipes import (
    DEFAULT_PRODUCT,
    CameraRecipe,
    FusingRules,
    Job,
    ModelName,
    Recipe,
    View,
)
from inspector.core.records import CameraId, Rect
from inspector.flow.inbox import Lane
from inspector.flow.model_pace import ModelPace
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.worker import InferenceLimits
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings

NS_PER_MS = 1_000_000
REVISION_CHARACTERS = 8
"""Of the hash of the settings: enough to tell one state of them from the next."""
_DECISIVE = {"region", "look", "tile_overlap_px", "frames_per_unit", "trigger"}
"""Of a camera's settings, what decides over a unit."""


def tensor_pool(settings: Settings) -> TensorPool:
    """Request tensors, in shared memory where the server may be on this machine."""
    return TensorPool(
        tensors=settings.tensors_needed(),
        max_regions=settings.batching.max_regions,
        shared=settings.inference.tensors != "inline",
    )


def batch_window(settings: Settings, pace: ModelPace) -> BatchWindow:
    """When a request is sent."""
    return BatchWindow(
        max_regions=settings.batching.max_regions,
        max_wait_ns=round(settings.batching.window_ms * NS_PER_MS),
        pace=pace,
    )


def inference_limits(settings: Settings, *, wait_for_server: bool) -> InferenceLimits:
    """How much is asked of the server."""
    return InferenceLimits(
        max_in_flight=settings.inference.max_in_flight,
        reply_timeout_s=settings.inference.reply_timeout_s,
        wait_for_server=wait_for_server,
    )


def camera_lane(settings: Settings, camera: CameraSettings) -> Lane:
    """How many frames of a camera wait, and for how long."""
    waits = camera.when_full == "wait"
    max_age_ns = round(settings.batching.max_age_ms * NS_PER_MS)
    return Lane(
        capacity=settings.batching.lane_capacity,
        max_age_ns=None if waits else max_age_ns,
        waits=waits,
    )


def deadline_ns(settings: Settings, camera: CameraSettings) -> int | None:
    """When a unit of a camera is decided; None: recordings wait for the model."""
    waits = camera.when_full == "wait"
    return None if waits else round(settings.inspection.deadline_ms * NS_PER_MS)


def default_recipe(settings: Settings) -> Recipe:
    """The product that the settings describe."""
    inspection = settings.inspection
    digest = _digest(settings)
    return Recipe(
        product=DEFAULT_PRODUCT,
        revision=digest[:REVISION_CHARACTERS],
        sha256=digest,
        codes=inspection.codes,
        rules=FusingRules(
            thresholds=tuple(inspection.threshold_of(code) for code in inspection.codes),
            min_frames_seen=inspection.min_frames_seen,
            min_size_px=inspection.min_size_px,
        ),
        model=ModelName(name=settings.inference.model, version=settings.inference.version),
        cameras={
            CameraId(c): CameraRecipe(view=camera_view(s), frames_of_unit=s.frames_of_unit)
            for c, s in settings.cameras.items()
        },
    )


def first_job(settings: Settings) -> Job:
    """What a station makes to which nobody has said what it makes."""
    return Job(number=0, recipe=default_recipe(settings))


def _digest(settings: Settings) -> str:
    """Of all settings that decide over a unit: same hash, same thresholds."""
    decisive = {
        "inspection": settings.inspection.model_dump(mode="json"),
        "model": settings.inference.model,
        "cameras": {
            c: s.model_dump(mode="json", include=_DECISIVE) for c, s in settings.cameras.items()
        },
    }
    return hashlib.sha256(orjson.dumps(decisive, option=orjson.OPT_SORT_KEYS)).hexdigest()


def camera_view(camera: CameraSettings) -> View:
    """What of a camera's frames is inspected."""
    return View(
        rect=Rect(*(camera.region or (0, 0, *camera.size))),
        crop=camera.looks_at,
        tile_overlap_px=camera.tile_overlap_px,
    )
