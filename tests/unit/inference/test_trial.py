"""Whether a model sees what it is sent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import ModelInput
from inspector.inference.trial import range_objection, response, trial_pictures

INPUT = ModelInput(
    name="images", width_px=96, height_px=64, channels_first=True, dtype="FP32", rgb=True
)


def answer(picture: np.ndarray, *, white: float, bias: float) -> dict[str, np.ndarray]:
    """Of a network that was trained with this white: a score for each cell of 32 pixels."""
    cells = picture.mean(axis=1).reshape(-1, 2, 32, 3, 32).mean(axis=(2, 4)) / white
    scores = 1 / (1 + np.exp(-np.clip(16 * cells - bias, -60, 60)))
    centres = np.broadcast_to(np.array([16, 48, 80, 16, 48, 80], np.float32), (len(scores), 6))
    return {"out": np.stack([centres, scores.reshape(-1, 6)], axis=1)}


def responses(white: float, bias: float) -> list[float]:
    black = np.zeros((1, *INPUT.shape), np.float32)
    return [
        response([answer(p, white=white, bias=bias) for p in (black, *trial_pictures(INPUT, sent))])
        for sent in (1.0, 255.0)
    ]


@given(bias=st.floats(0, 12))
def test_a_network_for_0_to_255_is_never_taken_for_one_for_0_to_1(bias):
    assert 'pixel_range = "0..255"' in range_objection("m", *responses(255.0, bias))


@given(bias=st.floats(0, 12))
def test_a_network_for_0_to_1_is_believed(bias):
    assert not range_objection("m", *responses(1.0, bias))


def test_silence_is_asked_about():
    nothing = {"boxes": np.zeros((1, 8, 4), np.float32), "count": np.zeros((1, 1), np.int32)}
    assert math.isnan(response([nothing, nothing]))
    assert "in 0..1, and something in 0..255" in range_objection("m", math.nan, 40.0)
    assert "neither in 0..1 nor in 0..255" in range_objection("m", math.nan, math.nan)


def test_a_small_network_that_sees_little_sees_far_more_in_its_own_range():
    assert range_objection("m", 0.04, 5.0)
    assert not range_objection("m", 2.9, 5.0)


def test_an_answer_in_0_to_1_and_none_in_0_to_255_is_one_for_0_to_1():
    assert not range_objection("m", 40.0, math.nan)
    assert not range_objection("m", 0.0, math.nan)


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_the_pictures_reach_from_black_to_white(white):
    for picture in trial_pictures(INPUT, white):
        assert picture.shape == (1, 3, 64, 96)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert picture.max() <= white
        assert picture.max() > 0.9 * white
