"""INT8 by calibration: what changes in the file, what must not, and what is refused."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from scripts.make_folded_onnx import folded_graph
from scripts.make_postprocessing_onnx import postprocessing_graph
from scripts.make_preprocessing_onnx import preprocessing_graph
from tests.kit.inspection_reference import pictures, postprocessed, preprocessed
from tests.training.made import write_yolo
from training.data.opening import open_data_set
from training.errors import TrainingError, WrongInputError
from training.quantise import calibration_inputs, quantise

ROOT = Path(__file__).parents[2]
DETECTOR = ROOT / "deploy/triton/float/pcb_detector/1/model.onnx"
SERVED = ROOT / "model_repository/pcb_detector/1/model.onnx"
OUTPUTS = ["boxes", "scores", "classes", "count"]


def inputs() -> Any:
    return calibration_inputs(None, boards=0, drawn=6)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("int8") / "model.onnx"
    return quantise(DETECTOR, out, inputs()), out


def run(model: bytes, **feed: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    answer: list[Any] = session.run(None, feed)
    return answer


def signature(model: onnx.ModelProto) -> list[tuple[str, int, list[int]]]:
    tensors = [*model.graph.input, *model.graph.output]
    return [
        (t.name, t.type.tensor_type.elem_type, [d.dim_value for d in t.type.tensor_type.shape.dim])
        for t in tensors
    ]


def test_input_output_and_metadata_stay(made):
    before, after = onnx.load(DETECTOR), onnx.load(made[1])
    for (name, kind, dims), (old_name, old_kind, old_dims) in zip(
        signature(after), signature(before), strict=True
    ):
        assert (name, kind, len(dims)) == (old_name, old_kind, len(old_dims))
        # 0 is any length; what was open may have become known, but for the batch.
        assert all(old in (0, new) for old, new in zip(old_dims, dims, strict=True))
        assert dims[0] == 0
    told = {entry.key: entry.value for entry in after.metadata_props}
    for entry in before.metadata_props:
        assert told[entry.key] == entry.value
    assert len(told["quantised_from_sha256"]) == 64


def test_the_served_network_was_made_of_the_float_one_beside_it():
    told = {entry.key: entry.value for entry in onnx.load(SERVED).metadata_props}
    assert told["quantised_from_sha256"] == hashlib.sha256(DETECTOR.read_bytes()).hexdigest()


def test_the_file_is_less_than_half_as_large(made):
    report, out = made
    assert report.bytes_after == out.stat().st_size
    assert report.bytes_after * 2 < report.bytes_before
    assert report.pictures == 6


def test_convolutions_are_int8_but_for_the_last(made):
    report, out = made
    graph = onnx.load(out).graph
    makers = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    is_int8 = {
        node.name: makers.get(node.input[1]) is not None
        and makers[node.input[1]].op_type == "DequantizeLinear"
        for node in convolutions
    }
    left_float = {name for name, quantised in is_int8.items() if not quantised}
    assert left_float
    assert left_float == {node.name for node in convolutions} & set(report.float_nodes)
    assert len(left_float) * 5 < len(convolutions)


def test_weights_keep_to_seven_bits_so_that_no_cpu_overflows(made):
    graph = onnx.load(made[1]).graph
    weights = [c for c in graph.initializer if c.data_type == onnx.TensorProto.INT8]
    assert len([w for w in weights if len(w.dims) == 4]) > 10
    for weight in weights:
        assert np.abs(numpy_helper.to_array(weight).astype(int)).max(initial=0) <= 64, weight.name


def test_the_same_model_and_pictures_make_the_same_file(made, tmp_path):
    quantise(DETECTOR, tmp_path / "again.onnx", inputs())
    assert (tmp_path / "again.onnx").read_bytes() == made[1].read_bytes()


def test_it_finds_nearly_the_same(made):
    boards = preprocessed(pictures(4))
    [expected] = run(DETECTOR.read_bytes(), images=boards)
    [answer] = run(made[1].read_bytes(), images=boards)
    sure = postprocessed(expected, threshold=0.5)
    found = postprocessed(answer, threshold=0.25)
    for row in range(len(boards)):
        for k in range(sure["count"][row, 0]):
            distances = np.abs(found["boxes"][row] - sure["boxes"][row, k]).max(axis=1)
            distances[found["classes"][row] != sure["classes"][row, k]] = np.inf
            assert distances[: found["count"][row, 0]].min() < 12


def test_its_single_graph_lets_the_bytes_in_and_answers_the_same(made):
    network = onnx.load(made[1])
    folded = folded_graph(network)
    kinds = [node.op_type for node in folded.graph.node]
    assert "Div" not in kinds[:3], "no float picture is made"
    boards = pictures(2)
    [images] = run(preprocessing_graph().SerializeToString(), image=boards)
    [candidates] = run(made[1].read_bytes(), images=images)
    expected = run(postprocessing_graph(0.25, 0.45).SerializeToString(), output=candidates)
    assert expected[3].min() > 0
    for one, other in zip(run(folded.SerializeToString(), image=boards), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_no_float_detector_is_refused_and_nothing_is_written(made, tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("no graph")
    out = tmp_path / "out.onnx"
    post = ROOT / "model_repository/postprocessing/1/model.onnx"
    for model, reason in (
        (tmp_path / "nowhere.onnx", "cannot be read (No such file or directory)"),
        (text, "expected an ONNX file"),
        (post, "input output, expected one input named images"),
        (made[1], "quantised already, expected a float network"),
    ):
        with pytest.raises(WrongInputError) as refused:
            quantise(model, out, inputs())
        assert reason in str(refused.value)
        assert str(model) in str(refused.value)
    assert not out.exists()


def test_calibration_shows_training_boards_as_they_are_and_through_a_camera(tmp_path):
    boards = {f"a{number}": [(3, number)] for number in range(12)}
    # A test picture would give itself away: it is all laminate.
    data = open_data_set(write_yolo(tmp_path, {"train": boards, "test": {"never": []}}))
    shown = list(calibration_inputs(data, boards=10, drawn=1))
    assert len(shown) == 10 + 10 + 1
    plain, photographed = shown[:20:2], shown[1:20:2]
    for one in (*plain, *photographed):
        assert one.shape == (3, 640, 640)
        assert one.dtype == np.float32
        assert 0 <= one.min() <= one.max() <= 1
    assert all(len(np.unique(one)) == 2 for one in plain)
    assert all(len(np.unique(one)) > 50 for one in photographed)
    again = list(calibration_inputs(data, boards=10, drawn=1))
    assert all(np.array_equal(a, b) for a, b in zip(shown, again, strict=True))


def test_without_pictures_it_refuses(tmp_path):
    with pytest.raises(TrainingError, match="no picture to calibrate with"):
        quantise(DETECTOR, tmp_path / "out.onnx", iter(()))
    assert not (tmp_path / "out.onnx").exists()


def test_the_command_says_what_it_made_or_why_not(tmp_path):
    def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "training.quantise", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    done = command(DETECTOR, tmp_path / "out.onnx", "--drawn", "2")
    assert done.returncode == 0, done.stderr
    assert "calibrated with 2 pictures" in done.stdout
    refused = command(DETECTOR, tmp_path / "out.onnx", "--data", tmp_path / "nowhere")
    assert refused.returncode == 78
    assert refused.stderr.startswith("error: ")
    assert "nowhere" in refused.stderr


def small_network(path: Path, *, channels: int = 3, side_px: int = 64) -> Path:
    node = onnx.helper.make_node
    weights = np.random.default_rng(1).normal(0, 0.1, (4, channels, 3, 3)).astype(np.float32)
    last = np.random.default_rng(2).normal(0, 0.1, (2, 4, 1, 1)).astype(np.float32)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            node("Conv", ["images", "w"], ["seen"], name="first"),
            node("Relu", ["seen"], ["known"], name="relu"),
            node("Conv", ["known", "last"], ["output"], name="last"),
        ],
        "small",
        [info("images", onnx.TensorProto.FLOAT, [1, channels, side_px, side_px])],
        [info("output", onnx.TensorProto.FLOAT, [1, 2, side_px - 2, side_px - 2])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(last, "last")],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_a_network_of_another_size_is_calibrated_at_its_own(tmp_path):
    model = small_network(tmp_path / "small.onnx")
    made = quantise(model, tmp_path / "int8.onnx", calibration_inputs(None, boards=0, drawn=2))
    assert made.pictures == 2
    shown = next(iter(calibration_inputs(None, boards=0, drawn=2)))
    small = [cv2.resize(plane, (64, 64), interpolation=cv2.INTER_AREA) for plane in shown]
    picture = np.stack(small)[None]
    [exact] = run(model.read_bytes(), images=picture)
    [near] = run((tmp_path / "int8.onnx").read_bytes(), images=picture)
    assert np.abs(exact - near).max() < 0.05 * np.abs(exact).max()


def test_a_network_of_other_channels_is_refused_in_one_line(tmp_path):
    model = small_network(tmp_path / "grey.onnx", channels=1)
    with pytest.raises(WrongInputError) as raised:
        quantise(model, tmp_path / "int8.onnx", calibration_inputs(None, boards=0, drawn=2))
    assert str(raised.value) == (
        f"{model}: input images FLOAT [1, 1, 64, 64], expected images FLOAT [n, 3, height, width]"
    )
