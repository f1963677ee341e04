from __future__ import annotations

from pathlib import Path
from typing import Any

from inspector.core.recipes import JobState
from inspector.core.records import CameraId
from inspector.pipeline.terms import default_recipe, event_terms, first_job, model_terms, page_terms
from tests.kit.pipeline import settings_for


def digest(**sections: Any) -> str:
    return default_recipe(settings_for("127.0.0.1:1", {"a": {}}, **sections)).sha256


def test_the_default_recipe_changes_with_what_decides_and_with_nothing_else() -> None:
    assert digest() == digest(log={"level": "debug"})
    assert digest() != digest(inspection={"threshold": 0.6})
    assert digest() != digest(inference={"model": "other"})


def test_the_same_settings_keep_the_revision_that_events_named_before_a_key_was_renamed() -> None:
    settings = settings_for("127.0.0.1:1", {"a": {"crop": "tiles"}})
    # Computed when `crop` was called `look`.
    assert default_recipe(settings).revision == "404cfabc"


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
    views = {c: (r.cropping.crop, r.frames_of_unit) for c, r in recipe.cameras.items()}
    assert views == {CameraId("a"): ("region", 1), CameraId("b"): ("unit", 3)}
    assert recipe.revision
    assert recipe.sha256.startswith(recipe.revision)


def test_the_stations_model_must_report_down_to_the_lowest_threshold_of_any_code() -> None:
    settings = settings_for(
        "10.0.0.9:8001",
        {"a": {}},
        inspection={"codes": ["short", "open"], "threshold": 0.6, "thresholds": {"open": 0.3}},
        inference={"colour": "rgb"},
    )
    terms = model_terms(settings)
    assert terms.server.url == "10.0.0.9:8001"
    needs = terms.needs
    assert (needs.codes, needs.lowest_threshold) == (("short", "open"), 0.3)
    assert (needs.stated.colour, needs.is_for_reference) == ("rgb", False)


def test_events_tell_footage_from_a_camera_and_what_is_in_time() -> None:
    recorded = {"source": "file:a.mp4", "when_full": "wait"}
    settings = settings_for(
        "127.0.0.1:1", {"a": {}, "b": recorded}, inspection={"deadline_ms": 1500}
    )
    terms = event_terms(settings)
    assert terms.deadline_ns == 1_500_000_000
    assert {c: t.replayed for c, t in terms.cameras.items()} == {"a": False, "b": True}


def test_the_page_is_told_where_evidence_is_and_what_the_station_has() -> None:
    plain = page_terms(settings_for("127.0.0.1:1", {"a": {}}, journal={"directory": "kept"}))
    assert (plain.journal_folder, plain.evidence_folder) == (Path("kept"), Path("kept/evidence"))
    assert not any([plain.reads_triggers, plain.embeds_triton, plain.needs_token])
    other = page_terms(
        settings_for(
            "embedded",
            {"a": {"trigger": "external"}},
            evidence={"directory": "pictures", "enabled": False},
            http={"token": "secret"},
        )
    )
    assert (other.evidence_folder, other.keeps_evidence) == (Path("pictures"), False)
    assert other.reads_triggers
    assert other.embeds_triton
    assert other.needs_token


def test_each_further_model_must_report_down_to_the_lowest_threshold_of_its_own_codes() -> None:
    settings = settings_for(
        "10.0.0.9:8001",
        {"a": {}},
        inspection={"codes_of": {"label": ["good", "torn"]}, "thresholds": {"torn": 0.4}},
        inference={"also": ["surface", "label/3"], "head": "transposed"},
    )
    terms = model_terms(settings)
    told = {
        str(model): (n.codes, n.lowest_threshold, n.stated.head) for model, n in terms.also.items()
    }
    assert told == {
        "surface": (("anomaly",), 0.5, "auto"),
        "label version 3": (("good", "torn"), 0.4, "auto"),
    }
    assert settings.codes[-3:] == ("anomaly", "good", "torn")
