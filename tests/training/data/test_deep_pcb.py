from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.made import board_picture, write_deep_pcb, write_picture
from training.data.deep_pcb import CLASSES, open_deep_pcb
from training.data.opening import check_pictures, open_data_set
from training.errors import WrongInputError

COUNTS = {"trainval": 2, "test": 1}


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return write_deep_pcb(tmp_path / "flat", ["a", "b"], ["c"])


def test_the_official_zip_opens_with_its_official_split(shared: Path, tmp_path: Path):
    data_set = open_data_set(shared / "data" / "deeppcb.zip", cache=tmp_path)
    assert data_set.classes == ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    assert (len(data_set.train), len(data_set.test)) == (1000, 500)
    assert sum(len(board.classes) for board in (*data_set.train, *data_set.test)) == 10_013
    assert "MIT" in data_set.licence
    assert "research purpose" in data_set.licence
    assert not data_set.held_out


def test_labels_are_numbered_from_one(flat: Path):
    (board,) = open_deep_pcb(flat, COUNTS).test
    assert board.boxes.tolist() == [[96, 128, 128, 160]]
    assert [CLASSES[index] for index in board.classes] == ["open"]
    assert board.reference == flat / "c_temp.png"


def test_the_original_repository_opens_the_same(tmp_path: Path):
    root = tmp_path / "DeepPCB" / "PCBData"
    group = root / "group00041"
    for name in ("a", "b", "c"):
        write_picture(group / "00041" / f"{name}_test.jpg", board_picture([(3, 4)]))
        write_picture(group / "00041" / f"{name}_temp.jpg", board_picture())
        label = group / "00041_not" / f"{name}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text("96 128 128 160 6\n")
    lines = {n: f"group00041/00041/{n}.jpg group00041/00041_not/{n}.txt\n" for n in "abc"}
    (root / "trainval.txt").write_text(lines["a"] + lines["b"])
    (root / "test.txt").write_text(lines["c"])
    data_set = open_deep_pcb(root, COUNTS)
    assert [board.name for board in data_set.train] == ["a", "b"]
    assert data_set.test[0].classes.tolist() == [5]
    assert check_pictures(data_set) == 6


def test_another_number_of_boards_is_not_the_official_split(flat: Path):
    with pytest.raises(WrongInputError) as raised:
        open_data_set(flat)
    assert str(raised.value) == f"{flat}/trainval.txt: 2 boards, expected 1000"


@pytest.mark.parametrize("missing", ["b_test.png", "b_temp.png", "b.txt"])
def test_a_missing_file_is_named_with_the_line_that_wants_it(flat: Path, missing: str):
    (flat / missing).unlink()
    with pytest.raises(WrongInputError) as raised:
        open_deep_pcb(flat, COUNTS)
    assert (
        str(raised.value) == f"{flat}/trainval.txt:2: {missing} is missing, expected it in {flat}"
    )


def test_a_missing_list_is_named(flat: Path):
    (flat / "test.txt").unlink()
    with pytest.raises(WrongInputError, match=r"test\.txt: cannot be read \(No such file"):
        open_deep_pcb(flat, COUNTS)


def test_a_board_in_both_lists_is_refused(flat: Path):
    (flat / "test.txt").write_text("a\n")
    with pytest.raises(WrongInputError, match="board a is in trainval"):
        open_deep_pcb(flat, COUNTS)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1 2 30 40", "4 numbers, expected 5: x1 y1 x2 y2 class"),
        ("1 2 30 forty 1", "'1 2 30 forty 1', expected numbers: x1 y1 x2 y2 class"),
        ("1 2 30 nan 1", "'1 2 30 nan 1', expected finite numbers"),
        ("1 2 30 40 0", "class 0, expected 1 to 6"),
        ("1 2 30 40 7", "class 7, expected 1 to 6"),
        ("1 2 30 40 1.5", "class 1.5, expected 1 to 6"),
        ("30 2 20 40 1", "box 30 2 20 40 is turned around, expected left < right, top < bottom"),
        ("1 650 30 700 1", "box 1 650 30 700 lies outside the picture, expected within 640x640"),
        ("-9 2 -3 40 1", "box -9 2 -3 40 lies outside the picture, expected within 640x640"),
    ],
)
def test_a_wrong_label_is_named_with_file_and_line(flat: Path, line: str, complaint: str):
    (flat / "b.txt").write_text(f"96 128 128 160 1\n\n{line}\n")
    with pytest.raises(WrongInputError) as raised:
        open_deep_pcb(flat, COUNTS)
    assert str(raised.value) == f"{flat}/b.txt:3: {complaint}"


def test_a_picture_of_another_size_is_found_by_the_check(flat: Path):
    write_picture(flat / "a_test.png", board_picture(width_px=320))
    with pytest.raises(
        WrongInputError, match=r"a_temp\.png: the reference is 640x640, expected 320"
    ):
        check_pictures(open_deep_pcb(flat, COUNTS))
    shutil.copyfile(flat / "a_test.png", flat / "a_temp.png")
    (flat / "a.txt").write_text("330 128 360 160 1\n")
    with pytest.raises(WrongInputError, match=r"a_test\.png: the picture is 320x640, expected one"):
        check_pictures(open_deep_pcb(flat, COUNTS))
