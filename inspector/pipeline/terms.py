"""What the settings mean for each stage."""

from __future__ import annotations

from inspector.batching.regions import View
from inspector.batching.window import BatchWindow
from inspector.core.records import Rect
from inspector.flow.inbox import Lane
from inspector.flow.model_pace import ModelPace
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.worker import InferenceLimits
from inspector.results.fusing import FusingRules
from inspector.results.worker import UnitTerms
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


def fusing_rules(settings: Settings) -> FusingRules:
    """When a defect is claimed."""
    inspection = settings.inspection
    return FusingRules(
        thresholds=tuple(inspection.threshold_of(code) for code in inspection.codes),
        min_frames_seen=inspection.min_frames_seen,
        min_size_px=inspection.min_size_px,
    )


def unit_terms(settings: Settings, camera: CameraSettings) -> UnitTerms:
    """When a unit of a camera is decided."""
    waits = camera.when_full == "wait"
    return UnitTerms(
        deadline_ns=None if waits else round(settings.inspection.deadline_ms * NS_PER_MS),
        frames_of_unit=camera.frames_of_unit,
    )


def camera_view(camera: CameraSettings) -> View:
    """What of a camera's frames is inspected."""
    return View(
        rect=Rect(*(camera.region or (0, 0, *camera.size))),
        look=camera.looks_at,
        tile_overlap_px=camera.tile_overlap_px,
    )
