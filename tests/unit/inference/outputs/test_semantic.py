from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.core.errors import ConfigurationError, MalformedReplyError
from inspector.core.places import Polygon
from inspector.core.records import Rect
from tests.kit.replies import read, region

SIDE = 48
"""Half of the model's input."""
CODES = ("ground", "scratch", "stain")
SCRATCH, STAIN = (slice(10, 12), slice(4, 40)), (slice(30, 40), slice(8, 18))
TERMS: dict[str, Any] = {"codes": CODES, "good": ("ground",)}


def classes() -> NDArray[np.int64]:
    numbers = np.zeros((SIDE, SIDE), np.int64)
    numbers[SCRATCH], numbers[STAIN] = 1, 2
    return numbers


def logits(sure: float = 4.0) -> NDArray[np.float32]:
    return np.moveaxis(np.eye(3, dtype=np.float32)[classes()], 2, 0)[None] * sure - 1


def shares() -> NDArray[np.float32]:
    raised = np.exp(logits())
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize(
    ("array", "head"),
    [
        (logits(), "segmentation_logits"),
        (np.moveaxis(logits(), 1, 3), "segmentation_logits"),
        (shares(), "segmentation"),
        (shares().astype(np.float16), "segmentation"),
        (classes()[None], "auto"),
        (classes()[None, None].astype(np.uint8), "auto"),
        (classes()[None, ..., None].astype(np.int32), "auto"),
    ],
)
def test_each_part_of_a_class_is_a_defect_with_its_box_shape_and_area(
    array: Any, head: str
) -> None:
    (found,) = read({"out": array}, head=head, **TERMS)
    by_code = {CODES[one.code_index]: one for one in found}
    assert by_code.keys() == {"scratch", "stain"}
    scratch, stain = by_code["scratch"], by_code["stain"]
    assert isinstance(scratch.place, Polygon)
    assert isinstance(stain.place, Polygon)
    assert scratch.place.area_px == 4 * 2 * 36
    assert stain.place.area_px == 4 * 10 * 10
    box = stain.box
    assert box is not None
    assert (box.left_px, box.top_px, box.right_px, box.bottom_px) == (16, 60, 36, 80)
    wanted = 1.0 if head == "auto" else float(shares()[0, 1].max())
    assert scratch.confidence == pytest.approx(wanted, abs=2e-3)


def test_one_class_is_what_is_above_half() -> None:
    raw = np.full((1, 1, SIDE, SIDE), -3, np.float32)
    raw[0, 0][STAIN] = 2
    (found,) = read({"out": raw}, head="segmentation_logits", codes=("stain",))
    assert len(found) == 1
    assert found[0].confidence == pytest.approx(1 / (1 + np.exp(-2)))
    sigmoid = 1 / (1 + np.exp(-raw))
    (again,) = read({"out": sigmoid}, head="segmentation", codes=("stain",))
    assert again[0].place == found[0].place


def test_nothing_is_claimed_of_a_good_picture_or_below_the_floor() -> None:
    plain = np.zeros((1, 3, SIDE, SIDE), np.float32)
    plain[:, 0] = 5
    assert read({"out": plain}, head="segmentation_logits", **TERMS) == [[]]
    assert read({"out": logits(0.5)}, head="segmentation_logits", floor=0.9, **TERMS) == [[]]


def test_places_are_moved_to_the_picture_and_padding_shows_nothing() -> None:
    wide = region(Rect(100, 50, 192, 96))  # half as large, with 24 rows of padding
    numbers = np.zeros((1, SIDE, SIDE), np.int64)
    numbers[0, 2:8, 4:10] = 1
    numbers[0, 20:24, 4:10] = 2
    (found,) = read({"out": numbers}, wide, **TERMS)
    (stain,) = found
    assert stain.box is not None
    assert (stain.box.left_px, stain.box.top_px) == (100 + 16, 50 + 2 * (40 - 24))


@pytest.mark.parametrize(
    ("array", "terms", "sentence"),
    [
        (logits(), {}, r'head = "segmentation" or "segmentation_logits"'),
        (logits(), {"head": "segmentation", "good": ()}, "which of them is no defect has to be"),
        (classes()[None], {"good": ()}, "which of them is no defect has to be said"),
        (logits(), {"head": "segmentation", "codes": ("a", "b"), "good": ("a",)}, "names 2 cl"),
        (logits()[0], {"head": "segmentation"}, r"expected \[N,classes,height,width\]"),
        (classes()[None], {"head": "segmentation"}, "expected floats"),
    ],
)
def test_what_nobody_said_is_asked_for(array: Any, terms: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        read({"out": array}, **{**TERMS, **terms})


@pytest.mark.parametrize(
    ("array", "head", "why"),
    [
        (logits(), "segmentation", "scores reach from -1 to 3"),
        (shares() / 2, "segmentation", "do not add up to 1; logits are"),
        (shares(), "segmentation_logits", "add up to 1, as probabilities do"),
        (classes()[None] * 2, "auto", "class 4 reported, inspection.codes names 3"),
        (np.full_like(logits(), np.nan), "segmentation_logits", "NaN"),
    ],
)
def test_each_reply_is_held_to_what_was_said(array: Any, head: str, why: str) -> None:
    with pytest.raises(MalformedReplyError, match=why):
        read({"out": array}, head=head, **TERMS)
