"""A product that travels to another station in one file."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

from inspector.core.errors import ConfigurationError
from inspector.products.archive import PackedModel, objections, packed, unpacked
from inspector.products.catalogue import Catalogue
from inspector.products.files import StationTerms
from inspector.products.store import ProductStore, TaughtReference, TaughtUnit
from inspector.settings.sections import CameraSettings, InferenceSettings, InspectionSettings


def catalogue_at(folder, **camera) -> Catalogue:
    top = {"source": "sim:", "size": "640x480", "trigger": "presence"} | camera
    station = StationTerms(
        inspection=InspectionSettings(),
        inference=InferenceSettings(),
        cameras={"top": CameraSettings(**top)},
    )
    return Catalogue(ProductStore(folder), station)


@pytest.fixture
def catalogue(tmp_path):
    made = catalogue_at(tmp_path / "here")
    made.store.write("a/7", b'revision = "C"\n')
    for shade in (80, 90):
        mean = np.full((60, 80, 3), shade, np.uint8)
        taught = TaughtReference(
            mean=mean,
            deviation=np.full((60, 80), 3, np.uint8),
            units=[TaughtUnit(number=n, picture=mean) for n in range(3)],
            camera="top",
            revision="C",
            made_by="anna",
        )
        made.store.add_reference("a/7", taught)
    made.store.approve("a/7", 2, by="anna")
    return made


MODEL = PackedModel(name="pcb_inspection", version="1", sha256="0" * 64)


def pack(catalogue, *, every: bool = False) -> bytes:
    return packed(catalogue, "a/7", every_reference=every, models=(MODEL,))


def changed(archive: bytes, **members: bytes | None) -> bytes:
    """The same with other members; None leaves one out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as before, zipfile.ZipFile(out, "w") as after:
        kept = {info.filename: before.read(info) for info in before.infolist()}
        for path, content in (kept | members).items():
            if content is not None:
                after.writestr(path, content)
    return out.getvalue()


def refusal(archive: bytes) -> str:
    with pytest.raises(ConfigurationError) as refused:
        unpacked(archive, origin="a.zip")
    return str(refused.value)


def test_a_product_comes_out_as_it_went_in(catalogue):
    archive = unpacked(pack(catalogue), origin="a.zip")
    assert archive.content == b'revision = "C"\n'
    manifest = archive.manifest
    assert (manifest.product, manifest.revision, manifest.in_force) == ("a/7", "C", 2)
    assert manifest.models == (MODEL,)
    assert list(archive.references) == [2]
    stored, files = archive.references[2]
    assert stored == catalogue.store.reference("a/7", 2)
    assert sorted(files) == [
        "deviation.png", "mean.png", "units/0.jpg", "units/1.jpg", "units/2.jpg",
    ]  # fmt: skip


def test_every_reference_goes_along_when_asked_for(catalogue):
    assert list(unpacked(pack(catalogue, every=True), origin="a.zip").references) == [1, 2]


def test_the_same_product_makes_the_same_file(catalogue):
    assert pack(catalogue) == pack(catalogue)


def test_another_station_keeps_it_as_its_next_version(catalogue, tmp_path):
    archive = unpacked(pack(catalogue), origin="a.zip")
    there = catalogue_at(tmp_path / "there")
    assert objections(archive, there, name="b", origin="a.zip") == []
    there.store.write("b", archive.content)
    stored = there.store.adopt_reference("b", *archive.references[2])
    assert (stored.id, stored.sha256) == ("b/1", archive.references[2][0].sha256)
    assert there.store.load_reference("b", 1).mean[0, 0, 0] == 90
    assert there.store.unit_picture("b", 1, stored.units[0])
    # It was approved before another camera, in another light.
    assert there.recipe("b").reference is None


@pytest.mark.parametrize(
    ("camera", "told"),
    [
        ({"trigger": "every_frame"}, "reference a/7/2 is 80x60 pixels; expected 640x480"),
        ({"size": "48x36"}, "reference a/7/2 is 80x60 pixels; expected"),
    ],
)
def test_a_station_whose_cameras_see_otherwise_objects(catalogue, tmp_path, camera, told):
    archive = unpacked(pack(catalogue), origin="a.zip")
    there = catalogue_at(tmp_path / "there", **camera)
    [line] = objections(archive, there, name="b", origin="a.zip")
    assert told in line


def test_a_file_that_does_not_fit_the_station_is_told_with_its_line(catalogue, tmp_path):
    catalogue.store.write("a/7", b"# one\n[cameras.top]\nregion = [0, 0, 640, 480]\n")
    archive = unpacked(pack(catalogue), origin="a.zip")
    there = catalogue_at(tmp_path / "there", size="320x240")
    [line] = objections(archive, there, name="b", origin="a.zip")
    assert line.startswith("a.zip: product.toml:2: cameras.top: region is [0, 0, 640, 480]")


MEAN = "references/2/mean.png"


def test_what_was_changed_on_the_way_is_refused(catalogue):
    archive = pack(catalogue)
    assert "is missing" in refusal(changed(archive, **{MEAN: None}))
    assert f"{MEAN} is damaged" in refusal(changed(archive, **{MEAN: b"x"}))
    assert "../../etc/x is not named by its manifest.json" in refusal(
        changed(archive, **{"../../etc/x": b"x"})
    )
    assert "manifest.json" in refusal(changed(archive, **{"manifest.json": b"{}"}))
    assert "manifest.json" in refusal(changed(archive, **{"manifest.json": None}))


def test_a_reference_that_hashes_otherwise_than_it_says_is_refused(catalogue):
    archive = pack(catalogue)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        stored = json.loads(opened.read("references/2/reference.json"))
    stored["sha256"] = "1" * 64
    content = json.dumps(stored).encode()
    manifest["members"]["references/2/reference.json"] = hashlib.sha256(content).hexdigest()
    told = refusal(
        changed(
            archive,
            **{
                "references/2/reference.json": content,
                "manifest.json": json.dumps(manifest).encode(),
            },
        )
    )
    assert told == "a.zip: references/2 is damaged: expected a whole reference"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(catalogue, share):
    archive = pack(catalogue)
    assert "a.zip: is no archive" in refusal(archive[: int(len(archive) * share)])


def test_a_file_with_a_flipped_byte_is_refused_or_the_same(catalogue):
    archive = pack(catalogue)
    whole = unpacked(archive, origin="a.zip")
    for at in range(0, len(archive), 97):
        flipped = bytearray(archive)
        flipped[at] ^= 0x55
        try:
            found = unpacked(bytes(flipped), origin="a.zip")
        except ConfigurationError:
            continue
        assert found == whole


def test_a_file_that_unpacks_to_more_than_a_disk_holds_is_not_unpacked(monkeypatch, catalogue):
    monkeypatch.setattr("inspector.products.archive.LARGEST_BYTES", 1000)
    assert "expected at most 10000 of 1000" in refusal(pack(catalogue))
