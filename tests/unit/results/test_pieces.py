from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.batching.tiling import pieces_of
from inspector.core.geometry import fit, upright_matrix
from inspector.core.places import Box, Polygon
from inspector.core.recipes import ModelName
from inspector.core.records import (
    CameraId,
    CloseUp,
    Difference,
    Finding,
    Frame,
    FrameRef,
    Image,
    MissReason,
    Outline,
    Placed,
    Rect,
    Region,
)
from inspector.core.verdicts import FrameResult
from inspector.results.pieces import FrameParts, without_doubles
from tests.kit.findings import boxed, corners_of, of_the_whole, rhombus, shaped

LEFT, RIGHT = Rect(0, 0, 640, 640), Rect(544, 0, 640, 640)
"""They share 544 to 640."""


class NoLease:
    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def ref(sequence: int = 0, camera: str = "a") -> FrameRef:
    return FrameRef(
        camera_id=CameraId(camera), sequence=sequence, captured_mono_ns=0, captured_unix_ns=0
    )


def region(rect: Rect, piece: int, pieces: int, frame: FrameRef | None = None) -> Region:
    return Region(
        frame=Frame(ref=frame or ref(), lease=NoLease()),
        rect=rect,
        letterbox=fit(rect, width_px=640, height_px=640),
        piece=piece,
        pieces=pieces,
    )


def seen(*corners: float, confidence: float = 0.8, code: int = 0) -> Finding:
    left, top, right, bottom = corners
    return boxed(
        code_index=code,
        confidence=confidence,
        left_px=left,
        top_px=top,
        right_px=right,
        bottom_px=bottom,
    )


def result(*detections: Finding, frame: FrameRef | None = None, **more: Any) -> FrameResult:
    return FrameResult(ref=frame or ref(), findings=detections, miss=None, **more)


def missed(reason: MissReason, detail: str = "") -> FrameResult:
    return FrameResult(ref=ref(), findings=None, miss=reason, detail=detail)


def test_a_frame_of_one_piece_is_passed_on_as_it_is() -> None:
    parts, whole = FrameParts(), result(seen(1, 2, 3, 4))
    assert parts.add(region(LEFT, 0, 1), whole) is whole


def test_a_frame_is_complete_with_its_last_piece_in_whatever_order() -> None:
    parts = FrameParts()
    assert parts.add(region(RIGHT, 1, 2), result(seen(900, 10, 920, 30))) is None
    assert parts.waiting == 1
    whole = parts.add(region(LEFT, 0, 2), result(seen(10, 10, 30, 30, confidence=0.9)))
    assert whole is not None
    assert whole.findings == (seen(10, 10, 30, 30, confidence=0.9), seen(900, 10, 920, 30))
    assert parts.waiting == 0


def test_pieces_of_several_frames_are_kept_apart() -> None:
    parts = FrameParts()
    frames = [ref(0), ref(1), ref(0, "b")]
    for frame in frames:
        assert parts.add(region(LEFT, 0, 2, frame), result(frame=frame)) is None
    for frame in frames:
        whole = parts.add(region(RIGHT, 1, 2, frame), result(frame=frame))
        assert whole is not None
        assert whole.ref == frame


def test_a_frame_of_which_a_piece_was_missed_is_missed() -> None:
    parts = FrameParts()
    assert parts.add(region(LEFT, 0, 3), missed(MissReason.STALE)) is None
    assert parts.add(region(RIGHT, 1, 3), missed(MissReason.MODEL_UNAVAILABLE, "away")) is None
    whole = parts.add(region(LEFT, 2, 3), result(seen(1, 1, 9, 9)))
    assert whole is not None
    assert (whole.findings, whole.miss, whole.detail) == (
        None,
        MissReason.MODEL_UNAVAILABLE,
        "away",
    )


def test_a_piece_that_comes_twice_is_a_bug_and_loud() -> None:
    parts = FrameParts()
    parts.add(region(LEFT, 0, 2), result())
    with pytest.raises(RuntimeError, match="piece 0 of frame 0 of a came twice"):
        parts.add(region(LEFT, 0, 2), result())


def test_times_span_all_pieces() -> None:
    parts = FrameParts()
    parts.add(region(LEFT, 0, 2), result(queue_ns=10, inference_ns=20))
    whole = parts.add(region(RIGHT, 1, 2), result(queue_ns=25, inference_ns=30))
    assert whole is not None
    assert (whole.queue_ns, whole.inference_ns) == (10, 45)


GOLDEN, ALONE = ModelName(name="golden"), ModelName(name="alone")


def test_a_frame_that_two_models_look_at_is_complete_when_both_have() -> None:
    parts = FrameParts()
    one, other = seen(10, 10, 30, 30), seen(100, 10, 130, 30, confidence=0.7)
    again = seen(11, 10, 31, 30, confidence=0.95)
    assert parts.add(region(LEFT, 0, 1), result(other, again), model=ALONE, models=2) is None
    assert parts.waiting == 1
    assert parts.add(region(LEFT, 0, 2), result(one), model=GOLDEN, models=2) is None
    whole = parts.add(region(RIGHT, 1, 2), result(), model=GOLDEN, models=2)
    assert whole is not None
    # Each is a claim of its own: whether two of them mean one defect is for the whole unit to say.
    assert whole.findings == (again, one, other)
    assert parts.waiting == 0


@pytest.mark.parametrize("missing", [GOLDEN, ALONE])
def test_a_frame_that_one_of_two_models_missed_is_missed(missing: ModelName) -> None:
    parts, whole = FrameParts(), None
    for model in (GOLDEN, ALONE):
        outcome = missed(MissReason.MODEL_UNAVAILABLE, "away") if model == missing else result()
        whole = parts.add(region(LEFT, 0, 1), outcome, model=model, models=2)
    assert whole is not None
    assert (whole.findings, whole.miss) == (None, MissReason.MODEL_UNAVAILABLE)


def test_a_defect_in_two_tiles_counts_once_the_surer_sight_of_it() -> None:
    tiles = [
        (LEFT, [seen(580, 50, 600, 70, confidence=0.7)]),
        (RIGHT, [seen(582, 51, 601, 70, confidence=0.9)]),
    ]
    assert without_doubles(tiles) == [seen(582, 51, 601, 70, confidence=0.9)]


def test_defects_of_two_classes_or_places_stay_two() -> None:
    one = seen(580, 50, 600, 70)
    for other in (seen(580, 50, 600, 70, code=1), seen(603, 50, 623, 70)):
        assert len(without_doubles([(LEFT, [one]), (RIGHT, [other])])) == 2


def test_what_one_tile_tells_apart_stays_apart() -> None:
    near = [seen(580, 50, 600, 70), seen(583, 50, 603, 70)]
    assert len(without_doubles([(LEFT, near), (RIGHT, [])])) == 2


def test_a_defect_cut_by_a_tiles_border_gives_way_to_the_whole_one() -> None:
    whole, cut = seen(600, 50, 680, 70, confidence=0.6), seen(600, 50, 640, 70, confidence=0.95)
    assert without_doubles([(LEFT, [cut]), (RIGHT, [whole])]) == [whole]
    loose = seen(612, 48, 639, 73, confidence=0.95)
    assert without_doubles([(LEFT, [loose]), (RIGHT, [whole])]) == [whole]


def test_a_defect_beside_a_cut_one_is_kept() -> None:
    tiles = [(LEFT, [seen(600, 50, 640, 70)]), (RIGHT, [seen(600, 90, 680, 110)])]
    assert len(without_doubles(tiles)) == 2


def test_a_defect_at_the_edge_of_the_picture_is_not_cut() -> None:
    at_edge, other = seen(0, 600, 20, 640, confidence=0.9), seen(0, 300, 20, 340)
    assert without_doubles([(LEFT, [at_edge, other]), (RIGHT, [])]) == [at_edge, other]


def test_a_defect_larger_than_the_overlap_is_joined_from_its_parts() -> None:
    parts = [
        (LEFT, [seen(400, 50, 640, 70, confidence=0.6)]),
        (RIGHT, [seen(544, 51, 900, 71, confidence=0.7)]),
    ]
    assert without_doubles(parts) == [seen(400, 50, 900, 71, confidence=0.7)]


def test_a_small_defect_on_a_large_one_stays_a_defect_of_its_own() -> None:
    large, small = seen(550, 50, 636, 136, confidence=0.9), seen(580, 80, 590, 90, confidence=0.8)
    again = [seen(551, 50, 636, 135, confidence=0.85), seen(580, 81, 590, 91, confidence=0.95)]
    for tiles in ([large, small], again), (again, [large, small]), ([small, large], again):
        assert len(without_doubles([(LEFT, tiles[0]), (RIGHT, tiles[1])])) == 2


spots = st.lists(
    st.tuples(st.integers(0, 59), st.integers(0, 39), st.integers(6, 30), st.integers(6, 30)),
    unique_by=lambda spot: spot[:2],
    max_size=25,
)


@given(spots, st.integers(0, 1000))
def test_each_defect_of_a_tiled_picture_is_found_once_and_whole(
    spots: list[tuple[int, int, int, int]], seed: int
) -> None:
    """Defects on a grid of 33 px; each tile reports what it sees of them, cut where it ends."""
    rng = random.Random(seed)
    boxes = [(x * 33, y * 33, x * 33 + wide, y * 33 + high) for x, y, wide, high in spots]
    rects = pieces_of(Rect(0, 0, 2000, 1330), width_px=640, height_px=640, overlap_px=32)
    tiles = []
    for rect in rects:
        found = []
        for left, top, right, bottom in boxes:
            inside = (
                max(left, rect.x_px),
                max(top, rect.y_px),
                min(right, rect.x_px + rect.width_px),
                min(bottom, rect.y_px + rect.height_px),
            )
            if inside[0] < inside[2] and inside[1] < inside[3]:
                found.append(seen(*inside, confidence=rng.choice([0.5, 0.7, 0.9])))
        rng.shuffle(found)
        tiles.append((rect, found))
    kept = [corners_of(finding) for finding in without_doubles(tiles)]
    assert sorted(kept) == sorted(boxes)


def test_a_detector_that_fires_everywhere_does_not_stop_the_line() -> None:
    rects = pieces_of(Rect(0, 0, 2448, 2048), width_px=640, height_px=640, overlap_px=96)
    rng = random.Random(3)
    tiles = []
    for rect in rects:
        corners = [
            (rect.x_px + rng.randrange(620), rect.y_px + rng.randrange(620)) for _ in range(100)
        ]
        tiles.append(
            (rect, [seen(x, y, x + 20, y + 20, confidence=rng.random()) for x, y in corners])
        )
    assert 500 < len(without_doubles(tiles)) <= 2000


def test_what_tiles_say_of_the_whole_unit_is_said_once_by_the_surest() -> None:
    first = [of_the_whole(confidence=0.6), of_the_whole(code_index=1, confidence=0.5)]
    kept = without_doubles([(LEFT, first), (RIGHT, [of_the_whole(confidence=0.8)])])
    assert kept == [of_the_whole(confidence=0.8), of_the_whole(code_index=1, confidence=0.5)]


def test_a_shape_that_two_tiles_saw_whole_stays_one_shape() -> None:
    there, again = rhombus(590, 100, confidence=0.8), rhombus(591, 100, confidence=0.7)
    assert without_doubles([(LEFT, [again]), (RIGHT, [there])]) == [there]


def test_a_shape_that_no_tile_saw_whole_is_joined_from_its_parts() -> None:
    left = shaped((500, 100), (640, 100), (640, 140), (500, 140))
    right = shaped((544, 100), (700, 100), (700, 140), (544, 140), confidence=0.8)
    (one,) = without_doubles([(LEFT, [left]), (RIGHT, [right])])
    assert isinstance(one.place, Polygon)
    assert corners_of(one) == (500, 100, 700, 140)
    assert one.place.area_px == 200 * 40


def test_close_ups_add_to_what_the_whole_picture_showed() -> None:
    outline = Outline(centre_x_px=300, centre_y_px=240, width_px=320, height_px=300, turn_deg=0)
    to_reference = upright_matrix(outline)
    lies = Placed(likeness=1.0, shift_px=0.0, matrix=to_reference)
    of = replace(ref(), outline=outline, placed=lies)
    whole = replace(region(Rect(0, 0, 320, 300), 0, 2, of), on_reference=True)
    place = Box(left_px=97, top_px=77, right_px=103, bottom_px=83)
    close_up = CloseUp(
        cell=Rect(0, 0, 64, 64),
        middle_px=(100, 80),
        enlarged=2.0,
        differences=(Difference(place=place, weight=9.0),),
    )
    close = replace(
        region(Rect(0, 0, 256, 256), 1, 2, of), on_reference=True, close_ups=(close_up,)
    )
    parts = FrameParts()
    assert parts.add(close, result(seen(26, 26, 38, 38), frame=of)) is None
    found = parts.add(whole, result(seen(200, 200, 220, 220), frame=of))
    assert found is not None
    assert found.findings is not None
    first, second = found.findings
    assert (first.is_close_up, second.is_close_up) == (False, True)
    assert corners_of(first) == pytest.approx((200, 200, 220, 220))
    assert corners_of(second) == pytest.approx((92, 72, 108, 88))


def test_a_frame_whose_close_ups_were_not_seen_was_not_inspected() -> None:
    parts = FrameParts()
    close_up = CloseUp(cell=Rect(0, 0, 64, 64), middle_px=(100, 80), enlarged=2.0, differences=())
    close = replace(region(Rect(0, 0, 256, 256), 1, 2), on_reference=True, close_ups=(close_up,))
    assert parts.add(region(Rect(0, 0, 320, 300), 0, 2), result()) is None
    missed = parts.add(close, replace(result(), findings=None, miss=MissReason.INFERENCE_FAILED))
    assert missed is not None
    assert (missed.findings, missed.miss) == (None, MissReason.INFERENCE_FAILED)
