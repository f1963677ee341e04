"""Pictures that do not fit the model's input are findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inspector.core.records import ModelInput
from inspector.doctor.findings import Mark
from inspector.doctor.regions import regions_that_misfit
from inspector.settings.settings import Settings

MODEL = ModelInput(
    name="image", width_px=640, height_px=640, channels_first=False, dtype="UINT8", rgb=False
)
OWN_SCALE = replace(MODEL, own_scale=True)


def station(**camera: Any) -> Settings:
    top = {"source": "sim:", "size": "1280x720"} | camera
    return Settings.model_validate(
        {"station": {"site": "a", "line": "b", "name": "c"}, "cameras": {"top": top}}
    )


@pytest.mark.parametrize("model", [MODEL, OWN_SCALE])
@pytest.mark.parametrize(
    "camera",
    [
        {"region": [280, 0, 700, 700]},
        {"size": "640x480"},
        {"crop": "tiles"},
        {"crop": "unit_tiles"},
        {"trigger": "presence"},
    ],
)
def test_what_is_seen_as_it_is_or_not_known_is_no_finding(
    camera: dict[str, Any], model: ModelInput
) -> None:
    assert regions_that_misfit(station(**camera), model) == []


def test_a_picture_that_is_shrunk_is_told_with_its_factor_and_the_remedy() -> None:
    [found] = regions_that_misfit(station(), MODEL)
    assert (found.what, found.mark) == ("region of camera top", Mark.WARN)
    assert found.found == (
        "1280x720 is shrunk to 640x360 for the model (x0.50): small defects vanish"
    )
    assert "cameras.top.region" in found.advice
    assert 'cameras.top.crop to "tiles"' in found.advice


def test_so_is_one_whose_crop_was_chosen_for_a_model_of_the_pictures_own_scale() -> None:
    [found] = regions_that_misfit(station(crop="region"), OWN_SCALE)
    assert found.mark is Mark.WARN


def test_tiles_that_nobody_chose_are_told_with_what_they_cost() -> None:
    [found] = regions_that_misfit(station(), OWN_SCALE)
    assert found.mark is Mark.OK
    assert "1280x720 is inspected in 6 tiles of up to 640x640" in found.found


@pytest.mark.parametrize(
    "model",
    [
        replace(MODEL, enlarges=True),
        replace(MODEL, stretches=True),
        replace(MODEL, registered=True),
    ],
)
def test_a_model_that_was_trained_on_scaled_pictures_is_shown_such(model: ModelInput) -> None:
    assert regions_that_misfit(station(), model) == []


def test_a_small_region_is_told() -> None:
    [found] = regions_that_misfit(station(size="300x200"), MODEL)
    assert found.mark is Mark.WARN
    assert "its region of 300x200 fills little" in found.found
