from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inspector.core.errors import MalformedReplyError
from inspector.core.geometry import fit
from inspector.core.records import (
    CameraId,
    Finding,
    Frame,
    FrameRef,
    Image,
    ModelInput,
    OutputReader,
    Rect,
    Region,
)
from inspector.inference.outputs.detections import DetectionsReader
from inspector.inference.outputs.yolo import Head, HeadLayout, YoloReader
from tests.kit.findings import corners_of

SIDE, CLASSES, ROOM = 64, 3, 5
RECT = Rect(20, 10, 128, 64)
"""Half as large in the model, with 16 rows of padding above and below."""
REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)
Outputs = dict[str, Any]


class NoLease:
    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def region() -> Region:
    box = fit(RECT, width_px=SIDE, height_px=SIDE)
    return Region(frame=Frame(ref=REF, lease=NoLease()), rect=RECT, letterbox=box)


INPUT = ModelInput(
    name="image", width_px=SIDE, height_px=SIDE, channels_first=False, dtype="UINT8", rgb=False
)
DETECTIONS = DetectionsReader(input=INPUT, classes=CLASSES)


def raw(layout: HeadLayout, *candidates: int) -> YoloReader:
    return YoloReader(output="output", head=Head(layout, CLASSES, candidates), input=INPUT)


OBJECTNESS, TRANSPOSED = raw(HeadLayout.WITH_OBJECTNESS), raw(HeadLayout.TRANSPOSED)


def decoded(
    outputs: Outputs,
    reader: OutputReader = DETECTIONS,
    regions: int = 1,
    floor: float = 0.5,
) -> list[list[Finding]]:
    shown = tuple(region() for _ in range(regions))
    return reader.decode(outputs, shown, floor=floor, nms_iou=0.45)


def ensemble(*rows: tuple[tuple[float, float, float, float], float, int]) -> Outputs:
    outputs: Outputs = {
        "boxes": np.zeros((1, ROOM, 4), np.float32),
        "scores": np.zeros((1, ROOM), np.float32),
        "classes": np.zeros((1, ROOM), np.int32),
        "count": np.full((1, 1), len(rows), np.int32),
    }
    for i, (box, score, label) in enumerate(rows):
        outputs["boxes"][0, i] = box
        outputs["scores"][0, i] = score
        outputs["classes"][0, i] = label
    return outputs


def head(
    *rows: tuple[tuple[float, float, float, float], float, int],
    reader: YoloReader = OBJECTNESS,
    candidates: int = 40,
) -> Outputs:
    array = np.zeros((1, candidates, 5 + CLASSES), np.float32)
    for i, (corners, score, label) in enumerate(rows):
        left, top, right, bottom = corners
        array[0, i, :4] = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        array[0, i, 4], array[0, i, 5 + label] = score, 1.0
    if reader is TRANSPOSED:
        scores = array[..., 4:5] * array[..., 5:]
        array = np.concatenate([array[..., :4], scores], axis=2).transpose(0, 2, 1)
    return {"output": array}


BOX = (10.0, 20.0, 20.0, 30.0)
IN_FRAME = (40.0, 18.0, 60.0, 38.0)
RAW = (OBJECTNESS, TRANSPOSED)


def test_a_detection_is_told_in_pixels_of_the_frame() -> None:
    ((found,),) = decoded(ensemble((BOX, 0.75, 2)))
    assert corners_of(found) == IN_FRAME
    assert (found.code_index, found.confidence) == (2, 0.75)


@pytest.mark.parametrize("reader", RAW)
def test_both_raw_heads_say_the_same_as_the_ensemble(reader: YoloReader) -> None:
    ((found,),) = decoded(head((BOX, 0.75, 2), reader=reader), reader)
    assert corners_of(found) == pytest.approx(IN_FRAME)
    assert (found.code_index, found.confidence) == (2, 0.75)


@pytest.mark.parametrize("reader", RAW)
def test_of_overlapping_boxes_of_a_class_only_the_surest_is_kept(reader: YoloReader) -> None:
    near = (11.0, 21.0, 21.0, 31.0)
    apart = (40.0, 20.0, 50.0, 30.0)
    rows = [(near, 0.6, 1), (BOX, 0.9, 1), (BOX, 0.8, 0), (apart, 0.7, 1)]
    (found,) = decoded(head(*rows, reader=reader), reader)
    assert [(d.code_index, round(d.confidence, 3)) for d in found] == [
        (1, 0.9),
        (0, 0.8),
        (1, 0.7),
    ]


def test_what_is_below_the_floor_is_left_out() -> None:
    (found,) = decoded(ensemble((BOX, 0.51, 0), (BOX, 0.49, 0)))
    assert [d.confidence for d in found] == [pytest.approx(0.51)]


def test_the_surest_comes_first_whatever_order_the_server_chose() -> None:
    (found,) = decoded(ensemble((BOX, 0.6, 0), (BOX, 0.9, 1), (BOX, 0.7, 2)))
    assert [d.code_index for d in found] == [1, 2, 0]


def test_each_region_gets_its_own_row() -> None:
    one, none = ensemble((BOX, 0.9, 1)), ensemble()
    outputs = {name: np.concatenate([none[name], one[name]]) for name in one}
    first, second = decoded(outputs, regions=2)
    assert first == []
    assert len(second) == 1


def test_what_is_seen_only_in_the_padding_is_not_on_the_unit() -> None:
    assert decoded(ensemble(((10, 1, 20, 12), 0.9, 0))) == [[]]


def test_a_box_is_cut_at_the_edge_of_its_region() -> None:
    ((found,),) = decoded(ensemble(((-8, 10, 20, 30), 0.9, 0)))
    assert corners_of(found) == (20, 10, 60, 38)


@pytest.mark.parametrize(
    "box",
    [
        (20, 20, 10, 30),
        (10, 30, 20, 20),
        (10, 20, 10, 30),
        (0.1, 0.2, 0.4, 0.5),
    ],
    ids=["left right swapped", "upside down", "no width", "shares instead of pixels"],
)
def test_a_box_that_is_none_makes_the_reply_malformed(box: Any) -> None:
    with pytest.raises(MalformedReplyError, match="is not left, top, right, bottom in pixels"):
        decoded(ensemble((box, 0.9, 0)))


def test_a_box_that_is_none_below_the_floor_does_not_matter() -> None:
    assert decoded(ensemble(((20, 20, 10, 30), 0.3, 0))) == [[]]


@pytest.mark.parametrize("size", [np.nan, np.inf, 3e38, 1e30])
def test_absurd_boxes_make_a_reply_malformed(size: float) -> None:
    outputs = head((BOX, 0.9, 0), (BOX, 0.8, 0))
    outputs["output"][0, :2, 2:4] = size
    with pytest.raises(MalformedReplyError, match="NaN, infinity or absurd"):
        decoded(outputs, OBJECTNESS)


def test_a_score_a_hair_above_one_is_rounding() -> None:
    ((found,),) = decoded(ensemble((BOX, 1.0004, 0)))
    assert found.confidence == 1.0


def test_a_head_that_fires_everywhere_is_malformed_and_costs_little_time() -> None:
    rng = np.random.default_rng(3)
    array = np.zeros((1, 25200, 5 + CLASSES), np.float32)
    array[0, :, :2] = rng.uniform(0, SIDE, (25200, 2))
    array[0, :, 2:4] = 0.5
    array[0, :, 4:6] = 0.95
    began_s = time.perf_counter()
    with pytest.raises(MalformedReplyError, match="25200 candidates reach"):
        decoded({"output": array}, OBJECTNESS)
    assert time.perf_counter() - began_s < 1


# --- replies that mean something else than the layout they are read by ---

WIDTH = 5 + CLASSES


def grid(cells: int = 8) -> Any:
    """Candidates as a head has them: one per cell, sure of nothing."""
    array = np.zeros((1, cells * cells, WIDTH), np.float32)
    centres = (np.arange(cells) + 0.5) * SIDE / cells
    array[0, :, 0], array[0, :, 1] = np.tile(centres, cells), np.repeat(centres, cells)
    array[0, :, 2:4] = SIDE / cells
    array[0, :, 5:] = 0.3
    return array


def misread(array: Any) -> str:
    with pytest.raises(MalformedReplyError) as malformed:
        decoded({"output": array}, OBJECTNESS)
    return str(malformed.value)


def test_a_grid_that_is_sure_of_nothing_has_no_defects() -> None:
    assert decoded({"output": grid()}, OBJECTNESS) == [[]]


def test_shares_of_the_picture_are_malformed_although_nothing_is_seen() -> None:
    array = grid()
    array[..., :4] /= SIDE
    assert "not shares" in misread(array)


def test_corners_are_no_centres_and_sizes() -> None:
    array = grid()
    array[..., :2], array[..., 2:4] = array[..., :2] - 4, array[..., :2] + 4
    assert "corners" in misread(array)


def test_a_head_of_offsets_and_logarithms_is_malformed() -> None:
    array = grid()
    array[0, :, 2:4] = np.linspace(-2, 1, 64)[:, None]
    assert "not decoded" in misread(array)


def test_scores_and_class_numbers_are_no_objectness_and_classes() -> None:
    array = grid()
    array[..., 5:] = 0
    array[0, 3, 4] = 0.95
    assert "no candidate has a class" in misread(array)


def test_a_head_of_zeros_tells_nothing_by_them() -> None:
    array = np.zeros((1, 64, WIDTH), np.float32)
    assert decoded({"output": array}, OBJECTNESS) == [[]]
    array[0, 5] = [30, 30, 60, 60, 1, 0.9, 0, 0]
    ((found,),) = decoded({"output": array}, OBJECTNESS)
    assert found.confidence == pytest.approx(0.9)


def test_a_number_of_candidates_that_no_grid_has_is_malformed() -> None:
    wanted = raw(HeadLayout.WITH_OBJECTNESS, 252, 192)
    with pytest.raises(MalformedReplyError, match="has 64 candidates, which is no grid of 64x64"):
        decoded({"output": grid()}, wanted)


@pytest.mark.parametrize("box", [(70, 20, 80, 30), (20, -30, 30, -2), (-90, 20, 30, 30)])
def test_a_sure_box_that_the_picture_cannot_hold_is_malformed(box: Any) -> None:
    with pytest.raises(MalformedReplyError, match="lies outside the model's picture of 64x64"):
        decoded(ensemble((box, 0.9, 0)))
    assert decoded(ensemble((box, 0.3, 0))) == [[]]


@pytest.mark.parametrize("reader", [DETECTIONS, *RAW])
def test_missing_outputs_are_named(reader: YoloReader) -> None:
    with pytest.raises(MalformedReplyError, match="missing or truncated"):
        decoded({}, reader)


any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)
small = st.one_of(st.floats(-3, 70, width=32), st.floats(0, 1, width=32), any_float)


@settings(max_examples=150, deadline=None)
@given(
    boxes=arrays.arrays(np.float32, (1, ROOM, 4), elements=small),
    scores=arrays.arrays(np.float32, (1, ROOM), elements=small),
    labels=arrays.arrays(np.int32, (1, ROOM), elements=st.integers(-2, CLASSES + 1)),
    count=st.integers(-2, ROOM + 2),
)
def test_any_numbers_give_valid_detections_or_a_malformed_reply(
    boxes: Any, scores: Any, labels: Any, count: int
) -> None:
    outputs = {
        "boxes": boxes,
        "scores": scores,
        "classes": labels,
        "count": np.full((1, 1), count, np.int32),
    }
    try:
        (found,) = decoded(outputs)
    except MalformedReplyError:
        return
    assert 0 <= count <= ROOM
    check(found)
    # Nothing sure was passed over in silence, unless it lies beside the region.
    sure = [b for b, s in zip(boxes[0, :count], scores[0, :count], strict=True) if s >= 0.5]
    inside = [b for b in sure if b[0] < SIDE and b[2] > 0 and b[1] < 48 and b[3] > 16]
    assert len(found) >= len(inside)


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float32, (1, 6, 5 + CLASSES), elements=small))
def test_any_head_gives_valid_detections_or_a_malformed_reply(array: Any) -> None:
    try:
        (found,) = decoded({"output": array}, OBJECTNESS)
    except MalformedReplyError:
        return
    check(found)


def check(found: list[Finding]) -> None:
    for one in found:
        assert 0 <= one.code_index < CLASSES
        assert 0.5 <= one.confidence <= 1
        left_px, top_px, right_px, bottom_px = corners_of(one)
        assert RECT.x_px <= left_px < right_px <= RECT.x_px + RECT.width_px
        assert RECT.y_px <= top_px < bottom_px <= RECT.y_px + RECT.height_px
