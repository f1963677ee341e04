from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from inspector.core.errors import ConfigurationError
from inspector.core.optics import OpticsBaseline
from inspector.products.files import StationTerms
from inspector.products.store import ProductStore, reference_sha256
from inspector.settings.sections import CameraSettings, InferenceSettings, InspectionSettings
from tests.kit.taught_references import taught_reference

STATION = StationTerms(
    inspection=InspectionSettings(),
    inference=InferenceSettings(),
    cameras={"top": CameraSettings(source="sim:", size="640x480")},  # type: ignore[arg-type]
)


@pytest.fixture
def store(tmp_path):
    return ProductStore(tmp_path / "products")


def refusal(call, *args, **kwargs) -> str:
    with pytest.raises(ConfigurationError) as refused:
        call(*args, **kwargs)
    return str(refused.value)


def test_a_station_without_files_has_the_product_default(store):
    assert store.names() == ("default",)
    assert store.content("default") == b""
    assert store.read("default", STATION).inspection == STATION.inspection


def test_files_are_found_by_the_name_of_their_product(store):
    for name in ("4711", "a/b", "Ä"):
        store.write(name, b"[inspection]\nthreshold = 0.9\n")
    assert store.names() == ("4711", "a/b", "default", "Ä")
    assert store.read("a/b", STATION).inspection.threshold == 0.9
    assert {p.name for p in store.directory.iterdir()} == {
        "4711.toml", "a%2Fb.toml", "versions", "Ä.toml",
    }  # fmt: skip


def test_an_unknown_product_is_refused_with_those_that_are_known(store):
    store.write("a", b"")
    told = refusal(store.content, "b")
    assert told == f"{store.directory}/b.toml: no such product; known are: a, default"


def test_a_file_that_is_no_products_is_told(store):
    store.write("a", b"")
    (store.directory / "a%2fb.toml").write_bytes(b"")
    assert "a%2fb.toml: the name of the file: found 'a%2fb'" in refusal(store.names)


def test_each_content_that_came_into_force_is_kept_once(store):
    first = store.note_revision("a", b"# one\n")
    second = store.note_revision("a", b"# two\n")
    again = store.note_revision("a", b"# one\n")
    assert (first.number, first.text, second.number, second.text) == (1, "1", 2, "2")
    assert again == first
    assert store.revisions("a") == (first, second)
    assert store.revision_content("a", second) == b"# two\n"
    unseen = store.revision_of("a", b"# three\n")
    assert (unseen.number, unseen.text) == (0, "3")


def test_a_revision_is_called_as_its_file_says_and_never_as_another_one(store):
    contents = [b'revision = "C"\n', b'revision = "C"\n#\n', b"#\n", b'revision = "3"\n']
    texts = [store.note_revision("a", content).text for content in contents]
    assert texts == ["C", "C.2", "3", "3.2"]


def test_a_reference_comes_back_as_it_was_stored(store):
    made = taught_reference()
    stored = store.add_reference("a", made)
    loaded = store.load_reference("a", 1)
    assert (stored.id, stored.camera, stored.revision, stored.units_used) == ("a/1", "top", "C", 3)
    assert stored == store.reference("a", 1)
    assert np.array_equal(loaded.mean, made.mean)
    assert np.array_equal(loaded.deviation, made.deviation)
    assert loaded.sha256 == stored.sha256 == reference_sha256(made.mean, made.deviation)
    assert not loaded.mean.flags.writeable
    [left_out] = [unit for unit in stored.units if not unit.used]
    assert (left_out.why, left_out.places) == ("differs", ((1, 2, 3, 4),))
    assert store.unit_picture("a", 1, left_out).startswith(b"\xff\xd8")


def test_a_reference_is_in_force_once_it_is_approved(store):
    store.add_reference("a", taught_reference(80))
    store.add_reference("a", taught_reference(90))
    assert store.approvals("a").in_force is None
    store.approve("a", 1, by="anna")
    approval = store.approve("a", None, by="ben")
    assert (approval.number, store.approvals("a").in_force) == (2, 2)
    said = store.approvals("a").of(1)
    assert said is not None
    assert said.by == "anna"


def test_rolling_back_goes_back_step_by_step(store):
    for shade, number in ((80, 1), (90, 2), (100, 3)):
        store.add_reference("a", taught_reference(shade))
        store.approve("a", number, by="anna")
    assert store.roll_back("a") == 2
    assert store.roll_back("a") == 1
    assert refusal(store.roll_back, "a") == (
        "a has no earlier reference to go back to; approved: only 1"
    )
    store.approve("a", 3, by="ben")
    assert store.roll_back("a") == 1


def test_what_is_not_there_cannot_be_approved(store):
    assert refusal(store.approve, "a", None, by="x") == "a has no reference; teach it first"
    store.add_reference("a", taught_reference())
    assert refusal(store.approve, "a", 7, by="x").endswith("a has no reference 7; there are: 1")


@pytest.mark.parametrize("file", ["mean.png", "deviation.png"])
def test_a_reference_with_other_pixels_is_refused(store, file):
    store.add_reference("a", taught_reference(80))
    store.add_reference("b", taught_reference(90))
    ours, other = (store.reference_folder(name, 1) / file for name in "ab")
    if file == "deviation.png":
        other = other.with_name("mean.png")
    ours.write_bytes(other.read_bytes())
    told = refusal(store.load_reference, "a", 1)
    assert ("a/1 is damaged: its pixels hash to" in told) == (file == "mean.png")
    assert ("found no picture; expected 80x60" in told) == (file == "deviation.png")
    assert store.approvals("a").in_force is None
    assert refusal(store.approve, "a", 1, by="x") == told


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n\x1a\n", b"x" * 1000])
def test_a_reference_whose_picture_is_cut_short_is_refused(store, damage):
    store.add_reference("a", taught_reference())
    file = store.reference_folder("a", 1) / "mean.png"
    file.write_bytes(damage or file.read_bytes()[:-40])
    told = refusal(store.load_reference, "a", 1)
    assert told.startswith(str(file.parent))


def test_a_picture_that_claims_to_be_gigabytes_is_not_decoded(store):
    store.add_reference("a", taught_reference())
    file = store.reference_folder("a", 1) / "mean.png"
    content = bytearray(file.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    file.write_bytes(content)
    assert "mean.png: found no picture" in refusal(store.load_reference, "a", 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((b'"number":1', b'"number":2'), "reference.json: found reference a/2; expected a/1"),
        ((b'"camera"', b'"kamera"'), "damaged: camera: missing"),
        ((b'"width_px":80', b'"width_px":"80"'), "damaged: width_px: found '80'; expected a whole"),
        ((b"{", b""), "reference.json: damaged"),
    ],
)
def test_what_stands_beside_a_reference_is_checked(store, change, told):
    store.add_reference("a", taught_reference())
    file = store.reference_folder("a", 1) / "reference.json"
    before = file.read_bytes().replace(b'": ', b'":')
    file.write_bytes(before.replace(*change, 1))
    assert told in refusal(store.load_reference, "a", 1)


def test_a_damaged_picture_of_a_unit_is_refused(store):
    stored = store.add_reference("a", taught_reference())
    unit = stored.units[0]
    (store.reference_folder("a", 1) / str(unit.picture)).write_bytes(b"another")
    assert "0.jpg: damaged" in refusal(store.unit_picture, "a", 1, unit)


def test_what_was_forgotten_gives_its_number_to_nobody(store):
    store.add_reference("a", taught_reference(80))
    store.add_reference("a", taught_reference(90))
    store.forget_reference("a", 2)
    assert store.reference_numbers("a") == (1,)
    assert store.add_reference("a", taught_reference(90)).number == 3
    store.note_revision("a", b"#\n")
    store.forget("a")
    assert store.reference_numbers("a") == ()
    assert store.add_reference("a", taught_reference(90)).number == 4
    assert store.note_revision("a", b"#\n").number == 2


def test_a_reference_in_force_is_not_forgotten(store):
    store.add_reference("a", taught_reference())
    store.approve("a", 1, by="x")
    assert "reference a/1 is in force" in refusal(store.forget_reference, "a", 1)
    assert store.load_reference("a", 1).id == "a/1"


def test_an_unknown_product_cannot_be_forgotten(store):
    assert "b.toml: no such product" in refusal(store.forget, "b")


def test_old_references_go_but_never_the_one_in_force_nor_the_one_before(tmp_path):
    store = ProductStore(tmp_path, references_kept=3)
    for shade in (80, 90):
        number = store.add_reference("a", taught_reference(shade)).number
        store.approve("a", number, by="x")
    for shade in range(100, 150, 10):
        store.add_reference("a", taught_reference(shade))
    assert store.reference_numbers("a") == (1, 2, 7)
    assert store.roll_back("a") == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "products").write_bytes(b"a file")
    store = ProductStore(tmp_path / "products")
    assert "cannot be written" in refusal(store.write, "a", b"")


def test_optics_that_are_damaged_are_named(store):
    optics = OpticsBaseline(
        camera="top",
        pictures=8,
        blur_px=None,
        contrast=150,
        bright=170.0,
        bright_spread=0.0,
        colour=(1.0, 2.0, 3.0),
        noise=0.0,
    )
    store.add_reference("a", dataclasses.replace(taught_reference(), optics=optics))
    assert store.load_reference("a", 1).optics == optics
    file = store.reference_folder("a", 1) / "optics.json"
    file.write_text(file.read_text().replace("150", "-1"))
    assert f"{file}: damaged: contrast" in refusal(store.load_reference, "a", 1)
