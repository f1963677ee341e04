"""What a data set remembers of its pictures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.core.errors import ConfigurationError
from inspector.dataset.labels import LeftOut
from inspector.dataset.manifest import FILE_NAME, DataSet
from tests.kit.data_sets import picture

BOX = {"code": "open", "bbox_px": [1.0, 2.0, 3.0, 4.0], "polygon_px": [[1, 2], [4, 2], [1, 6]]}


def written(folder: Path) -> DataSet:
    found = DataSet("yolo", ["open", "short"])
    for one in (
        picture("4", "A", BOX),
        picture("0", "A"),
        picture("5", "B", left_out=LeftOut.UNSURE),
    ):
        found.pictures[one.sha256] = one
    (folder / FILE_NAME).write_bytes(found.content())
    return found


def test_a_set_is_opened_as_it_was_written(tmp_path: Path) -> None:
    before = written(tmp_path)
    again = DataSet.opened(tmp_path, "yolo", ["short", "spur"])
    assert again.pictures == before.pictures
    assert again.content() != before.content()
    # A code keeps its number, whatever the station names first today.
    assert again.codes == ["open", "short", "spur"]
    assert DataSet.opened(tmp_path, "yolo", []).content() == before.content()


def test_what_was_taken_out_is_remembered_and_not_inside(tmp_path: Path) -> None:
    data_set = written(tmp_path)
    assert [one.sha256[0] for one in data_set.inside] == ["0", "4"]
    assert data_set.counts() == {"train": 1, "test": 1}
    assert data_set.units_in_both() == ["A"]


@pytest.mark.parametrize("names", [(), ("images", "labels", "data.yaml"), ("annotations",)])
def test_a_folder_without_a_manifest_may_hold_what_an_export_left(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    assert DataSet.opened(tmp_path, "coco", ["open"]).pictures == {}
    assert DataSet.opened(tmp_path / "new", "coco", ["open"]).codes == ["open"]


def test_another_format_or_another_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(ConfigurationError, match="in the format yolo; expected --format yolo"):
        DataSet.opened(tmp_path, "coco", [])
    (tmp_path / FILE_NAME).rename(tmp_path / "notes.json")
    with pytest.raises(ConfigurationError, match=r"holds notes.json; expected an empty folder"):
        DataSet.opened(tmp_path, "yolo", [])
    with pytest.raises(ConfigurationError, match=r"notes.json/manifest.json cannot be read"):
        DataSet.opened(tmp_path / "notes.json", "yolo", [])


def test_a_manifest_that_somebody_edited_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / FILE_NAME
    whole = path.read_text()
    path.write_text(whole.replace('"part": "train"', '"part": "test"'))
    with pytest.raises(ConfigurationError, match="somebody edited the file"):
        DataSet.opened(tmp_path, "yolo", [])
    path.write_text(whole.replace("dataset/1", "dataset/2"))
    with pytest.raises(ConfigurationError, match=r"schema is inspector.dataset/2; expected"):
        DataSet.opened(tmp_path, "yolo", [])
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match=r"manifest.json: format: Field required"):
        DataSet.opened(tmp_path, "yolo", [])
