"""The program that writes an ensemble as one graph."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from inspector.embedded.triton.ensembles import read_ensemble
from inspector.embedded.triton.joining import STEPS, join
from inspector.embedded.triton.one_graph import NotOneGraphError

SHIPPED = Path(__file__).parents[4] / "model_repository"


@pytest.fixture
def repository(tmp_path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "models"))


@pytest.fixture
def folder(tmp_path) -> Path:
    made = Path(tmp_path) / "graph"
    made.mkdir()
    return made


def rewrite(repository: Path, model: str, old: str, new: str) -> None:
    file = repository / model / "config.pbtxt"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inspector.embedded.triton.joining", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shipped_ensemble_becomes_a_model_of_its_own(folder):
    done = program(str(SHIPPED), "pcb_inspection", str(folder))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    graph = onnx.load(folder / "1/model.onnx").graph
    assert [tensor.name for tensor in graph.input] == ["image"]
    assert [tensor.name for tensor in graph.output] == ["boxes", "scores", "classes", "count"]
    config = text_format.Parse(
        (folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert config.name == "pcb_inspection"
    described = json.loads((folder / STEPS).read_text())["steps"]
    assert [Path(step["file"]).parents[1].name for step in described] == [
        "preprocessing",
        "pcb_detector",
        "postprocessing",
    ]


def test_the_program_says_in_one_line_why_there_is_none(repository, folder):
    rewrite(repository, "pcb_inspection", "model_version: -1", "model_version: 1")
    done = program(str(repository), "pcb_inspection", str(folder))
    assert done.returncode == 1
    assert done.stderr == "preprocessing: the ensemble names a version or a namespace\n"
    assert list(folder.iterdir()) == []


def test_a_tensor_that_nobody_asked_the_ensemble_for_is_left_out(repository, folder):
    rewrite(
        repository, "pcb_inspection", '{ name: "scores" data_type: TYPE_FP32 dims: [ 100 ] },', ""
    )
    join(read_ensemble(repository, "pcb_inspection"), folder)
    graph = onnx.load(folder / "1/model.onnx").graph
    assert [tensor.name for tensor in graph.output] == ["boxes", "classes", "count"]


def test_an_output_of_an_earlier_step_keeps_the_steps(repository, folder):
    rewrite(
        repository,
        "pcb_inspection",
        "output [\n",
        'output [\n  { name: "output" data_type: TYPE_FP32 dims: [ 25200, 11 ] },\n',
    )
    with pytest.raises(NotOneGraphError, match="output comes from a step before the last"):
        join(read_ensemble(repository, "pcb_inspection"), folder)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name: "images" data_type: TYPE_FP32', 'name: "images" data_type: TYPE_FP16',
         "preprocessing: the file has no such output images"),
        ("3, 640, 640", "3, 320, 320", "preprocessing: output images has another shape"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_its_configuration_keeps_the_steps_whose_server_refuses_it(
    repository, folder, old, new, reason
):
    for model in ("preprocessing", "pcb_detector"):
        rewrite(repository, model, old, new)
    with pytest.raises(NotOneGraphError, match=reason):
        join(read_ensemble(repository, "pcb_inspection"), folder)


def test_a_file_that_is_no_graph_keeps_the_steps(repository, folder):
    (repository / "pcb_detector/1/model.onnx").write_bytes(b"no graph")
    with pytest.raises(NotOneGraphError, match=r"pcb_detector: model\.onnx cannot be read"):
        join(read_ensemble(repository, "pcb_inspection"), folder)
