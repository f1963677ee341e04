from __future__ import annotations

from typing import Any

import pytest

from inspector.core.errors import ConfigurationError
from inspector.pipeline.buffers import (
    buffers_needed,
    buffers_of,
    image_memory_bytes,
    require_buffers,
    tensors_needed,
)
from inspector.settings.settings import Settings
from tests.kit.pipeline import settings_for


def station(buffers: int = 0, **sections: Any) -> Settings:
    return settings_for("127.0.0.1:1", {"a": {"buffers": buffers}}, **sections)


def test_what_the_stages_hold_is_summed_from_their_terms() -> None:
    # Capture 1, the trigger 2, the lane 2, pictures of units 10; and batches of 4 frames: one being
    # made, two in flight, one that was answered, one being read.
    assert buffers_needed(station(), "a") == 1 + 2 + 2 + 10 + 4 * (1 + 2 + 1 + 1)
    busy = station(batching={"lane_capacity": 7, "max_regions": 8}, inference={"max_in_flight": 5})
    assert buffers_needed(busy, "a") == 1 + 2 + 7 + 10 + 8 * (1 + 5 + 1 + 1)
    assert (tensors_needed(station()), tensors_needed(busy)) == (4, 7)


def test_the_buffers_that_the_pipeline_needs_are_accepted_and_one_fewer_is_not() -> None:
    needed = buffers_needed(station(), "a")
    for enough in (needed, 0):
        require_buffers(station(enough))
        assert buffers_of(station(enough), "a") == needed
    with pytest.raises(ConfigurationError) as refused:
        require_buffers(station(needed - 1), origin="line.toml")
    (problem,) = refused.value.problems
    assert problem == (
        f"line.toml: cameras.a.buffers is {needed - 1}, expected 0 or at least {needed}, "
        "which the pipeline needs"
    )


def test_image_memory_is_what_the_buffers_take() -> None:
    made = settings_for(
        "127.0.0.1:1", {"a": {"size": "1280x720"}, "b": {"size": "64x32", "buffers": 100}}
    )
    needed = buffers_needed(made, "a")
    assert image_memory_bytes(made) == needed * 1280 * 720 * 3 + 100 * 64 * 32 * 3
