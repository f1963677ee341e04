from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inspector.core.recipes import ModelName, Reference, Zone
from tests.kit import jobs

EVERYWHERE = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))


def test_what_may_still_decide_reaches_below_the_threshold_only_where_frames_can_agree() -> None:
    codes = ("open", "short")
    one = jobs.recipe(codes=codes, thresholds=(0.5, 0.8))
    several = jobs.recipe(codes=codes, thresholds=(0.5, 0.8), frames_of_unit=3)
    assert one.floor(jobs.TOP) == 0.5
    assert several.floor(jobs.TOP) == 0.25


def test_a_zone_that_asks_for_less_lowers_what_may_still_decide() -> None:
    zone = Zone(name="hole", polygon_px=EVERYWHERE, thresholds={"short": 0.2})
    assert jobs.recipe(thresholds=(0.5,) * 6, zones=(zone,)).floor(jobs.TOP) == 0.2
    strict = Zone(name="edge", polygon_px=EVERYWHERE, thresholds={"short": 0.9})
    assert jobs.recipe(thresholds=(0.5,) * 6, zones=(strict,)).floor(jobs.TOP) == 0.5


def test_nobody_can_write_into_a_reference() -> None:
    mean, deviation = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    reference = Reference(id="a/1", sha256="0" * 64, mean=mean, deviation=deviation)
    assert np.shares_memory(reference.mean, mean), "shared, not copied"
    for array in (reference.mean, reference.deviation):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_deviation_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"reference a/1 is \(6, 4\), expected \(4, 6\)"):
        Reference(
            id="a/1",
            sha256="0" * 64,
            mean=np.zeros((4, 6, 3), np.uint8),
            deviation=np.zeros((6, 4), np.uint8),
        )


def test_units_are_shown_to_the_golden_model_only_where_there_is_a_reference() -> None:
    golden = ModelName(name="pcb_golden_inspection")
    reference = Reference(
        id="p/1",
        sha256="0" * 64,
        mean=np.zeros((2, 3, 3), np.uint8),
        deviation=np.zeros((2, 3), np.uint8),
    )
    plain = jobs.recipe()
    assert plain.inspected_by == plain.model
    assert replace(plain, golden=golden).inspected_by == plain.model
    assert replace(plain, reference=reference).inspected_by == plain.model
    assert replace(plain, golden=golden, reference=reference).inspected_by == golden


def test_the_server_is_asked_for_a_model_by_name_and_version_alone() -> None:
    known = ModelName(name="m", version="3", file_sha256="ab")
    assert known == ModelName(name="m", version="3")
    assert hash(known) == hash(ModelName(name="m", version="3"))
    assert known != ModelName(name="m")
    assert (str(known), str(ModelName(name="m"))) == ("m version 3", "m")
