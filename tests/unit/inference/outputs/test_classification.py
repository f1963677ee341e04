from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError, MalformedReplyError
from inspector.core.places import WHOLE_UNIT
from inspector.core.records import Rect
from tests.kit.replies import read, region

CODES = ("dent", "good", "scratch")
TERMS: dict[str, Any] = {"codes": CODES, "good": ("good",), "head": "classification"}


def output(*shares: float) -> dict[str, Any]:
    return {"output0": np.array([shares], np.float32)}


def test_the_likeliest_class_that_is_not_good_is_claimed_of_the_whole_unit() -> None:
    ((found,),) = read(output(0.1, 0.2, 0.7), **TERMS)
    assert found.place == WHOLE_UNIT
    assert found.code_index == CODES.index("scratch")
    assert found.confidence == pytest.approx(0.8)
    assert read(output(0.2, 0.7, 0.1), **TERMS) == [[]]


def test_a_network_that_hesitates_between_two_kinds_of_damage_is_sure_that_there_is_damage() -> (
    None
):
    ((found,),) = read(output(0.31, 0.3, 0.39), **TERMS)
    assert found.code_index == 2
    assert found.confidence == pytest.approx(0.7)


def test_of_a_tile_it_is_claimed_where_the_tile_lies() -> None:
    tile = region(Rect(64, 32, 96, 96), piece=1, pieces=6)
    ((found,),) = read(output(0.9, 0.1, 0.0), tile, **TERMS)
    assert found.box is not None
    assert (found.box.left_px, found.box.top_px, found.box.right_px) == (64, 32, 160)


def test_several_classes_may_be_good() -> None:
    terms = {**TERMS, "codes": ("front", "back", "dent"), "good": ("front", "back")}
    assert read(output(0.4, 0.35, 0.25), **terms) == [[]]
    ((found,),) = read(output(0.2, 0.2, 0.6), **terms)
    assert found.confidence == pytest.approx(0.6)


def test_one_class_is_how_likely_that_one_defect_is() -> None:
    terms: dict[str, Any] = {"codes": ("dent",), "head": "classification"}
    assert read(output(0.3), **terms) == [[]]
    assert read(output(0.8), **terms)[0][0].confidence == pytest.approx(0.8)
    logits = {**terms, "head": "classification_logits"}
    assert read(output(2.0), **logits)[0][0].confidence == pytest.approx(1 / (1 + np.exp(-2)))
    assert read(output(-2.0), **logits) == [[]]


def test_what_ultralytics_calls_a_classifier_needs_no_setting_but_the_good_class() -> None:
    ((found,),) = read(output(0.9, 0.1, 0), **{**TERMS, "head": "auto"}, task="classify")
    assert found.code_index == 0


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        (
            {"head": "auto"},
            r'probabilities or logits has to be said: \[inference\] head = "classification" or',
        ),
        ({"good": ()}, r'one of dent, good, scratch; which .* \[inference\] good = \["…"\]'),
        ({"good": CODES}, "which of them is no defect has to be said"),
        ({"codes": ("a", "b"), "good": ("a",)}, "names 2 classes, but model m has 3"),
    ],
)
def test_what_nobody_said_is_asked_for_and_never_guessed(
    terms: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        read(output(0.1, 0.2, 0.7), **{**TERMS, **terms})


@pytest.mark.parametrize(
    ("head", "values", "why"),
    [
        ("classification", (2.0, 1.0, -3.0), "scores reach from -3 to 2"),
        ("classification", (0.5, 0.1, 0.1), 'add up to 0.7, expected 1; logits are head = "class'),
        ("classification", (np.nan, 0.5, 0.5), "NaN"),
        ("classification_logits", (0.5, 0.3, 0.2), "add up to 1, as probabilities do"),
    ],
)
def test_each_reply_is_held_to_what_was_said(
    head: str, values: tuple[float, ...], why: str
) -> None:
    with pytest.raises(MalformedReplyError, match=why):
        read(output(*values), **{**TERMS, "head": head})


@given(st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3), st.floats(0.05, 0.95))
def test_logits_say_what_their_probabilities_say(values: list[float], floor: float) -> None:
    raised = np.exp(np.array(values) - max(values))
    shares = raised / raised.sum()
    terms = {**TERMS, "floor": floor}
    try:
        (by_logits,) = read(output(*values), **{**terms, "head": "classification_logits"})
    except MalformedReplyError:
        assert abs(sum(values) - 1) < 1e-2
        return
    (by_shares,) = read(output(*shares), **terms)
    sure = 1 - shares[1]
    if abs(sure - floor) > 1e-4:
        assert bool(by_logits) == bool(by_shares) == (sure >= floor)
    for one, other in zip(by_logits, by_shares, strict=False):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
