"""The graphs around the network: what scripts/make_*_onnx.py make, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from scripts.make_folded_onnx import folded_graph
from scripts.make_golden_onnx import golden_graph, golden_preprocessing_graph
from scripts.make_postprocessing_onnx import NOT_FINITE, postprocessing_graph
from scripts.make_preprocessing_onnx import preprocessing_graph
from tests.kit.inspection_reference import pictures, postprocessed, preprocessed
from training.model.model_input import assemble

SHIPPED = Path(__file__).parents[3] / "model_repository"
GOLDEN = Path(__file__).parents[3] / "deploy/triton/golden/pcb_detector_golden/1/model.onnx"
OUTPUTS = ["boxes", "scores", "classes", "count"]


def run(graph: onnx.ModelProto, **inputs: Any) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def assert_same(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in OUTPUTS:
        assert answer[name].dtype == expected[name].dtype, name
        np.testing.assert_array_equal(answer[name], expected[name], err_msg=name)


def candidates(pictures_count: int, rows: int, *, classes: int = 6, seed: int = 7) -> Any:
    """Boxes of many sizes over each other, with scores of all sizes."""
    random = np.random.default_rng(seed)
    raw = np.zeros((pictures_count, rows, 5 + classes), np.float32)
    raw[..., :2] = random.uniform(20, 620, (pictures_count, rows, 2))
    raw[..., 2:4] = random.uniform(5, 80, (pictures_count, rows, 2))
    raw[..., 4:] = random.uniform(0, 1, (pictures_count, rows, 1 + classes))
    return raw


@pytest.fixture(scope="module")
def graph():
    return postprocessing_graph(0.25, 0.45)


def test_the_shipped_graphs_are_what_the_scripts_make_byte_for_byte(graph):
    for model, made in (("postprocessing", graph), ("preprocessing", preprocessing_graph())):
        shipped = (SHIPPED / model / "1/model.onnx").read_bytes()
        assert made.SerializeToString(deterministic=True) == shipped, model


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_batch_is_answered_as_its_pictures_alone(graph, count):
    raw = candidates(count, 2000)
    raw[0] = 0  # one picture without any candidate between full ones
    together = run(graph, output=raw)
    assert_same(together, postprocessed(raw))
    alone = [run(graph, output=raw[i : i + 1]) for i in range(count)]
    assert_same(together, {n: np.concatenate([one[n] for one in alone]) for n in OUTPUTS})
    assert together["count"].ravel().tolist() == [0, *[100] * (count - 1)]


def test_equal_scores_keep_the_detectors_order(graph):
    raw = candidates(2, 1500)
    raw[..., 4:] = np.round(raw[..., 4:] * 4) / 4
    answer = run(graph, output=raw)
    assert len(np.unique(answer["scores"])) < 10, "there are ties"
    assert_same(answer, postprocessed(raw))


@pytest.mark.parametrize(("classes", "rows"), [(1, 300), (3, 25200), (20, 900)])
def test_any_number_of_classes_and_candidates_fits(graph, classes, rows):
    raw = candidates(2, rows, classes=classes)
    raw[:, 1000:] = 0
    assert_same(run(graph, output=raw), postprocessed(raw))


def test_fewer_candidates_than_rows_leave_zeros(graph):
    raw = candidates(1, 7)
    raw[..., 4:] = 0.9
    answer = run(graph, output=raw)
    assert 0 < answer["count"].item() <= 7
    assert_same(answer, postprocessed(raw))
    nothing = run(graph, output=raw * 0)
    assert not any(nothing[name].any() for name in OUTPUTS)


def test_a_score_at_the_threshold_counts_and_one_below_does_not(graph):
    raw = np.zeros((1, 10, 11), np.float32)
    raw[0, :2, :4] = [[100, 100, 20, 20], [300, 300, 20, 20]]
    raw[0, :2, 4] = 1
    raw[0, :2, 5] = [0.25, np.nextafter(np.float32(0.25), np.float32(0))]
    answer = run(graph, output=raw)
    assert answer["count"].item() == 1
    assert answer["boxes"][0, 0].tolist() == [90, 90, 110, 110]


def test_thresholds_are_those_it_was_made_with():
    raw = candidates(1, 500)
    answer = run(postprocessing_graph(0.6, 0.2), output=raw)
    assert_same(answer, postprocessed(raw, threshold=0.6, iou=0.2))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 4, 10])
def test_what_is_no_number_fails_and_says_so(graph, poison, column):
    raw = np.zeros((2, 25200, 11), np.float32)
    raw[1, 25000, column] = poison
    with pytest.raises(Exception, match="not finite") as failed:
        run(graph, output=raw)
    assert NOT_FINITE in str(failed.value)


def test_opposite_infinities_do_not_cancel_out(graph):
    raw = np.zeros((1, 25200, 11), np.float32)
    raw[0, 0, 4], raw[0, 1, 4] = np.inf, -np.inf
    with pytest.raises(Exception, match="not finite"):
        run(graph, output=raw)


def test_a_head_that_fires_everywhere_does_not_stall_the_server(graph):
    raw = np.tile(candidates(1, 3150), (2, 8, 1))
    answer = run(graph, output=raw)
    assert answer["count"].ravel().tolist() == [100, 100]


def test_the_single_graph_answers_what_the_three_do(graph):
    network = onnx.load(SHIPPED / "pcb_detector/1/model.onnx")
    boards = pictures(3)
    seen = run(preprocessing_graph(), image=boards)["images"]
    np.testing.assert_array_equal(seen, preprocessed(boards))
    expected = run(graph, output=run(network, images=seen)["output"])
    assert expected["count"].min() > 0, "a board without a find would prove nothing"
    assert_same(run(folded_graph(network), image=boards), expected)


def test_a_network_with_other_tensors_is_not_folded(graph):
    with pytest.raises(ValueError, match="the network's input is output, expected images"):
        folded_graph(graph)


def test_the_golden_input_is_what_the_training_shows_for_every_pair_of_grays():
    pair = np.zeros((1, 640, 640, 2), np.uint8)
    pair[0, :256, :256, 0], pair[0, :256, :256, 1] = np.mgrid[:256, :256]
    seen = run(golden_preprocessing_graph(), image=pair)["images"]
    np.testing.assert_array_equal(seen[0], assemble(pair[0, ..., 0], pair[0, ..., 1]))


@pytest.mark.parametrize("file", [GOLDEN, SHIPPED / "pcb_detector/1/model.onnx"])
def test_the_golden_graph_answers_what_its_network_and_numpy_do(file):
    """INT8, of which the first convolution is rewritten, and float, of which nothing is."""
    boards = pictures(3)
    pairs = np.stack([boards[..., 0], np.roll(boards[..., 1], 2, axis=1)], axis=-1)
    network = onnx.load(file)
    seen = np.stack([assemble(p[..., 0], p[..., 1]) for p in pairs])
    expected = postprocessed(run(network, images=seen)["output"])
    assert expected["count"].min() > 0, "a board without a find would prove nothing"
    assert_same(run(golden_graph(network), image=pairs), expected)


def test_the_golden_graph_reads_bytes_by_blocks_where_the_network_is_int8():
    made = golden_graph(onnx.load(SHIPPED / "pcb_detector/1/model.onnx"))
    first = next(node for node in made.graph.node if node.op_type == "Conv")
    shape = {a.name: list(a.ints) for a in first.attribute}
    assert (shape["kernel_shape"], shape["strides"]) == ([2, 2], [1, 1])
    assert not any(
        node.op_type == "QuantizeLinear" and "images" in node.input for node in made.graph.node
    )
