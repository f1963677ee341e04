"""Each kind of export with boxes: read rightly once it is said what it is, and else not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError, MalformedReplyError
from inspector.core.recipes import HEADS
from inspector.core.records import Rect
from tests.kit import exported_heads as made
from tests.kit.exported_heads import EXPORTS, Seen, codes, said
from tests.kit.findings import corners_of
from tests.kit.replies import SIDE, read, region

BOXES = ("YOLOv8 segmentation", "oriented, after suppression")


@st.composite
def sightings(draw: st.DrawFn, classes: int) -> list[Seen]:
    """One or two things far from each other, whose sides lie on the grid of masks."""
    found = []
    for number in range(draw(st.integers(1, 2))):
        left = 4 * draw(st.integers(1, 3)) + number * SIDE // 2
        top = 4 * draw(st.integers(1, 8))
        wide, high = (4 * draw(st.integers(2, 6)) for _ in range(2))
        sure = draw(st.floats(0.55, 0.7)) + number * 0.2
        code = draw(st.integers(0, classes - 1))
        found.append(Seen((left, top, left + wide, top + high), sure, code))
    return found


@pytest.mark.parametrize("name", EXPORTS)
@given(data=st.data(), classes=st.integers(1, 6))
def test_what_is_stated_rightly_is_read_rightly(
    name: str, data: st.DataObject, classes: int
) -> None:
    export, head = EXPORTS[name]
    seen = data.draw(sightings(classes))
    (found,) = read(export(seen, classes), head=head, codes=codes(classes))
    assert said(found, seen)


@pytest.mark.parametrize("name", EXPORTS)
@given(data=st.data(), classes=st.integers(1, 6), of_recipe=st.integers(1, 7))
def test_what_nobody_states_is_read_rightly_or_not_at_all(
    name: str, data: st.DataObject, classes: int, of_recipe: int
) -> None:
    export, _head = EXPORTS[name]
    seen = data.draw(sightings(classes))
    try:
        (found,) = read(export(seen, classes), codes=codes(of_recipe))
    except (ConfigurationError, MalformedReplyError):
        return
    assert said(found, seen)


@pytest.mark.parametrize("name", EXPORTS)
@given(data=st.data(), classes=st.integers(1, 6))
def test_what_is_stated_wrongly_misses_nothing(
    name: str, data: st.DataObject, classes: int
) -> None:
    """Refused, right, or loud: a wrong statement never makes a bad part a good one."""
    export, right = EXPORTS[name]
    stated = data.draw(st.sampled_from(sorted(set(HEADS) - {right, "auto"})))
    seen = data.draw(sightings(classes))
    try:
        (found,) = read(export(seen, classes), codes=codes(classes), head=stated)
    except (ConfigurationError, MalformedReplyError):
        return
    assert found, f"{name} read as {stated} says nothing"


@pytest.mark.parametrize("classes", [1, 2, 6])
@pytest.mark.parametrize("unused", [-4, -12])
def test_a_last_class_that_is_taken_for_nothing_is_refused(classes: int, unused: float) -> None:
    export, _ = EXPORTS["RF-DETR, first unused"]
    reply = export([Seen((4, 4, 12, 12), 0.625, classes - 1)], classes)
    reply["labels"][..., 0] = unused
    with pytest.raises(MalformedReplyError, match=r'"nothing" in most of them; .*rf_detr_from_1'):
        read(reply, codes=codes(classes), head="detr")


@pytest.mark.parametrize("name", EXPORTS)
def test_several_pictures_are_answered_for_one_by_one(name: str) -> None:
    export, head = EXPORTS[name]
    things: list[list[Seen]] = [
        [Seen((8, 8, 24, 20), 0.8, 0)],
        [],
        [Seen((40, 40, 60, 56), 0.9, 1)],
    ]
    replies = [export(one, 2) for one in things]
    together = {key: np.concatenate([reply[key] for reply in replies]) for key in replies[0]}
    found = read(together, *(region() for _ in things), head=head, codes=codes(2))
    assert [said(one, seen) for one, seen in zip(found, things, strict=True)] == [True] * 3


@pytest.mark.parametrize("name", EXPORTS)
def test_places_are_moved_to_the_picture_that_the_region_is_of(name: str) -> None:
    export, head = EXPORTS[name]
    wide = region(Rect(100, 50, 2 * SIDE, SIDE))  # half as large, with 24 rows of padding
    ((found,),) = read(export([Seen((8, 32, 24, 44), 0.8, 0)], 1), wide, head=head)
    assert np.allclose(corners_of(found), (116, 66, 148, 90), atol=4.1)
    # What lies in the padding alone is not on the unit.
    assert read(export([Seen((8, 4, 24, 20), 0.8, 0)], 1), wide, head=head) == [[]]


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -1e9])
def test_a_reply_with_absurd_numbers_is_no_answer(name: str, spoilt: float) -> None:
    export, head = EXPORTS[name]
    reply = export([Seen((8, 32, 24, 44), 0.8, 0)], 2)
    for key, array in reply.items():
        if array.dtype.kind != "f":
            continue
        broken = {**reply, key: np.full_like(array, spoilt)}
        with pytest.raises(MalformedReplyError):
            read(broken, head=head, codes=codes(2))


@pytest.mark.parametrize("name", EXPORTS)
def test_a_reply_for_another_number_of_pictures_or_classes_is_no_answer(name: str) -> None:
    export, head = EXPORTS[name]
    with pytest.raises(MalformedReplyError):
        read(export([], 2), region(), region(), head=head, codes=codes(2))
    seen = [Seen((8, 32, 24, 44), 0.8, 4)]
    with pytest.raises((ConfigurationError, MalformedReplyError)):
        read(export(seen, 5), head=head, codes=codes(2))


def test_boxes_that_overlap_are_suppressed_where_the_model_leaves_that_to_us() -> None:
    twice = [Seen((8, 8, 40, 40), 0.9, 0), Seen((10, 8, 42, 40), 0.7, 0)]
    assert len(read(made.yolo_nas(twice, 1), head="yolo_nas")[0]) == 1
    assert len(read(made.d_fine(twice, 1), head="d_fine")[0]) == 2


@pytest.mark.parametrize("name", ["D-FINE", "DETR", "RF-DETR", "RF-DETR, first unused"])
@given(data=st.data(), classes=st.integers(1, 6))
def test_corners_in_shares_are_not_taken_for_centres_and_sizes(
    name: str, data: st.DataObject, classes: int
) -> None:
    export, head = EXPORTS[name]
    reply = export(data.draw(sightings(classes)), classes)
    key = "dets" if "dets" in reply else "pred_boxes"
    half = reply[key][..., 2:] / 2
    corners = np.concatenate([reply[key][..., :2] - half, reply[key][..., :2] + half], axis=2)
    with pytest.raises(MalformedReplyError, match="are corners, expected centre and size"):
        read({**reply, key: corners}, head=head, codes=codes(classes))


def _centres(boxes: Any) -> Any:
    return np.concatenate(
        [(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1
    )


BOXES_OF = ("pred_boxes", "dets", "904", "boxes", "det_boxes")
SCORES_OF = ("logits", "labels", "913", "scores", "det_scores")
OTHER_MEANINGS: dict[str, tuple[tuple[str, ...], Any]] = {
    "boxes in shares": (BOXES_OF, lambda boxes: boxes / SIDE),
    "boxes in pixels": (BOXES_OF, lambda boxes: boxes * SIDE),
    "centres for corners": (BOXES_OF, _centres),
    "centres for corners, in shares": (BOXES_OF, lambda boxes: _centres(boxes) / SIDE),
    "confidences in percent": (SCORES_OF, lambda scores: scores * 100),
    "confidences for logits": (SCORES_OF, lambda scores: 1 / (1 + np.exp(-scores))),
}
"""Of tensors with the names and shapes of a kind, as other exporters might write them."""
TWO_OR_MORE_OUTPUTS = sorted(
    name for name, (export, _) in EXPORTS.items() if set(export([], 1)) & set(BOXES_OF)
)


@pytest.mark.parametrize("meaning", OTHER_MEANINGS)
@pytest.mark.parametrize("name", TWO_OR_MORE_OUTPUTS)
@settings(max_examples=15)
@given(data=st.data(), classes=st.integers(1, 6))
def test_the_same_tensors_with_another_meaning_hide_nothing(
    name: str, meaning: str, data: st.DataObject, classes: int
) -> None:
    """Refused or loud: numbers of another meaning never make a bad part a good one."""
    export, head = EXPORTS[name]
    keys, written = OTHER_MEANINGS[meaning]
    reply = {
        key: np.asarray(written(array), np.float32)
        if key in keys and array.dtype.kind == "f"
        else array
        for key, array in export(data.draw(sightings(classes)), classes).items()
    }
    try:
        (found,) = read(reply, head=head, codes=codes(classes))
    except (ConfigurationError, MalformedReplyError):
        return
    assert found, f"{name} with {meaning} says nothing"


# --- what is asked for ---


@pytest.mark.parametrize(
    ("reply", "wanted", "sentence"),
    [
        (
            made.detr([], 3),
            3,
            r'head = "detr" \(logits, the last of which is no class\) or "rf_detr"',
        ),
        (made.rf_detr([], 3), 3, 'or "rf_detr_from_1"'),
        (made.yolo_nas([], 3), 3, r'head = "d_fine" \(.*\) or "yolo_nas"'),
        (made.labels([], 3), 3, r'begin at 0 .* \[inference\] head = "labels" or "labels_from_1"'),
        (made.yolox([], 3), 3, 'head = "candidates_first" or "with_objectness" or "yolox"'),
        (made.final_with_masks([], 2), 2, "less 8 mask coefficients, looks like an end-to-end exp"),
        (made.d_fine([], 3), 7, "inspection.codes names 7 classes, but model m"),
    ],
)
def test_what_fits_two_readings_is_asked_for_in_one_sentence(
    reply: Any, wanted: int, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as refused:
        read(reply, codes=codes(wanted))
    assert len(refused.value.problems) == 1


def test_a_torchvision_export_without_an_axis_for_pictures_is_told_what_to_export_instead() -> None:
    one = {key: array[0] for key, array in made.labels_from_1([], 2).items()}
    with pytest.raises(
        ConfigurationError, match=r"has no axis for pictures; expected \[N,rows,4\]"
    ):
        read(one, codes=codes(2), head="labels_from_1")
