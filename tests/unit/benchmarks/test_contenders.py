from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.contenders.pictures import GREY, blob, count_boxes, letterbox, suppress
from benchmarks.contenders.protocol import cpu_s, measured, rss_mib

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "model_repository/postprocessing/1/model.onnx"
IN_ROWS = ROOT / "benchmarks/contenders/model_repository/yolo_postprocessing/1/model.onnx"


def candidate(x: float, y: float, *, objectness: float = 0.9, of_class: int = 0) -> list[float]:
    scores = [0.0] * 6
    scores[of_class] = 0.9
    return [x, y, 20, 20, objectness, *scores]


def counted(*candidates: list[float]) -> int:
    return count_boxes(np.array(candidates, np.float32).reshape(-1, 11))


def test_a_picture_is_centred_in_a_grey_square() -> None:
    square = letterbox(np.full((720, 1280, 3), 7, np.uint8))

    assert square.shape == (640, 640, 3)
    assert (square[140:500] == 7).all()
    assert (square[:140] == GREY).all()
    assert (square[500:] == GREY).all()


def test_a_tall_picture_is_centred_too() -> None:
    square = letterbox(np.full((1000, 500, 3), 7, np.uint8))

    assert (square[:, 160:480] == 7).all()
    assert (square[:, :160] == GREY).all()


def test_the_float_tensor_is_red_green_blue_from_0_to_1() -> None:
    picture = np.zeros((640, 640, 3), np.uint8)
    picture[..., 2] = 255  # red, in OpenCV's order

    tensor = blob(picture)

    assert tensor.shape == (1, 3, 640, 640)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert [float(channel.max()) for channel in tensor[0]] == [1.0, 0.0, 0.0]


def test_boxes_are_counted_once() -> None:
    assert counted() == 0
    assert counted(candidate(100, 100)) == 1
    assert counted(candidate(100, 100), candidate(102, 101, objectness=0.8)) == 1
    assert counted(candidate(100, 100), candidate(100, 140)) == 2
    assert counted(candidate(100, 100), candidate(100, 100, of_class=3)) == 2


def test_unsure_boxes_do_not_count() -> None:
    assert counted(candidate(100, 100, objectness=0.2)) == 0
    assert counted(candidate(100, 100, objectness=0.27)) == 0  # 0.27 x 0.9


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=20))
def test_what_is_kept_does_not_overlap_and_what_is_not_does(places: list[tuple[int, int]]) -> None:
    corners = np.array(places, np.float32)
    boxes = np.hstack((corners, corners + 30)).astype(np.float32)
    scores = np.linspace(0.9, 0.3, len(boxes)).astype(np.float32)

    kept = suppress(boxes, scores)

    def overlap(one: int, other: int) -> float:
        sides = 30 - np.abs(corners[one] - corners[other])
        shared = float(sides.clip(0).prod())
        return shared / (1800 - shared)

    assert all(overlap(a, b) <= 0.45 for a in kept for b in kept if a != b)
    dropped = set(range(len(boxes))) - set(kept)
    assert all(
        any(overlap(one, better) > 0.45 for better in kept if better < one) for one in dropped
    )


def test_ultralytics_gets_what_the_shipped_post_processing_finds() -> None:
    places = [candidate(50.0 * n, 40.0 * n, of_class=n % 6) for n in range(1, 12)]
    candidates = np.zeros((2, 25200, 11), np.float32)
    candidates[1, 100 : 100 + len(places)] = places

    shipped = onnxruntime.InferenceSession(SHIPPED).run(None, {"output": candidates})
    (rows,) = onnxruntime.InferenceSession(IN_ROWS).run(None, {"output": candidates})

    boxes, scores, classes, count = shipped
    assert count.ravel().tolist() == [0, len(places)]
    assert (rows == np.dstack((boxes, scores, classes))).all()


def burn(stop: Event) -> None:
    while not stop.is_set():
        pass


def test_the_work_of_children_counts_while_they_live_and_afterwards() -> None:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    child = context.Process(target=burn, args=(stop,))
    own_before_s = time.process_time()
    before_s = cpu_s()
    child.start()
    try:
        while cpu_s() - before_s - (time.process_time() - own_before_s) < 0.3:
            time.sleep(0.01)  # one look per tick of the kernel's accounts
        resident_mib = rss_mib()
    finally:
        stop.set()
        child.join()

    assert cpu_s() - before_s - (time.process_time() - own_before_s) >= 0.29
    assert resident_mib > rss_mib()


def test_what_was_measured_is_reported() -> None:
    answer = measured(lambda frames: 2 * frames, 30)

    assert answer["frames"] == 30
    assert answer["detections"] == 60
    assert answer["wall_s"] >= 0
    assert answer["cpu_s"] >= 0
    assert answer["rss_mib"] > 1
