from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.model.detections import Detections
from training.model.model_input import OVERLAP_PX, SIZE_PX, assemble, stack, tiles_of


def test_a_picture_of_the_inputs_size_is_one_tile_as_it_is():
    picture = np.arange(640 * 640, dtype=np.uint32).astype(np.uint8).reshape(640, 640)
    (tile,) = tiles_of(picture)
    assert np.array_equal(tile.cut(picture), picture)


def test_a_smaller_picture_stands_in_the_middle_of_gray():
    picture = np.full((100, 200, 3), 7, np.uint8)
    (tile,) = tiles_of(picture)
    cut = tile.cut(picture)
    assert cut.shape == (640, 640, 3)
    assert (cut[270:370, 220:420] == 7).all()
    assert (cut == 7).sum() == picture.size
    assert cut[0, 0].tolist() == [114, 114, 114]
    found = Detections(
        np.array([[220, 270, 230, 280]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)
    )
    assert tile.in_picture(found).boxes.tolist() == [[0, 0, 10, 10]]


@given(st.integers(1, 4000), st.integers(1, 2000))
def test_every_defect_up_to_the_overlap_is_seen_whole_and_counted_once(width_px, x):
    x = x % width_px
    picture = np.empty((1, width_px), np.uint8)
    half = OVERLAP_PX / 2
    counted = 0
    for tile in tiles_of(picture):
        span = tile.across
        if span.core_from_px <= x < span.core_to_px:
            counted += 1
            # Whole: where the tile ends, either the picture ends too or the defect has ended.
            assert span.start_px <= max(x - half, 0)
            assert span.start_px + SIZE_PX >= min(x + half, width_px)
    assert counted == 1


def test_the_input_is_red_green_blue_from_0_to_1():
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 1] = (51, 102, 255)  # blue, green, red
    planes = assemble(picture)
    assert planes.dtype == np.float32
    assert planes[:, 0, 1].tolist() == pytest.approx([1.0, 0.4, 0.2])


def test_gray_becomes_three_equal_planes():
    planes = assemble(np.full((2, 2), 255, np.uint8))
    assert planes.shape == (3, 2, 2)
    assert (planes == 1).all()


def test_with_a_reference_the_third_plane_is_the_difference():
    found, wanted = np.full((2, 2), 200, np.uint8), np.full((2, 2, 3), 100, np.uint8)
    assert stack(found, wanted)[0, 0].tolist() == [200, 100, 178]
    assert assemble(found, found)[2, 0, 0] == pytest.approx(128 / 255)
