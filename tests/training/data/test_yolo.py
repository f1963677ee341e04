from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.made import Cells, board_picture, write_picture, write_yolo
from training.data.opening import open_data_set
from training.errors import WrongInputError

PARTS = {"train": {"a": [(1, 2)], "b": [(3, 4), (5, 6)], "good": []}, "val": {"c": [(7, 8)]}}


@pytest.fixture
def description(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "mine", PARTS)


def test_shares_become_pixels(description: Path):
    data_set = open_data_set(description)
    boards = {board.name: board for board in data_set.train}
    assert data_set.classes == ("dent", "scratch")
    assert boards["images/train/a"].boxes.tolist() == [[32, 64, 64, 96]]
    assert boards["images/train/b"].classes.tolist() == [0, 0]
    assert [board.name for board in data_set.test] == ["images/val/c"]


def test_a_picture_without_labels_is_a_good_board(description: Path):
    empty = description.parent / "labels/train/a.txt"
    empty.write_text("")
    boards = {board.name: board for board in open_data_set(description).train}
    assert boards["images/train/good"].boxes.shape == (0, 4)
    assert boards["images/train/a"].boxes.shape == (0, 4)


def test_a_folder_opens_like_its_description(description: Path):
    assert len(open_data_set(description.parent).train) == 3


def test_where_test_is_there_val_joins_train(tmp_path: Path):
    parts: dict[str, dict[str, Cells]] = {"train": {"a": []}, "val": {"b": []}, "test": {"c": []}}
    data_set = open_data_set(write_yolo(tmp_path, parts))
    assert [board.name for board in data_set.train] == ["images/train/a", "images/val/b"]
    assert [board.name for board in data_set.test] == ["images/test/c"]


def test_without_a_test_part_the_same_fifth_is_held_out_every_time(tmp_path: Path):
    few = {"train": {f"board{i}": [(1, 1)] for i in range(20)}}
    many = {"train": {f"board{i}": [(1, 1)] for i in range(40)}}
    before = open_data_set(write_yolo(tmp_path / "mine", few))
    after = open_data_set(write_yolo(tmp_path / "mine", many))
    assert before.held_out
    assert after.held_out
    assert 1 <= len(before.test) < len(before.train)
    # A set that grows never trains on what was tested before.
    assert {b.name for b in before.test} <= {b.name for b in after.test}
    assert len(after.train) + len(after.test) == 40


def test_references_lie_beside_the_pictures(description: Path):
    reference = description.parent / "references/train/a.png"
    write_picture(reference, board_picture())
    boards = {board.name: board for board in open_data_set(description).train}
    assert boards["images/train/a"].reference == reference
    assert boards["images/train/b"].reference is None


def test_names_may_be_numbered_and_pictures_listed(description: Path):
    (description.parent / "list.txt").write_text("images/train/a.png\n./images/train/b.png\n")
    description.write_text(
        "train: list.txt\nval: images/val\nnames: {1: scratch, 0: dent}\nnc: 2\n"
    )
    data_set = open_data_set(description)
    assert data_set.classes == ("dent", "scratch")
    assert len(data_set.train) == 2


def test_a_folder_of_a_labelling_tool_needs_no_description(tmp_path: Path):
    for name in ("a", "b", "c"):
        write_picture(tmp_path / f"images/{name}.png", board_picture())
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    (tmp_path / "classes.txt").write_text("dent\nscratch\n")
    data_set = open_data_set(tmp_path)
    assert data_set.held_out
    assert data_set.classes == ("dent", "scratch")
    assert len(data_set.train) + len(data_set.test) == 3


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("0 0.5 0.5 0.1", "4 numbers, expected 5: class cx cy width height"),
        ("0 0.5 0.5 wide 0.1", "'0 0.5 0.5 wide 0.1', expected numbers: class cx cy width height"),
        ("2 0.5 0.5 0.1 0.1", "class 2, expected 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "class -1, expected 0 to 1"),
        (
            "0 320 0.5 0.1 0.1",
            "320, expected shares of the picture, 0 to 1: class cx cy width height",
        ),
        (
            "0 0.5 0.5 -0.1 0.1",
            "box 352 288 288 352 is turned around, expected left < right, top < bottom",
        ),
        (
            "0 1.2 0.5 0.1 0.1",
            "box 736 288 800 352 lies outside the picture, expected within 640x640",
        ),
    ],
)
def test_a_wrong_label_is_named_with_file_and_line(description: Path, line: str, complaint: str):
    labels = description.parent / "labels/train/a.txt"
    labels.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(WrongInputError) as raised:
        open_data_set(description)
    assert str(raised.value) == f"{description.parent}/labels/train/a.txt:2: {complaint}"


def test_a_box_rounded_over_the_edge_is_clipped(description: Path):
    (description.parent / "labels/train/a.txt").write_text("0 0.9505 0.5 0.1 0.1\n")
    boards = {board.name: board for board in open_data_set(description).train}
    assert boards["images/train/a"].boxes[0, 2] == 640


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("names: [dent]\n", "no train, expected train: a folder of pictures"),
        ("train: images/train\n", "no names, expected names: a list of classes"),
        (
            "train: images/train\nnames: [a, a]\n",
            "class name 'a' twice, expected names that differ",
        ),
        ("train: images/train\nnames: [yes]\n", "class name true, expected it in quotes"),
        ("train: images/train\nnames: {0: a, 2: b}\n", "names numbered 0, 2, expected 0 to 1"),
        ("train: images/train\nnames: [a]\nnc: 2\n", "nc 2 and 1 names, expected as many"),
        (
            "train: nowhere\nnames: [a, b]\n",
            "train: nowhere is missing, expected a folder of pictures, or a .txt file",
        ),
        ("train: labels\nnames: [a, b]\n", "train: labels holds no picture, expected one or more"),
        ("just words\n", "holds no keys, expected train, val, names"),
    ],
)
def test_a_wrong_description_is_one_line(description: Path, text: str, complaint: str):
    description.write_text(text)
    with pytest.raises(WrongInputError) as raised:
        open_data_set(description)
    assert str(raised.value) == f"{description}: {complaint}"


def test_broken_yaml_is_one_line(description: Path):
    description.write_text("names: [dent\ntrain: x\n")
    with pytest.raises(WrongInputError) as raised:
        open_data_set(description)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"{description}: is no YAML (")


def test_the_same_picture_in_train_and_test_is_refused(description: Path):
    description.write_text("train: images/train\nval: images/train\nnames: [dent, scratch]\n")
    with pytest.raises(WrongInputError, match=r"a\.png: is in train and in test, expected in one"):
        open_data_set(description)


def test_an_unreadable_picture_is_found_at_once(description: Path):
    picture = description.parent / "images/train/b.png"
    picture.write_bytes(b"no picture")
    with pytest.raises(WrongInputError) as raised:
        open_data_set(description)
    assert str(raised.value) == (
        f"{picture}: cannot be decoded, expected a PNG, JPEG, BMP, TIFF or WebP picture of 8 or 16"
        " bits"
    )


def test_a_jpeg_cut_short_is_not_taken_for_half_gray(description: Path):
    whole = write_picture(description.parent / "images/train/d.jpg", board_picture([(9, 9)]))
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(WrongInputError, match=r"d\.jpg: the picture ends too early"):
        open_data_set(description)


def test_a_tiny_picture_is_refused(description: Path):
    write_picture(description.parent / "images/train/e.png", board_picture(width_px=20))
    with pytest.raises(
        WrongInputError, match=r"e\.png: the picture is 20x640, expected 32x32 or mo"
    ):
        open_data_set(description)


def test_a_shape_becomes_the_box_around_it(description: Path):
    labels = description.parent / "labels/train/a.txt"
    labels.write_text("1 0.1 0.2 0.5 0.25 0.3 0.6\n0 0.1 0.2 0.3 0.2 0.3 0.4 0.1 0.4\n")
    boards = {board.name: board for board in open_data_set(description).train}
    side = board_picture().shape[0]
    shares = [[0.1, 0.2, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4]]
    assert boards["images/train/a"].boxes == pytest.approx(np.array(shares) * side, abs=1e-3)
    assert boards["images/train/a"].classes.tolist() == [1, 0]


@pytest.mark.parametrize(
    "line", ["0 0.1 0.2 0.5 0.25 0.3", "0 0.1 0.2 0.5", "0 0.1 0.2 0.5 2 0.3 1"]
)
def test_a_line_that_is_neither_box_nor_shape_is_refused(description: Path, line: str):
    (description.parent / "labels/train/a.txt").write_text(line)
    with pytest.raises(WrongInputError, match=r"a\.txt:1: "):
        open_data_set(description)
