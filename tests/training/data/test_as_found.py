"""Data sets as people have them: taken as other trainers take them, and said once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.training.made import board_picture, write_coco, write_picture, write_yolo
from training.data.boards import Board, DataSet, read_picture
from training.data.opening import open_data_set
from training.errors import WrongInputError, WrongInputsError

PARTS = {"train": {"a": [(1, 2)], "good": []}, "val": {"c": [(7, 8)]}}
LABEL = "labels/train/a.txt"


@pytest.fixture
def description(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "mine", PARTS)


def board(data_set: DataSet, name: str) -> Board:
    return next(b for b in (*data_set.train, *data_set.test) if b.name.endswith(name))


def labelled(description: Path, text: str) -> DataSet:
    (description.parent / LABEL).write_text(text)
    return open_data_set(description)


def test_a_box_over_the_edge_is_clipped_and_counted(description: Path) -> None:
    found = labelled(description, "0 0.99 0.5 0.1 0.1\n1 0.005 0.5 0.1 0.1\n")
    assert board(found, "a").boxes[0] == pytest.approx([601.6, 288, 640, 352])
    where = description.parent / LABEL
    assert found.notes == (
        f"2 boxes reach over the edge of their pictures: clipped (first {where}:1)",
    )


def test_empty_boxes_and_doubled_labels_are_left_out_and_counted(description: Path) -> None:
    found = labelled(description, "0 0.5 0.5 0 0.1\n" + "1 0.5 0.5 0.1 0.1\n" * 3)
    assert board(found, "a").classes.tolist() == [1]
    where = description.parent / LABEL
    assert found.notes == (
        f"a box is empty: left out ({where}:1)",
        f"2 labels stand twice: each taken once (first {where}:3)",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_make_no_difference(
    description: Path, end: str, mark: str
) -> None:
    (description.parent / LABEL).write_bytes(f"{mark}1 0.5 0.5 0.1 0.1{end}{end}".encode())
    assert board(open_data_set(description), "a").classes.tolist() == [1]


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ('{"0": dent, "1": scratch}', ("dent", "scratch")),
        ('{1: scratch, "0": dent}', ("dent", "scratch")),
        ("[10, 22]", ("10", "22")),
    ],
)
def test_names_may_be_numbered_in_quotes_or_be_numbers(
    description: Path, names: str, classes: tuple[str, ...]
) -> None:
    description.write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    assert open_data_set(description).classes == classes


def test_classes_without_names_are_numbered(description: Path) -> None:
    description.write_text("train: images/train\nval: images/val\nnc: 2\n")
    found = open_data_set(description)
    assert found.classes == ("class_0", "class_1")
    assert found.notes == (f"the classes have no names: numbered ({description})",)


@pytest.mark.parametrize(
    "written",
    [
        "images\\train",
        "..\\mine\\images\\train",
        "../images/train",
        "/content/drive/mine/images/train",
        "C:\\Users\\me\\mine\\images\\train",
    ],
)
def test_a_folder_is_found_as_another_machine_wrote_it(description: Path, written: str) -> None:
    description.write_text(f"train: '{written}'\nval: images/val\nnames: [dent, scratch]\n")
    assert len(open_data_set(description).train) == 2


def test_an_end_that_could_be_any_folders_finds_nothing(description: Path) -> None:
    description.write_text("train: /elsewhere/images\nval: images/val\nnames: [dent, scratch]\n")
    with pytest.raises(WrongInputError, match="train: /elsewhere/images is missing"):
        open_data_set(description)


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_part_that_an_export_names_and_did_not_make_is_no_part(
    description: Path, part: str
) -> None:
    other = "test" if part == "val" else "val"
    description.write_text(
        f"train: images/train\n{other}: images/val\n{part}: ../{part}/images\n"
        "names: [dent, scratch]\n"
    )
    found = open_data_set(description)
    assert [b.name for b in found.test] == ["images/val/c"]
    [note] = found.notes
    assert note.startswith("a part is named and is not there: the set is used without it")
    assert f"{part}: ../{part}/images" in note


@pytest.mark.parametrize(
    "line", ["./images/train/a.png", "images\\train\\a.png", "/x/images/train/a.png"]
)
def test_a_list_of_pictures_may_be_another_machines(description: Path, line: str) -> None:
    root = description.parent
    (root / "train.txt").write_text(f"{line}\r\n")
    description.write_text("train: train.txt\nval: images/val\nnames: [dent, scratch]\n")
    assert [b.name for b in open_data_set(description).train] == ["images/train/a"]


def test_labels_may_lie_beside_their_pictures(description: Path) -> None:
    root = description.parent
    (root / LABEL).rename(root / "images/train/a.txt")
    assert board(open_data_set(description), "train/a").classes.tolist() == [0]


def as_bytes(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(picture, np.uint8)


@pytest.mark.parametrize("suffix", [".webp", ".ppm", ".bmp", ".tiff", ".JPG", ".jpe"])
def test_pictures_of_every_kind_that_can_be_decoded_are_read(
    description: Path, suffix: str
) -> None:
    old = description.parent / "images/train/a.png"
    colours = cv2.cvtColor(board_picture([(1, 2)]), cv2.COLOR_GRAY2BGR)
    write_picture(old.with_suffix(suffix), as_bytes(colours))
    old.unlink()
    assert board(open_data_set(description), "train/a").picture.suffix == suffix


def test_pictures_of_a_kind_that_is_not_read_are_named(description: Path) -> None:
    folder = description.parent / "images/train"
    for picture in folder.iterdir():
        picture.rename(picture.with_suffix(".heic"))
    with pytest.raises(WrongInputError) as raised:
        open_data_set(description)
    assert str(raised.value) == (
        f"{description}: train: images/train holds no picture that can be read, but 2 .heic,"
        " expected one or more"
    )


def transparent(grey: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.dstack([grey, grey, grey, np.full_like(grey, 7)])


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        (lambda grey: grey.astype(np.uint16) * 257, ""),
        (lambda grey: grey.astype(np.uint16) * 16, "a picture has twelve bits"),
        (transparent, ""),
    ],
)
def test_levels_come_out_as_they_were_seen(
    description: Path, stored: Callable[[np.ndarray[Any, Any]], Any], note: str
) -> None:
    grey = board_picture([(1, 2)])
    grey[300:340, 300:340] = 100
    picture = description.parent / "images/train/a.png"
    assert cv2.imwrite(str(picture), stored(grey))
    read = as_bytes(read_picture(picture))
    assert np.array_equal(read if read.ndim == 2 else read[:, :, 0], grey)
    assert [n for n in open_data_set(description).notes if note and n.startswith(note)] or not note


def test_a_picture_to_train_with_that_is_judged_by_under_another_name_is_noted(
    description: Path,
) -> None:
    root = description.parent
    copy = root / "images/val/copy.png"
    copy.write_bytes((root / "images/train/a.png").read_bytes())
    (root / "labels/val/copy.txt").write_text((root / LABEL).read_text())
    [note] = open_data_set(description).notes
    assert note.startswith("a labelled picture to train with is one to judge by, byte for byte")


def test_everything_that_is_wrong_is_listed_together(description: Path) -> None:
    root = description.parent
    (root / "images/val/c.png").write_bytes(b"none")
    with pytest.raises(WrongInputsError) as raised:
        labelled(description, "7 0.5 0.5 0.1 0.1\n0 0.5 0.5\n0 320 0.5 0.1 0.1\n")
    assert len(raised.value.lines) == 4
    assert any("c.png: cannot be decoded" in line for line in raised.value.lines)
    assert [line for line in raised.value.lines if f"{LABEL}:1: class 7" in line]


def coco(path: Path, **changes: Any) -> Path:
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation.update(changes)
    path.write_text(json.dumps(content))
    return path


def test_polygons_without_boxes_and_windows_names_are_taken(tmp_path: Path) -> None:
    path = coco(
        write_coco(tmp_path / "boards.json", {"a": [(1, 1)], "b": [(3, 4)], "d": [(5, 5)]}),
        bbox=[],
        segmentation=[[10, 20, 40, 20, 40, 60]],
    )
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["file_name"] = f"C:\\data\\images\\{image['file_name']}"
    path.write_text(json.dumps(content))
    (tmp_path / "images").mkdir()
    for picture in tmp_path.glob("*.png"):
        picture.rename(tmp_path / "images" / picture.name)
    found = open_data_set(path)
    assert all(b.boxes.tolist() == [[10, 20, 40, 60]] for b in (*found.train, *found.test))
    assert any(note.startswith("3 labels are shapes") for note in found.notes)


def test_crowd_regions_are_counted(tmp_path: Path) -> None:
    path = coco(write_coco(tmp_path / "boards.json", {"a": [(1, 1)], "b": [(3, 4)]}), iscrowd=1)
    assert any(
        note.startswith("2 crowd regions are left out") for note in open_data_set(path).notes
    )
