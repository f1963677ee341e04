import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import FrameUnreadableError
from inspector.sources.files.folder import natural_order
from tests.kit.recordings import SIZE, every_frame, source, still


def test_pictures_come_in_the_order_a_person_expects_with_their_names(folder):
    frames = every_frame(source(folder))
    assert [label for label, _ in frames] == ["Shot1.png", "Shot9.png", "Shot10.png", "Shot100.png"]
    assert frames[1][1] == still(9).tobytes()


def test_natural_order_sorts_digits_by_value():
    names = ["b10", "b9", "a", "B1", "10", "2", "x²", "b09"]
    assert sorted(names, key=natural_order) == ["2", "10", "a", "B1", "b09", "b9", "b10", "x²"]


words = st.text("aAbB_- .²é", max_size=3)


parts = words | st.sampled_from(["0", "1", "9", "09", "10", "010"])


names = st.lists(parts, max_size=4).map("".join) | st.text(max_size=8)


@given(st.lists(names, unique=True), st.randoms())
def test_pictures_have_one_order_however_the_folder_lists_them(listed, shuffling):
    ordered = sorted(listed, key=natural_order)
    shuffling.shuffle(listed)
    assert sorted(listed, key=natural_order) == ordered
    keys = [natural_order(name) for name in ordered]
    assert all(before < after for before, after in itertools.pairwise(keys)), "no two are equal"


@given(
    before=words,
    numbers=st.dictionaries(st.integers(0, 10**6), st.integers(0, 7), min_size=1),
    after=words,
)
def test_numbered_pictures_are_in_the_order_of_their_numbers_with_zeros_or_without(
    before, numbers, after
):
    listed = {number: f"{before}{number:0{width}}{after}" for number, width in numbers.items()}
    assert sorted(listed.values(), key=natural_order) == [listed[n] for n in sorted(numbers)]


@given(st.lists(words))
def test_words_are_in_the_order_of_a_dictionary(listed):
    folded = [name.casefold() for name in sorted(listed, key=natural_order)]
    assert folded == sorted(folded)


def test_a_damaged_picture_is_named_and_the_next_one_comes(folder):
    whole = (folder / "Shot9.png").read_bytes()
    (folder / "Shot9.png").write_bytes(whole[: len(whole) // 2])
    (folder / "Shot10.png").write_bytes(b"")
    frames = every_frame(source(folder))
    assert frames[0][1] == still(1).tobytes()
    assert "Shot9.png" in str(frames[1][1])
    assert "Shot10.png" in str(frames[2][1])
    assert frames[3][1] == still(100).tobytes()


def test_a_jpeg_cut_short_is_unreadable_rather_than_half_grey(tmp_path):
    encoded = cv2.imencode(".jpg", still(1))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(encoded[: len(encoded) * 2 // 3])
    assert "cut.jpg" in str(every_frame(source(tmp_path))[0][1])


def test_a_picture_of_another_size_is_named_with_both_sizes(folder):
    cv2.imwrite(str(folder / "Shot9.png"), still(9, (80, 60)))
    message = str(every_frame(source(folder))[1][1])
    assert "Shot9.png" in message
    assert "80x60" in message
    assert "160x120" in message


def test_a_picture_that_vanishes_is_unreadable(folder):
    footage = source(folder)
    footage.open()
    (folder / "Shot1.png").unlink()
    footage.grab()
    with pytest.raises(FrameUnreadableError, match="Shot1"):
        footage.retrieve_into(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))


def test_a_name_that_is_no_utf8_is_shown_with_a_replacement_character(folder):
    (folder / "Shot9.png").rename(folder / "Sh\udcfct9.png")
    (folder / "Shot10.png").write_bytes(b"damaged")
    (folder / "Shot10.png").rename(folder / "Shot10\udcff\x1b[2J\n.png")
    frames = every_frame(source(folder))
    labels = [label for label, _ in frames]
    assert "Sh\ufffdt9.png" in labels
    assert "Shot10\ufffd\ufffd[2J .png" in labels
    for label, pixels in frames:
        str(label).encode()
        if isinstance(pixels, str):
            pixels.encode()


def test_hidden_files_are_no_pictures_and_other_kinds_are_said(folder):
    for name in ("._Shot1.png", ".DS_Store", "Thumbs.db", "new.webp", "other.heic", ".hidden.webp"):
        (folder / name).write_bytes(b"whatever")
    footage = source(folder)
    footage.open()
    [note] = footage.notes
    assert "2 files of other kinds are left out" in note
    assert ".webp" in note
    footage.close()
    assert len(every_frame(footage)) == 4


def test_each_page_of_a_tiff_comes_with_its_number(tmp_path):
    pages = [still(1), still(2), still(3)]
    assert cv2.imwritemulti(str(tmp_path / "b.tif"), pages)
    cv2.imwrite(str(tmp_path / "a.tif"), still(7))
    frames = every_frame(source(tmp_path))
    assert [label for label, _ in frames] == [
        "a.tif",
        "b.tif page 1",
        "b.tif page 2",
        "b.tif page 3",
    ]
    assert [pixels for _, pixels in frames] == [still(n).tobytes() for n in (7, 1, 2, 3)]
