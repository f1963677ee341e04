"""What the settings mean for each stage."""

from __future__ import annotations

from inspector.batching.window import ModelWindows
from inspector.core.recipes import DEFAULT_PRODUCT, Job, Recipe
from inspector.flow.inbox import Lane
from inspector.flow.model_pace import ModelPaces
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.worker import InferenceLimits
from inspector.products.files import StationTerms, read_product
from inspector.products.recipes import recipe_of
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings

NS_PER_MS = 1_000_000


def tensor_pool(settings: Settings) -> TensorPool:
    """Request tensors, in shared memory where the server may be on this machine."""
    return TensorPool(
        tensors=settings.tensors_needed(),
        max_regions=settings.batching.max_regions,
        shared=settings.inference.tensors != "inline",
    )


def batch_windows(settings: Settings, paces: ModelPaces) -> ModelWindows:
    """When a request is sent."""
    return ModelWindows(
        max_regions=settings.batching.max_regions,
        max_wait_ns=round(settings.batching.window_ms * NS_PER_MS),
        paces=paces,
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


def station_terms(settings: Settings) -> StationTerms:
    """What a product's file is laid over."""
    return StationTerms(
        inspection=settings.inspection, inference=settings.inference, cameras=settings.cameras
    )


def default_recipe(settings: Settings) -> Recipe:
    """The product that the settings describe."""
    nothing_else = read_product(
        b"", name=DEFAULT_PRODUCT, origin="settings", station=station_terms(settings)
    )
    return recipe_of(nothing_else)


def first_job(settings: Settings) -> Job:
    """What a station makes to which nobody has said what it makes."""
    return Job(number=0, recipe=default_recipe(settings))
