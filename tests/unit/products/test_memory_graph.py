from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import checker

from inspector.core.errors import ConfigurationError
from inspector.products.memory import PlacedMemory, remember
from inspector.products.memory_graph import taught_graph
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode

NETWORK = Path(__file__).parents[3] / "model_repository/unit_features/1/model.onnx"
INSIDE = np.ones((80, 80), np.bool_)
Answer = dict[str, NDArray[Any]]


def session(file: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def pictures(number: int, defects: tuple[DefectCode, ...] = ()) -> NDArray[np.uint8]:
    board = draw_board(number, seed=4, width_px=640, height_px=640, defects=defects, variation=1.0)
    return board.picture[None]


@lru_cache(maxsize=1)
def memory() -> PlacedMemory:
    network = session(NETWORK.read_bytes())
    features = [network.run(None, {"image": pictures(n)})[0] for n in range(1, 7)]
    return remember(features, INSIDE)


@lru_cache(maxsize=1)
def graph() -> bytes:
    return taught_graph(NETWORK.read_bytes(), memory())


@lru_cache(maxsize=1)
def model() -> Any:
    return session(graph())


def answer(image: NDArray[np.uint8]) -> Answer:
    names = ["pred_score", "anomaly_map", "pred_mask"]
    return dict(zip(names, model().run(names, {"image": image}), strict=True))


def test_the_graph_is_one_that_onnx_itself_accepts() -> None:
    checker.check_model(onnx.load_from_string(graph()), full_check=True)


def test_the_graph_says_what_the_memory_says() -> None:
    image = pictures(20, (DefectCode.SHORT,))
    network = session(NETWORK.read_bytes())
    unlike = memory().unlikeness(network.run(None, {"image": image})[0])[0]
    found = answer(image)
    cells = found["anomaly_map"][0, 0, 1::3, 1::3]
    # The features reach the memory with half the digits.
    assert np.allclose(cells / (1 - cells), unlike, rtol=0.02, atol=0.005)
    assert found["pred_score"].shape == (1, 1)
    assert found["pred_score"] == found["anomaly_map"].max() == cells.max()
    assert np.array_equal(found["pred_mask"], found["anomaly_map"] >= 0.5)


def test_good_boards_are_below_a_half_and_damaged_ones_above_where_they_are_damaged() -> None:
    for number in range(20, 26):
        assert answer(pictures(number))["pred_score"][0] < 0.5
    for number, code in enumerate(DefectCode, start=30):
        board = draw_board(
            number, seed=4, width_px=640, height_px=640, defects=(code,), variation=1.0
        )
        found = answer(board.picture[None])
        assert found["pred_score"][0] >= 0.5, code
        [truth] = board.truth
        row, column = np.unravel_index(found["anomaly_map"].argmax(), (240, 240))
        x_px, y_px = (column + 0.5) * 640 / 240, (row + 0.5) * 640 / 240
        left, top, width, height = truth.bbox_px
        assert left - 20 <= x_px <= left + width + 20, code
        assert top - 20 <= y_px <= top + height + 20, code


def test_several_pictures_are_judged_each_by_itself() -> None:
    images = np.concatenate([pictures(40), pictures(41, (DefectCode.OPEN,)), pictures(42)])
    together = answer(images)
    alone = [answer(image[None]) for image in images]
    assert together["pred_score"].shape == (3, 1)
    for index, one in enumerate(alone):
        assert np.allclose(together["anomaly_map"][index], one["anomaly_map"][0], atol=1e-5)


def test_the_same_memory_makes_the_same_file() -> None:
    assert taught_graph(NETWORK.read_bytes(), memory()) == graph()


def test_a_network_that_makes_no_features_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is no ONNX file"):
        taught_graph(b"nothing of the kind", memory())
    detector = NETWORK.parents[2] / "pcb_detector/1/model.onnx"
    with pytest.raises(ConfigurationError, match="has the outputs output; expected features"):
        taught_graph(detector.read_bytes(), memory())
