from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.made import write_coco
from training.data.opening import open_data_set
from training.errors import WrongInputError

PICTURES = {"a": [(1, 2)], "b": [(3, 4), (5, 6)], "good": []}


def changed(path: Path, **entries: Any) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    return path


def annotation(**entries: Any) -> list[dict[str, Any]]:
    return [{"image_id": 1, "category_id": 1, "bbox": [32, 64, 32, 32]} | entries]


def test_one_file_is_a_set_with_a_part_held_out(tmp_path: Path):
    path = write_coco(tmp_path / "boards.json", PICTURES)
    data_set = open_data_set(path)
    boards = {board.name: board for board in (*data_set.train, *data_set.test)}
    assert data_set.held_out
    assert data_set.classes == ("dent", "scratch")
    assert boards["a"].boxes.tolist() == [[32, 64, 64, 96]]
    assert boards["b"].classes.tolist() == [0, 0]
    assert boards["good"].boxes.shape == (0, 4)


def test_a_folder_per_part(tmp_path: Path):
    write_coco(tmp_path / "train/_annotations.coco.json", PICTURES)
    write_coco(tmp_path / "valid/_annotations.coco.json", {"a": [(7, 8)]})
    data_set = open_data_set(tmp_path)
    assert [board.name for board in data_set.train] == ["train/a", "train/b", "train/good"]
    assert [board.name for board in data_set.test] == ["valid/a"]
    assert not data_set.held_out


def test_cocos_own_folders(tmp_path: Path):
    for part, pictures in (("train", PICTURES), ("val", {"c": []})):
        path = tmp_path / f"annotations/instances_{part}2017.json"
        write_coco(path, pictures, beside=tmp_path / f"{part}2017")
    data_set = open_data_set(tmp_path)
    assert len(data_set.train) == 3
    assert [board.name for board in data_set.test] == ["c"]


def test_a_category_that_only_groups_others_is_no_class(tmp_path: Path):
    path = write_coco(tmp_path / "boards.json", PICTURES)
    groups = [
        {"id": 0, "name": "defects", "supercategory": "none"},
        {"id": 1, "name": "dent", "supercategory": "defects"},
        {"id": 2, "name": "scratch", "supercategory": "defects"},
    ]
    assert open_data_set(changed(path, categories=groups)).classes == ("dent", "scratch")


def test_licences_are_kept(tmp_path: Path):
    path = write_coco(tmp_path / "boards.json", PICTURES)
    assert open_data_set(changed(path, licenses=[{"name": "CC0"}])).licence == "CC0"


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"bbox": [1, 2, 3]}, "bbox [1, 2, 3], expected [left, top, width, height]"),
        ({"bbox": "here"}, "bbox 'here', expected [left, top, width, height]"),
        ({"category_id": 9}, "category_id 9, expected one of 1, 2"),
        ({"image_id": 9}, "image_id 9, expected an image's id"),
        (
            {"bbox": [700, 0, 32, 32]},
            "box 700 0 732 32 lies outside the picture, expected within 640x640",
        ),
        (
            {"bbox": [5, 0, -3, 32]},
            "box 5 0 2 32 is turned around, expected left < right, top < bottom",
        ),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path: Path, entries: dict[str, Any], complaint: str):
    path = write_coco(tmp_path / "boards.json", PICTURES)
    with pytest.raises(WrongInputError) as raised:
        open_data_set(changed(path, annotations=annotation(**entries)))
    assert str(raised.value) == f"{path}: annotations[0]: {complaint}"


def test_a_picture_of_another_size_than_labelled_is_refused(tmp_path: Path):
    path = write_coco(tmp_path / "boards.json", {"a": []})
    images = [{"id": 1, "file_name": "a.png", "width": 320, "height": 320}]
    with pytest.raises(WrongInputError) as raised:
        open_data_set(changed(path, images=images))
    assert str(raised.value) == (
        f"{tmp_path}/a.png: the picture is 640x640, expected 320x320 as labelled"
    )


def test_a_missing_picture_is_named(tmp_path: Path):
    path = write_coco(tmp_path / "boards.json", PICTURES)
    (tmp_path / "b.png").unlink()
    with pytest.raises(WrongInputError) as raised:
        open_data_set(path)
    assert str(raised.value) == (
        f"{path}: images[1]: b.png is missing, expected it in {tmp_path} or images/"
    )


def test_classes_that_differ_between_parts_are_refused(tmp_path: Path):
    first = write_coco(tmp_path / "train/_annotations.coco.json", PICTURES)
    other = write_coco(tmp_path / "test/_annotations.coco.json", {"c": []}, names=("dent", "hole"))
    with pytest.raises(WrongInputError) as raised:
        open_data_set(tmp_path)
    assert str(raised.value) == (
        f"{other}: classes dent, hole, expected dent, scratch as in {first}"
    )


def test_a_broken_file_is_named_with_its_line(tmp_path: Path):
    path = tmp_path / "boards.json"
    path.write_text('{"images": [],\n "annotations": oops}')
    with pytest.raises(WrongInputError, match=r"boards\.json:2: is no JSON \(Expecting value\)"):
        open_data_set(path)
    path.write_text("[]")
    with pytest.raises(
        WrongInputError, match=r"boards\.json: no list images, expected images, ann"
    ):
        open_data_set(path)
