"""What a product's units are judged by: its file, its revision and its reference, together."""

from __future__ import annotations

import numpy as np
import pytest

from inspector.core.basics import Rect
from inspector.core.errors import ConfigurationError
from inspector.core.recipes import CameraRecipe, Cropping
from inspector.products.catalogue import Catalogue
from inspector.products.files import StationTerms
from inspector.products.model_teaching import TaughtModel
from inspector.products.store import ProductStore, TaughtReference, TaughtUnit
from inspector.products.taught_models import TaughtModels
from inspector.settings.sections import CameraSettings, InferenceSettings, InspectionSettings
from tests.kit.taught_graphs import taught_graph


def station(**camera) -> StationTerms:
    top = {"source": "sim:", "size": "640x480", "trigger": "presence"} | camera
    return StationTerms(
        inspection=InspectionSettings(),
        inference=InferenceSettings(version="3"),
        cameras={"top": CameraSettings(**top)},
    )


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(ProductStore(tmp_path), station())


def teach(catalogue, name: str = "a", *, width_px: int = 80, camera: str = "top") -> int:
    mean = np.full((60, width_px, 3), 90, np.uint8)
    taught = TaughtReference(
        mean=mean,
        deviation=np.zeros((60, width_px), np.uint8),
        units=[TaughtUnit(number=n, picture=mean) for n in range(3)],
        camera=camera,
        revision="1",
        made_by="anna",
    )
    return int(catalogue.store.add_reference(name, taught).number)


def refusal(call, *args) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        call(*args)
    return list(refused.value.problems)


def test_a_recipe_has_all_that_the_file_says(catalogue):
    catalogue.store.write(
        "a",
        b"""revision = "C"
[model]
name = "other"
golden = "pcb_golden_inspection"
golden_version = "2"
[inspection]
min_frames_seen = 2
[inspection.thresholds]
short = 0.5
[inspection.severities]
short = "critical"
[inspection.dispositions]
short = "scrap"
[cameras.top]
region = [0, 0, 400, 300]
frames_per_unit = 4
[[zones]]
name = "label"
polygon = [[0, 0], [9, 0], [9, 9]]
thresholds = { open = 0.95 }
""",
    )
    recipe = catalogue.recipe("a")
    assert (recipe.product, recipe.revision) == ("a", "C")
    assert (recipe.model.name, recipe.model.version) == ("other", "")
    assert recipe.golden is None  # there is nothing to compare with
    assert recipe.rules.thresholds[:2] == (0.7, 0.5)
    assert recipe.rules.min_frames_seen == 2
    assert recipe.severities == {"short": "critical"}
    assert recipe.dispositions == {"short": "scrap"}
    assert dict(recipe.cameras) == {
        "top": CameraRecipe(
            cropping=Cropping(
                rect=Rect(0, 0, 400, 300), crop="unit", tile_overlap_px=96, keeps_scale=True
            ),
            frames_of_unit=4,
        )
    }
    [zone] = recipe.zones
    assert (zone.name, zone.thresholds, zone.polygon_px[1]) == ("label", {"open": 0.95}, (9, 0))
    assert recipe.reference is None


def test_a_file_that_changed_is_the_next_revision_of_another_hash(catalogue):
    catalogue.store.write("a", b"[inspection]\nthreshold = 0.7\n")
    first = catalogue.recipe("a")
    assert catalogue.recipe("a") == first
    catalogue.store.write("a", b"[inspection]\nthreshold = 0.8\n")
    second = catalogue.recipe("a")
    assert (first.revision, second.revision) == ("1", "2")
    assert first.sha256 != second.sha256


def test_other_settings_of_the_station_are_another_hash_of_the_same_revision(tmp_path):
    store = ProductStore(tmp_path)
    store.write("a", b"")
    before = Catalogue(store, station()).recipe("a")
    after = Catalogue(store, station(frames_per_unit=5)).recipe("a")
    assert before.revision == after.revision == "1"
    assert before.sha256 != after.sha256


def test_a_file_that_is_refused_is_no_revision(catalogue):
    catalogue.store.write("a", b"[inspection]\nthreshold = 7\n")
    file = catalogue.store.file_of("a")
    told = [f"{file}:2: inspection.threshold: found 7; expected at most 1"]
    assert refusal(catalogue.recipe, "a") == told
    assert catalogue.problems("a") == told
    assert catalogue.store.revisions("a") == ()


def test_the_product_default_needs_no_file_and_can_be_taught(catalogue):
    teach(catalogue, "default")
    catalogue.store.approve("default", 1, by="anna")
    recipe = catalogue.recipe("default")
    assert len(recipe.revision) == 8
    assert recipe.reference is not None
    assert recipe.reference.id == "default/1"
    assert catalogue.store.revisions("default") == ()


def test_units_are_compared_with_the_reference_in_force(catalogue):
    catalogue.store.write("a", b"")
    teach(catalogue)
    assert catalogue.recipe("a").reference is None
    catalogue.store.approve("a", 1, by="anna")
    recipe = catalogue.recipe("a")
    assert recipe.reference is not None
    assert recipe.golden is not None
    assert (recipe.reference.id, recipe.golden.name) == ("a/1", "pcb_golden_inspection")
    catalogue.store.write("a", b'[model]\ngolden = "mine"\ngolden_version = "2"\n')
    golden = catalogue.recipe("a").golden
    assert golden is not None
    assert (golden.name, golden.version) == ("mine", "2")
    catalogue.store.write("a", b'[model]\ngolden = ""\n')
    assert catalogue.recipe("a").golden is None


def test_a_file_names_a_reference_or_asks_for_none(catalogue):
    for number in (1, 2):
        teach(catalogue)
        catalogue.store.approve("a", number, by="anna")
    catalogue.store.write("a", b"[reference]\nversion = 1\n")
    assert catalogue.recipe("a").reference.id == "a/1"
    catalogue.store.write("a", b"[reference]\nuse = false\n")
    assert catalogue.recipe("a").reference is None


def test_a_reference_that_nobody_approved_is_refused(catalogue):
    catalogue.store.write("a", b"[reference]\nversion = 1\n")
    assert refusal(catalogue.recipe, "a")[0].endswith("a has no reference 1; there are: none")
    teach(catalogue)
    [told] = refusal(catalogue.recipe, "a")
    assert told.endswith("a.toml: reference.version: nobody has approved reference a/1")
    assert catalogue.problems("a") == [told]


@pytest.mark.parametrize(
    ("camera", "width_px", "told"),
    [
        ({}, 80, []),
        ({"trigger": "every_frame", "region": (0, 0, 80, 60)}, 80, []),
        (
            {"trigger": "every_frame", "region": (0, 0, 80, 64)},
            80,
            ["reference a/1 is 80x60 pixels; expected 80x64, as units are at top"],
        ),
        (
            {"trigger": "every_frame"},
            80,
            ["reference a/1 is 80x60 pixels; expected 640x480, as units are at top"],
        ),
        (
            {},
            900,
            ["reference a/1 is 900x60 pixels; expected at most 800 on a side, as units are at top"],
        ),
    ],
)  # fmt: skip
def test_a_reference_of_another_size_is_refused(tmp_path, camera, width_px, told):
    catalogue = Catalogue(ProductStore(tmp_path), station(**camera))
    catalogue.store.write("a", b"")
    teach(catalogue, width_px=width_px)
    catalogue.store.approve("a", 1, by="anna")
    file = catalogue.store.file_of("a")
    assert catalogue.problems("a") == [f"{file}: {line}" for line in told]
    if told:
        assert refusal(catalogue.recipe, "a") == catalogue.problems("a")


def test_a_reference_of_a_camera_that_is_gone_is_refused(catalogue):
    catalogue.store.write("a", b"")
    teach(catalogue, camera="side")
    catalogue.store.approve("a", 1, by="anna")
    [told] = catalogue.problems("a")
    assert told.endswith("reference a/1 was taught at camera side; there are: top")


def test_a_zone_outside_the_unit_that_the_reference_shows_is_refused(catalogue):
    zone = b'[[zones]]\nname = "z"\npolygon = [[0, 0], [80, 0], [80, 70]]\nignore = true\n'
    catalogue.store.write("a", zone)
    assert catalogue.problems("a") == []
    teach(catalogue)
    catalogue.store.approve("a", 1, by="anna")
    [told] = catalogue.problems("a")
    assert told.endswith(
        "zones.1.polygon: the corner [80.0, 70.0] is outside the unit; expected x from 0 to 80 and "
        "y from 0 to 60, as reference a/1 shows it"
    )


def test_a_damaged_reference_is_told_once(catalogue):
    catalogue.store.write("a", b"")
    teach(catalogue)
    catalogue.store.approve("a", 1, by="anna")
    (catalogue.store.reference_folder("a", 1) / "mean.png").write_bytes(b"")
    [told] = catalogue.problems("a")
    assert "mean.png: found no picture" in told
    assert refusal(catalogue.recipe, "a") == [told]


def test_an_earlier_revision_is_read_over_todays_settings(catalogue):
    catalogue.store.write("a", b"[inspection]\nthreshold = 0.6\n")
    catalogue.recipe("a")
    catalogue.store.write("a", b"[inspection]\nthreshold = 0.8\n")
    catalogue.recipe("a")
    first, _second = catalogue.store.revisions("a")
    assert catalogue.product_at("a", first).inspection.threshold == 0.6
    assert catalogue.product("a")[0].inspection.threshold == 0.8


def taught_with_a_model(store: ProductStore, name: str = "a") -> bytes:
    mean = np.full((60, 80, 3), 90, np.uint8)
    graph = taught_graph()
    taught = TaughtReference(
        mean=mean,
        deviation=np.zeros((60, 80), np.uint8),
        units=[TaughtUnit(number=n, picture=mean) for n in range(3)],
        camera="top",
        revision="1",
        made_by="anna",
        model=TaughtModel(graph=graph, units=3, usual_times=1.5),
    )
    store.approve(name, store.add_reference(name, taught).number, by="anna")
    return graph


def served(tmp_path, *, is_served: bool = True) -> Catalogue:
    models = TaughtModels(tmp_path / "models", is_served=is_served)
    return Catalogue(ProductStore(tmp_path), station(), models=models)


def test_the_model_that_was_taught_looks_beside_the_comparison(tmp_path):
    catalogue = served(tmp_path)
    catalogue.store.write("a", b"")
    graph = taught_with_a_model(catalogue.store)
    recipe = catalogue.recipe("a")
    assert recipe.taught is not None
    assert [model.name for model in recipe.models] == ["pcb_golden_inspection", recipe.taught.name]
    assert recipe.codes[-1] == "anomaly"
    assert recipe.classes_of(recipe.taught) == ("anomaly",)
    assert recipe.lowest_threshold(recipe.taught) == 0.5
    assert recipe.placed_on is recipe.reference
    file = tmp_path / "models" / recipe.taught.name / "1/model.onnx"
    assert file.read_bytes() == graph


@pytest.mark.parametrize("elsewhere", [False, True])
def test_models_of_references_too_old_to_be_kept_go_from_the_stations_own_folder_only(
    tmp_path, elsewhere
):
    store = ProductStore(tmp_path / "products", references_kept=2)
    folder = tmp_path / ("plant" if elsewhere else "products") / "models"
    catalogue = Catalogue(store, station(), models=TaughtModels(folder, is_served=True))
    store.write("a", b"")
    installed = []
    for _ in range(5):
        taught_with_a_model(store)
        model = catalogue.recipe("a").taught
        assert model is not None
        installed.append(model.name)
    numbers = store.reference_numbers("a")
    assert len(numbers) < len(installed)
    left = {path.name for path in folder.iterdir()}
    assert left == {installed[number - 1] for number in (range(1, 6) if elsewhere else numbers)}


def test_with_the_picture_alone_units_are_laid_on_the_reference_for_the_taught_model(tmp_path):
    catalogue = served(tmp_path)
    catalogue.store.write("a", b'[reference]\njudge = "single"\n')
    taught_with_a_model(catalogue.store)
    recipe = catalogue.recipe("a")
    assert recipe.compared_with is None
    assert recipe.placed_on is not None
    assert recipe.models == (recipe.model, recipe.taught)


def test_a_product_may_do_without_the_taught_model(tmp_path):
    catalogue = served(tmp_path)
    without = b'[reference]\nanomaly = false\ndifferences = "shown"\n'
    catalogue.store.write("a", without)
    taught_with_a_model(catalogue.store)
    recipe = catalogue.recipe("a")
    assert (recipe.taught, recipe.also) == (None, ())
    assert "anomaly" not in recipe.codes


def test_a_server_that_does_not_get_the_model_by_itself_is_asked_only_where_the_file_says(tmp_path):
    catalogue = served(tmp_path, is_served=False)
    catalogue.store.write("a", b"")
    taught_with_a_model(catalogue.store)
    assert catalogue.recipe("a").taught is None
    catalogue.store.write("a", b"[reference]\nanomaly = true\n")
    assert catalogue.recipe("a").taught is not None


def test_a_model_that_was_not_taught_is_not_promised(tmp_path):
    catalogue = served(tmp_path)
    catalogue.store.write("a", b"[reference]\nanomaly = true\n")
    catalogue.store.approve("a", teach(catalogue), by="anna")
    [told] = refusal(catalogue.recipe, "a")
    assert "reference.anomaly: no model was taught with reference a/1" in told


def test_a_taught_model_that_is_damaged_is_refused(tmp_path):
    catalogue = served(tmp_path)
    catalogue.store.write("a", b"")
    taught_with_a_model(catalogue.store)
    file = catalogue.store.reference_folder("a", 1) / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    [told] = refusal(catalogue.recipe, "a")
    assert "model.onnx: damaged" in told


def test_a_forgotten_reference_or_product_takes_its_models_with_it(tmp_path):
    catalogue = served(tmp_path)

    def installed(name: str) -> str:
        taught_with_a_model(catalogue.store, name)
        taught = catalogue.recipe(name).taught
        assert taught is not None
        return taught.name

    for name in ("a", "b"):
        catalogue.store.write(name, b"")
    first, other, newest = installed("a"), installed("b"), installed("a")

    def there():
        return {path.name for path in (tmp_path / "models").iterdir()}

    refusal(lambda _: catalogue.forget("a", 2), "a")
    assert there() == {first, other, newest}
    catalogue.forget("a", 1)
    assert there() == {other, newest}
    catalogue.forget("a")
    assert there() == {other}


def test_a_damaged_reference_can_be_forgotten(tmp_path):
    catalogue = served(tmp_path)
    catalogue.store.write("a", b"")
    taught_with_a_model(catalogue.store)
    (catalogue.store.reference_folder("a", 1) / "reference.json").write_text("{")
    catalogue.forget("a")
    assert catalogue.store.reference_numbers("a") == ()


def test_a_roll_back_takes_the_model_with_it(tmp_path):
    catalogue = served(tmp_path)
    catalogue.store.write("a", b"")
    catalogue.store.approve("a", teach(catalogue), by="anna")
    taught_with_a_model(catalogue.store)
    assert catalogue.recipe("a").taught is not None
    catalogue.store.roll_back("a")
    assert catalogue.recipe("a").taught is None
