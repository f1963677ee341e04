from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError, MalformedReplyError
from inspector.core.geometry import fit
from inspector.core.places import WHOLE_UNIT, Box, Polygon
from inspector.core.records import Finding, Frame, ModelInput, Rect, Region
from inspector.inference.description import TensorDescription
from inspector.inference.exporter_notes import ExporterNotes
from inspector.inference.outputs.anomaly import LABEL, MAP, MASK, SCORE, AnomalyReader
from inspector.inference.outputs.kind import Described
from inspector.inference.outputs.registry import reader_of
from tests.unit.inference.outputs.test_yolo import REF, NoLease

SIDE, MAP_SIDE = 64, 32
INPUT = ModelInput(
    name="input", width_px=SIDE, height_px=SIDE, channels_first=True, dtype="FP32", rgb=True
)
WIDE = Rect(20, 10, 128, 64)
"""Half as large in the model, with 16 rows of padding above and below."""
FULL = Rect(0, 0, SIDE, SIDE)


def region(rect: Rect = FULL, piece: int = 0, pieces: int = 1) -> Region:
    box = fit(rect, width_px=SIDE, height_px=SIDE)
    frame = Frame(ref=REF, lease=NoLease())
    return Region(frame=frame, rect=rect, letterbox=box, piece=piece, pieces=pieces)


def reader(*tensors: str) -> AnomalyReader:
    return AnomalyReader(tensors=tensors, input=INPUT)


def decoded(
    score: float, *regions: Region, floor: float = 0.5, **planes: np.ndarray[Any, Any]
) -> list[Finding]:
    at = regions or (region(),)
    reply = {SCORE: np.full(len(at), score, np.float32)}
    reply |= {name: np.stack([plane[None]] * len(at)) for name, plane in planes.items()}
    read = reader(SCORE, *planes)
    return read.decode(reply, at, floor=floor, nms_iou=0.5)[0]


def heat(*spots: tuple[slice, slice, float]) -> np.ndarray[Any, Any]:
    plane = np.full((MAP_SIDE, MAP_SIDE), 0.1, np.float32)
    for rows, columns, value in spots:
        plane[rows, columns] = value
    return plane


def test_what_is_over_the_border_is_a_region_with_its_shape_where_it_lies() -> None:
    (found,) = decoded(0.9, anomaly_map=heat((slice(4, 8), slice(10, 16), 0.8)))
    assert isinstance(found.place, Polygon)
    assert found.box == Box(left_px=20, top_px=8, right_px=32, bottom_px=16)
    assert found.place.area_px == 12 * 8
    assert found.code_index == 0
    assert found.confidence == pytest.approx(0.9)


def test_the_mask_says_where_if_the_model_gives_one_and_the_map_how_much() -> None:
    strong, weak = (slice(2, 6), slice(2, 6)), (slice(20, 24), slice(20, 28))
    mask = np.zeros((MAP_SIDE, MAP_SIDE), np.bool_)
    mask[strong] = mask[weak] = True
    one, other = decoded(0.8, anomaly_map=heat((*strong, 0.9), (*weak, 0.6)), pred_mask=mask)
    assert one.box == Box(left_px=4, top_px=4, right_px=12, bottom_px=12)
    assert other.box == Box(left_px=40, top_px=40, right_px=56, bottom_px=48)
    assert one.confidence == pytest.approx(0.8)
    assert other.confidence == pytest.approx(0.8 * 0.6 / 0.9)


def test_the_score_of_the_picture_decides_and_no_map_does() -> None:
    bad = heat((slice(0, 9), slice(0, 9), 0.95))
    assert decoded(0.49, anomaly_map=bad) == []
    assert len(decoded(0.51, anomaly_map=bad)) == 1


@pytest.mark.parametrize("planes", [{}, {MAP: np.full((4, 4), 0.2, np.float32)}, {MAP: heat()}])
def test_a_score_without_a_place_is_about_the_whole_unit_or_the_tile(planes: Any) -> None:
    (found,) = decoded(0.7, **planes)
    assert found.place == WHOLE_UNIT
    (found,) = decoded(0.7, region(WIDE, 1, 4), **planes)
    assert found.box == Box(left_px=20, top_px=10, right_px=148, bottom_px=74)


def test_a_score_whose_pixels_stay_below_their_border_is_about_the_highest_of_them() -> None:
    (found,) = decoded(0.7, anomaly_map=heat((slice(4, 8), slice(10, 16), 0.4)))
    assert found.box == Box(left_px=20, top_px=8, right_px=32, bottom_px=16)


def test_what_lies_in_the_padding_alone_still_fails_the_unit() -> None:
    """Grey bars are unlike good units too; a score that nobody can place is not lost."""
    (found,) = decoded(0.7, region(WIDE), anomaly_map=heat((slice(0, 6), slice(3, 9), 0.9)))
    assert found.place == WHOLE_UNIT


def test_places_are_moved_to_the_picture_that_the_region_is_of() -> None:
    (found,) = decoded(0.7, region(WIDE), anomaly_map=heat((slice(12, 16), slice(4, 8), 0.9)))
    # Twice the map in the input, less the bar of 16 rows, twice in the picture, and its corner.
    assert found.box == Box(left_px=36, top_px=26, right_px=52, bottom_px=42)


@given(st.floats(0, 1, width=32), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_something_is_claimed_exactly_where_the_score_reaches_the_floor(
    score: float, floor: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).random((MAP_SIDE, MAP_SIDE), np.float32)
    findings = decoded(score, floor=floor, anomaly_map=noise)
    assert bool(findings) == (score >= floor)
    assert max((f.confidence for f in findings), default=score) == pytest.approx(score)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({SCORE: np.array([3.2], np.float32)}, "scores reach from 3.2 to 3.2, expected 0 to 1"),
        ({SCORE: np.array([np.nan], np.float32)}, "NaN"),
        ({SCORE: np.array([0.1, 0.2], np.float32)}, r"pred_score is float32 \(2,\)"),
        ({SCORE: np.array([1], np.int32)}, "pred_score is int32"),
        ({}, "output pred_score missing"),
        ({SCORE: np.array([0.3], np.float32), LABEL: np.array([True])}, "0.3 anomalous"),
        ({SCORE: np.array([0.8], np.float32), LABEL: np.array([False])}, "0.8 normal"),
        ({SCORE: np.array([0.8], np.float32), MAP: np.zeros((2, 1, 4, 4), np.float32)}, "map is"),
        ({SCORE: np.array([0.8], np.float32), MAP: np.full((1, 1, 4, 4), 7, np.float32)}, "7"),
    ],
)
def test_what_is_no_normalised_score_is_no_answer(reply: dict[str, Any], why: str) -> None:
    read = reader(SCORE, *(name for name in (MAP, LABEL) if name in reply))
    with pytest.raises(MalformedReplyError, match=why):
        read.decode(reply, (region(),), floor=0.5, nms_iou=0.5)


def described(*names: str, classes: int = 1) -> Described:
    dtypes = {MASK: "BOOL", LABEL: "BOOL"}
    outputs = [
        TensorDescription(
            name=name,
            dtype=dtypes.get(name, "FP32"),
            shape=(-1,) if name in (SCORE, LABEL) else (-1, 1, MAP_SIDE, MAP_SIDE),
        )
        for name in names
    ]
    return Described(
        model="surface", outputs=outputs, input=INPUT, classes=classes, notes=ExporterNotes()
    )


@pytest.mark.parametrize(
    "names", [(SCORE,), (SCORE, LABEL, MAP, MASK), (MAP, SCORE), (SCORE, "embedding")]
)
def test_a_model_with_anomalibs_names_is_read_as_one(names: tuple[str, ...]) -> None:
    read = reader_of(described(*names))
    assert isinstance(read, AnomalyReader)
    assert set(read.outputs) == set(names) - {"embedding"}


def test_a_model_that_knows_one_thing_needs_one_code_and_the_line_to_write_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r'\["anomaly"\].*inspection.codes_of.surface'):
        reader_of(described(SCORE, MAP, classes=6))
    with pytest.raises(ConfigurationError, match="anomaly_map and no pred_score"):
        reader_of(described(MAP))
