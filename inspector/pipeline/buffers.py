"""Calculates the buffers of a pipeline: the sum of those that each of its stages holds."""

from __future__ import annotations

from inspector.batching import worker as batching
from inspector.capture import camera_reader as capture
from inspector.core.errors import ConfigurationError
from inspector.flow.tensor_pool import TensorPool
from inspector.pipeline.terms import camera_lane, inference_limits
from inspector.results import worker as results
from inspector.settings.settings import Settings
from inspector.triggers.presence import trigger

BATCHES_WAITING = 0
"""In the channel to inference: frames wait in the inbox, where fresher ones win."""
OUTCOMES_WAITING = 1
"""In the channel to results."""
BYTES_PER_PIXEL = 3


def buffers_needed(settings: Settings, camera_id: str) -> int:
    """Image buffers of a camera below which capture would skip frames unasked.

    With fewer, capture drops new frames instead of the inbox dropping old ones, and nobody asked
    for that policy.
    """
    lane = camera_lane(settings, settings.cameras[camera_id])
    limits = inference_limits(settings, wait_for_server=False)
    batches = (
        batching.BATCHES_HELD
        + BATCHES_WAITING
        + limits.batches_held
        + OUTCOMES_WAITING
        + results.BATCHES_HELD
    )
    frames = capture.FRAMES_HELD + trigger.FRAMES_HELD + lane.capacity + results.FRAMES_HELD
    return frames + batches * settings.batching.max_regions


def buffers_of(settings: Settings, camera_id: str) -> int:
    """How many image buffers this camera gets."""
    return settings.cameras[camera_id].buffers or buffers_needed(settings, camera_id)


def tensors_needed(settings: Settings) -> int:
    """Input tensors."""
    limits = inference_limits(settings, wait_for_server=False)
    return batching.TENSORS_HELD + BATCHES_WAITING + limits.batches_held


def tensor_pool(settings: Settings) -> TensorPool:
    """Request tensors, in shared memory where the server may be on this machine."""
    return TensorPool(
        tensors=tensors_needed(settings),
        max_regions=settings.batching.max_regions,
        shared=settings.inference.tensors != "inline",
    )


def image_memory_bytes(settings: Settings) -> int:
    """The memory of all frame pools together."""
    return sum(
        buffers_of(settings, c) * s.size.width_px * s.size.height_px * BYTES_PER_PIXEL
        for c, s in settings.cameras.items()
    )


def require_buffers(settings: Settings, *, origin: str = "settings") -> None:
    """Refuse too few.

    Raises:
        ConfigurationError: naming the camera, what it has, and the number needed.

    """
    for camera_id, camera in settings.cameras.items():
        needed = buffers_needed(settings, camera_id)
        if 0 < camera.buffers < needed:
            raise ConfigurationError(
                f"{origin}: cameras.{camera_id}.buffers is {camera.buffers}, expected 0 or at "
                f"least {needed}, which the pipeline needs"
            )
