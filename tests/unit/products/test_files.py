"""What a product's file may say, and the line that tells what is wrong with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inspector.core.errors import ConfigurationError
from inspector.core.recipes import ANOMALY, ModelName, Stated
from inspector.products.files import (
    Product,
    ProductFile,
    StationTerms,
    ZonePart,
    read_product,
)
from inspector.products.recipes import TAUGHT_ALONE, recipe_of
from inspector.settings.sections import CameraSettings, InferenceSettings, InspectionSettings
from tests.kit import compared_units as compared

STATION = StationTerms(
    inspection=InspectionSettings(threshold=0.7, thresholds={"short": 0.6}),
    inference=InferenceSettings(version="2"),
    cameras={
        "top": CameraSettings(
            source="sim:",  # type: ignore[arg-type]
            size="1280x720",  # type: ignore[arg-type]
            trigger="presence",
            serial={"pattern": "X.*"},  # type: ignore[arg-type]
        ),
        "side": CameraSettings(source="sim:", size="640x480", region=(0, 0, 600, 400)),  # type: ignore[arg-type]
    },
)


def read(text: str, name: str = "a") -> Product:
    return read_product(text.encode(), name=name, origin=f"{name}.toml", station=STATION)


def refusals(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        read(text)
    return list(refused.value.problems)


def test_an_empty_file_is_the_station_as_it_is_set_up():
    product = read("")
    assert product.name == "a"
    assert product.inspection == STATION.inspection
    assert product.inference == STATION.inference
    assert product.cameras == STATION.cameras
    assert not product.serial_pattern


def test_a_key_by_its_old_name_is_read_and_said_with_its_line():
    product = read('revision = "C"\n[cameras.top]\nlook = "tiles"\n')
    assert product.cameras["top"].crop == "tiles"
    assert [str(name) for name in product.old_names] == [
        'a.toml:3: cameras.top.look: renamed to "crop"; the old name still works, please change it'
    ]


def test_each_key_replaces_the_settings_key_of_its_name():
    product = read(
        """
        name = "a"
        revision = "C"
        [model]
        name = "other"
        golden = "pcb_golden_inspection"
        [inspection]
        threshold = 0.8
        min_size_px = 4
        [inspection.severities]
        open = "critical"
        [cameras.top]
        region = [280, 0, 720, 720]
        crop = "tiles"
        frames_per_unit = 5
        serial_pattern = "A-[0-9]+"
        """
    )
    assert product.said.revision == "C"
    # The version that the settings name is one of their own model.
    assert (product.inference.model, product.inference.version) == ("other", "")
    assert product.inspection.threshold_of("open") == 0.8
    assert product.inspection.threshold_of("short") == 0.6
    assert product.inspection.min_size_px == 4
    top = product.cameras["top"]
    assert (top.region, top.cropped_to, top.frames_of_unit) == ((280, 0, 720, 720), "tiles", 5)
    assert product.cameras["side"] == STATION.cameras["side"]
    assert product.serial_pattern == "A-[0-9]+"


def test_what_is_said_of_the_stations_model_is_not_said_of_a_products_own():
    stated = {"enlarge": True, "head": "end_to_end", "mean": (0.5, 0.5, 0.5), "padding": 0}
    station = replace(STATION, inference=STATION.inference.model_copy(update=stated))
    other = read_product(b'[model]\nname = "other"\n', name="a", origin="a", station=station)
    assert other.model.stated == Stated()
    same = read_product(b"", name="a", origin="a", station=station)
    assert same.model.stated == Stated(
        enlarge=True, head="end_to_end", mean=(0.5, 0.5, 0.5), padding=0
    )
    its_own = read_product(
        b'[model]\nname = "other"\nhead = "rt_detr"\nenlarge = true\ndeviation = [0.2, 0.2, 0.3]\n',
        name="a",
        origin="a",
        station=station,
    )
    assert its_own.model.stated == Stated(head="rt_detr", enlarge=True, deviation=(0.2, 0.2, 0.3))
    # Two products with one model that they state differently ask two models.
    assert its_own.model != other.model


def test_a_table_replaces_the_settings_table_as_a_whole():
    product = read("[inspection.thresholds]\nopen = 0.5\n")
    assert product.inspection.thresholds == {"open": 0.5}


def test_other_codes_keep_the_settings_thresholds_of_the_codes_they_share():
    product = read('[inspection]\ncodes = ["scratch", "short"]\n')
    assert product.inspection.codes == ("scratch", "short")
    assert product.inspection.thresholds == {"short": 0.6}


ZONE = '[[zones]]\nname = "label"\npolygon = [[0, 0], [90, 0], [90, 40]]\nignore = true\n'


def test_a_zone_has_corners_and_a_rule():
    [zone] = read(ZONE).said.zones
    assert (zone.name, zone.ignore, zone.polygon[1]) == ("label", True, (90.0, 0.0))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = \n", "a.toml:1: not valid TOML: Invalid value (at line 1, column 5)"),
        (
            'name = "b"\n',
            "a.toml:1: name: found 'b'; expected 'a', as the file is called",
        ),
        (
            "\n[inspection]\n\ntreshold = 0.5\n",
            'a.toml:4: inspection.treshold: unknown key "treshold"; did you mean "threshold"?',
        ),
        (
            "[inspection]\nthreshold = 7\n",
            "a.toml:2: inspection.threshold: found 7; expected at most 1",
        ),
        (
            '[inspection]\nthreshold = "0.5"\n',
            "a.toml:2: inspection.threshold: found '0.5'; expected a number",
        ),
        (
            "[inspection]\nthreshold = nan\n",
            "a.toml:2: inspection.threshold: found nan; expected at most 1",
        ),
        (
            '[inspection.severities]\nshrot = "major"\n',
            (
                "a.toml:2: inspection.severities.shrot: unknown code; expected one of: "
                "open, short, mousebite, spur, copper, pin-hole, anomaly"
            ),
        ),
        (
            '[inspection.severities]\nshort = "Very bad"\n',
            (
                "a.toml:2: inspection.severities.short: found 'Very bad'; expected lower-case "
                "letters, digits, - and _, at most 32, a letter or digit first"
            ),
        ),
        (
            "[inspection]\nmin_frames_seen = 2\n",
            (
                "a.toml:2: inspection.min_frames_seen: found 2; expected at most the 1 frames that "
                "camera side inspects of a unit"
            ),
        ),
        (
            "[cameras.left]\nregion = [0, 0, 9, 9]\n",
            "a.toml:1: cameras.left: unknown camera; expected one of: top, side",
        ),
        (
            '[cameras.side]\nserial_pattern = "S.*"\n',
            (
                "a.toml:2: cameras.side.serial_pattern: no serial is read there; expected a "
                "section [cameras.side.serial] in the settings"
            ),
        ),
        (
            '[cameras.top]\nserial_pattern = "("\n',
            (
                "a.toml:2: cameras.top.serial_pattern: found '('; expected a regular expression "
                "(missing ), unterminated subpattern at position 0)"
            ),
        ),
        (
            "[cameras.top]\nregion = [900, 0, 720, 720]\n",
            (
                "a.toml:1: cameras.top: region is [900, 0, 720, 720], expected x, y, width and "
                "height of a part of the 1280x720 picture, at least 16 pixels wide and high"
            ),
        ),
        (
            ZONE + ZONE,
            "a.toml:6: zones.2.name: found 'label' twice; expected it once",
        ),
        (
            ZONE.replace("[90, 40]", "[90, 4000]"),
            (
                "a.toml:3: zones.1.polygon: the corner [90.0, 4000.0] is outside the unit; "
                "expected x from 0 to 1468.6 and y from 0 to 1468.6"
            ),
        ),
        (
            ZONE.replace("[90, 40]", "[90, 0]"),
            (
                "a.toml:3: zones.1.polygon: found [[0, 0], [90, 0], [90, 0]]; "
                "expected corners that enclose at least one pixel"
            ),
        ),
        (
            ZONE.replace("ignore = true", "ignore = false"),
            "a.toml:1: zones.1: expected either ignore = true or thresholds of its own",
        ),
        (
            ZONE.replace("ignore = true", "thresholds = { shrot = 0.9 }"),
            (
                "a.toml:4: zones.1.thresholds.shrot: unknown code; expected one of: "
                "open, short, mousebite, spur, copper, pin-hole, anomaly"
            ),
        ),
        (
            ZONE.replace(", [90, 40]", ""),
            "a.toml:3: zones.1.polygon: found [[0, 0], [90, 0]]; expected at least 3 entries",
        ),
        (
            '[model]\nversion = "two"\n',
            "a.toml:2: model.version: found 'two'; expected a number, or nothing for the newest",
        ),
        (
            "zones = 3\n",
            "a.toml:1: zones: found 3; expected a section for each zone, such as [[zones]]",
        ),
        (
            "[[cameras]]\n",
            (
                "a.toml:1: cameras: found [{}]; expected a section for each camera, "
                "such as [cameras.top]"
            ),
        ),
    ],
)
def test_a_mistake_is_one_line_with_file_line_and_key(text, told):
    assert refusals(text) == [told]


def test_every_mistake_of_a_file_is_told():
    told = refusals(
        "[inspection.severities]\nshrot = 'major'\n[cameras.left]\n[cameras.top]\n"
        "region = [0, 0, 1, 1]\n"
    )
    assert [line.split(": ")[:2] for line in told] == [
        ["a.toml:2", "inspection.severities.shrot"],
        ["a.toml:3", "cameras.left"],
        ["a.toml:4", "cameras.top"],
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a = 1\n\xff\n", "a.toml:2: byte 6 is not UTF-8; expected a TOML file saved as UTF-8"),
        (b"#" * 70_000, "a.toml: found 70000 bytes; expected at most 65536"),
    ],
)
def test_what_is_no_text_is_refused(content, told):
    with pytest.raises(ConfigurationError) as refused:
        read_product(content, name="a", origin="a.toml", station=STATION)
    assert refused.value.problems == (told,)


def test_a_file_of_windows_is_read():
    product = read_product(
        b"\xef\xbb\xbf[inspection]\r\nthreshold = 0.9\r\n",
        name="a", origin="a.toml", station=STATION,
    )  # fmt: skip
    assert product.inspection.threshold == 0.9


EXAMPLE = Path(__file__).parents[3] / "config" / "products" / "example.toml"


def test_the_example_we_ship_is_accepted_and_shows_every_key():
    text = EXAMPLE.read_text(encoding="utf-8").replace("# version", "version")
    product = read(text, "example")
    assert product.said.model_fields_set == set(ProductFile.model_fields)
    parts = (
        product.said.model,
        product.said.inspection,
        product.said.cameras["top"],
        product.said.reference,
    )
    for part in parts:
        assert part.model_fields_set == set(type(part).model_fields)
    shown = set().union(*(zone.model_fields_set for zone in product.said.zones))
    assert shown == set(ZonePart.model_fields)


FURTHER = """
[model]
also = ["surface", "label/2"]
[inspection.codes_of]
label = ["good", "missing_label"]
[inspection.thresholds]
missing_label = 0.8
"""


def test_a_product_names_further_models_and_their_codes_count_everywhere():
    product = read(
        FURTHER + '[[zones]]\nname = "z"\npolygon = [[0, 0], [9, 0], [9, 9]]\n'
        "thresholds = { anomaly = 0.9 }\n"
    )
    assert [(m.name, m.version) for m in product.also] == [("surface", ""), ("label", "2")]
    assert product.codes == (*STATION.inspection.codes, "anomaly", "good", "missing_label")
    recipe = recipe_of(product)
    assert recipe.models == (product.model, *product.also)
    assert recipe.classes_of(product.model) == STATION.inspection.codes
    assert [recipe.classes_of(m) for m in product.also] == [
        ("anomaly",),
        ("good", "missing_label"),
    ]
    thresholds = dict(zip(recipe.codes, recipe.rules.thresholds, strict=True))
    # An anomaly score has its border in the middle; the others have the station's threshold.
    assert (thresholds["anomaly"], thresholds["missing_label"], thresholds["open"]) == (
        0.5,
        0.8,
        0.7,
    )
    surface, label = product.also
    assert recipe.lowest_threshold(surface) == 0.5
    assert recipe.lowest_threshold(label) == 0.7
    assert recipe.lowest_threshold(product.model) == 0.7


def test_a_recipe_hash_tells_further_models_and_stays_as_it_was_without_them():
    plain, further = recipe_of(read("")), recipe_of(read(FURTHER))
    assert plain.sha256 != further.sha256
    assert not plain.codes_of
    assert recipe_of(read('[model]\nalso = ["surface"]\n')).sha256 not in {
        plain.sha256,
        recipe_of(read('[model]\nalso = ["surface/2"]\n')).sha256,
    }
    # As versions before there were further models made it.
    assert plain.sha256 == "dc9c45b8165b908a93c808fc91184533f130c4328ae2871243b0b50e88f90175"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[model]\nalso = ["pcb_inspection"]\n', "name 'pcb_inspection' twice"),
        ('[model]\nalso = ["a", "a/2"]\n', "name 'a' twice"),
        ('[model]\nalso = ["a/x"]\n', "a.toml:2: model.also.1: "),
        ("[inspection.thresholds]\nstain = 0.5\n", "unknown code; expected one of: open"),
        ('[inspection.codes_of]\nlabel = ["a", "a"]\n', "expected each code once"),
    ],
)
def test_further_models_that_cannot_be_are_refused_with_file_and_key(text: str, told: str):
    (problem,) = refusals(text)
    assert told in problem
    assert problem.startswith("a.toml")


def test_what_differs_from_the_reference_is_a_defect_of_its_own_code_if_the_file_says_so() -> None:
    of = compared.reference()
    recipe = recipe_of(read(""), reference=of)
    assert recipe.differences == "defects"
    assert recipe.codes == (*STATION.inspection.codes, ANOMALY)
    assert recipe.golden is not None
    assert recipe.classes_of(recipe.golden) == STATION.inspection.codes
    assert recipe.rules.thresholds[-1] == 0.5
    stricter = recipe_of(read("[inspection.thresholds]\nanomaly = 0.3\n"), reference=of)
    assert stricter.rules.thresholds[-1] == 0.3
    for text, wanted in (
        ('[reference]\ndifferences = "shown"\n', "shown"),
        ('[reference]\ndifferences = "ignored"\n', "ignored"),
        ('[reference]\njudge = "single"\n', "ignored"),
    ):
        other = recipe_of(read(text), reference=of)
        assert (other.differences, other.codes) == (wanted, STATION.inspection.codes)
    taught = ModelName(name="anomaly-a-1")
    beside = recipe_of(read(""), reference=of, taught=taught)
    assert beside.rules.least_alone == {taught.name: TAUGHT_ALONE}
    for text in (
        '[reference]\ndifferences = "ignored"\n',
        "[inspection.thresholds]\nanomaly = 0.5\n",
    ):
        assert recipe_of(read(text), reference=of, taught=taught).rules.least_alone == {}
    alone = recipe_of(read(""))
    assert (alone.differences, alone.codes) == ("ignored", STATION.inspection.codes)
    with pytest.raises(ConfigurationError, match=r"reference\.differences"):
        read('[reference]\ndifferences = "told"\n')


def test_expected_parts_are_a_number_or_places_with_a_tolerance():
    product = read(
        "[expect]\nopen = 4\nshort = { places = [[10, 20], [30.5, 20]], tolerance_px = 6 }\n"
        '[inspection.severities]\nmissing = "critical"\n'
    )
    recipe = recipe_of(product)
    assert recipe.codes == (*STATION.inspection.codes, "missing", "extra", "displaced")
    number, placed = recipe.expected
    assert (number.name, number.count, number.places_px) == ("open", 4, ())
    assert (placed.count, placed.places_px, placed.tolerance_px) == (2, ((10, 20), (30.5, 20)), 6)
    assert recipe.classes_of(product.model) == STATION.inspection.codes
    assert recipe_of(read("")).expected == ()
    assert recipe_of(read("")).codes == STATION.inspection.codes
    assert recipe.sha256 != recipe_of(read("")).sha256


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[expect]\nscrew = 4\n", "expect.screw: unknown code; expected one of: open, short"),
        ("[expect]\nmissing = 1\n", "expect.missing: unknown code; expected one of: open, short"),
        (
            "[expect]\nopen = 1\n[inspection.thresholds]\nmissing = 0.5\n",
            "inspection.thresholds.missing: unknown code",
        ),
        ("[expect]\nopen = -1\n", "expect.open"),
        ("[expect]\nopen = {}\n", "expect.open"),
        (
            "[expect]\nopen = { places = [[10, 99999]] }\n",
            "the place [10.0, 99999.0] is outside the unit; expected x from 0 to",
        ),
        ('[inspection.severities]\nmissing = "critical"\n', "unknown code"),
    ],
)
def test_expected_parts_that_cannot_be_are_refused_with_file_and_key(text: str, told: str):
    (problem,) = refusals(text)
    assert told in problem
    assert problem.startswith("a.toml")
