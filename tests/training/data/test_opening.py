from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.training.made import write_coco, write_yolo
from training.data.opening import open_data_set, prepare
from training.errors import WrongInputError

PARTS = {"train": {"a": [(1, 2)], "b": []}, "val": {"c": [(3, 3)]}}


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, prefix + str(file.relative_to(folder)))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = write_yolo(tmp_path / "mine", PARTS).parent
    return zipped(folder, tmp_path / "mine.zip")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_zip_file_is_unpacked_once(archive: Path, cache: Path):
    data_set = open_data_set(archive, cache)
    assert (len(data_set.train), len(data_set.test)) == (2, 1)
    (folder,) = cache.iterdir()
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert open_data_set(archive, cache).train[0].picture == data_set.train[0].picture
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == written


def test_another_zip_file_of_the_same_name_gets_another_folder(archive: Path, cache: Path):
    first = prepare(archive, cache)
    folder = write_yolo(archive.parent / "other", {**PARTS, "test": {"d": []}}).parent
    second = prepare(zipped(folder, archive), cache)
    assert first != second
    assert (first / "data.yaml").is_file()


def test_a_folder_inside_the_zip_file_is_looked_into(tmp_path: Path, cache: Path):
    folder = tmp_path / "coco"
    write_coco(folder / "boards.json", {"a": [], "b": []})
    data_set = open_data_set(zipped(folder, tmp_path / "coco.zip", prefix="inside/"), cache)
    assert len(data_set.train) + len(data_set.test) == 2


def test_a_set_with_an_error_is_never_published(tmp_path: Path, cache: Path):
    folder = write_yolo(tmp_path / "mine", PARTS).parent
    (folder / "labels/train/a.txt").write_text("9 0.5 0.5 0.1 0.1\n")
    archive = zipped(folder, tmp_path / "mine.zip")
    with pytest.raises(WrongInputError) as raised:
        open_data_set(archive, cache)
    assert str(raised.value) == f"{archive}/labels/train/a.txt:1: class 9, expected 0 to 1"
    assert list(cache.iterdir()) == []


def test_what_an_interruption_left_is_not_taken_for_the_set(archive: Path, cache: Path):
    half = cache / ".mine-abc123"
    (half / "images").mkdir(parents=True)
    assert len(open_data_set(archive, cache).train) == 2


def test_a_damaged_zip_file_is_one_line_and_leaves_nothing(archive: Path, cache: Path):
    content = bytearray(archive.read_bytes())
    content[200:260] = b"\0" * 60
    archive.write_bytes(content)
    with pytest.raises(
        WrongInputError, match=r"mine\.zip: is damaged \(.*\), expected a whole zip"
    ):
        open_data_set(archive, cache)
    assert list(cache.iterdir()) == []


def test_a_member_that_climbs_out_is_refused(tmp_path: Path, cache: Path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside.txt", "x")
    with pytest.raises(WrongInputError, match=r"member '\.\./outside\.txt', expected paths inside"):
        open_data_set(path, cache)
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("nowhere", None, "is missing, expected DeepPCB (trainval.txt, test.txt), YOLO"),
        ("notes.doc", b"x", "is a file of another kind, expected DeepPCB"),
        ("broken.zip", b"x", "is damaged (File is not a zip file), expected a whole zip file"),
    ],
)
def test_what_is_no_data_set_is_one_line(
    tmp_path: Path, cache: Path, name: str, content: bytes | None, complaint: str
):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WrongInputError) as raised:
        open_data_set(path, cache)
    assert str(raised.value).startswith(f"{path}: {complaint}")


def test_a_folder_without_a_data_set_is_one_line(tmp_path: Path):
    with pytest.raises(WrongInputError, match="holds no data set, expected DeepPCB"):
        open_data_set(tmp_path)
