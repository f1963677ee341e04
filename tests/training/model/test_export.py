from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.training.model.test_checkpoint import SIX, SMALL, trained, write
from training.errors import TrainingError, WrongInputError
from training.model import export as exporting
from training.model.export import export
from training.model.network import Cells, decode
from training.model.onnx_detector import GOLDEN_INPUT, OnnxDetector, open_session


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(write(folder / "checkpoint.pt", trained()), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("count", [1, 2])
def test_the_file_answers_as_the_network_does(exported: Path, count: int):
    pictures = np.random.default_rng(1).random((count, 3, 640, 640), np.float32)
    session, _ = open_session(exported, threads=1)
    (found,) = session.run(["output"], {"images": pictures})
    with torch.inference_mode():
        wanted = decode(trained()(torch.from_numpy(pictures)), Cells.of(640, 640)).numpy()
    assert found.shape == (count, 25200, 11)
    assert np.abs(found[..., :4] - wanted[..., :4]).max() < 0.05
    assert np.abs(found[..., 4:] - wanted[..., 4:]).max() < 1e-4


def test_the_file_has_the_tutorials_shape_and_says_what_it_is(exported: Path):
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    (taken,), (given,) = model.graph.input, model.graph.output
    shapes = [
        [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim]
        for one in (taken, given)
    ]
    assert (taken.name, given.name) == ("images", "output")
    assert shapes == [["batch", 3, 640, 640], ["batch", 25200, 11]]
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
    detector = OnnxDetector.load(exported)
    assert detector.class_names == SIX
    assert not detector.needs_reference
    assert [path.name for path in exported.parent.iterdir() if path.suffix != ".pt"] == [
        "model.onnx"
    ]


def test_a_golden_checkpoint_becomes_a_model_that_wants_a_reference(tmp_path: Path):
    model = tmp_path / "model.onnx"
    export(write(tmp_path / "checkpoint.pt", trained(), golden=True), model)
    told = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    assert told["input"] == GOLDEN_INPUT
    assert OnnxDetector.load(model).needs_reference


def test_where_the_two_disagree_the_old_model_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = tmp_path / "out" / "model.onnx"
    model.parent.mkdir()
    model.write_text("old")
    monkeypatch.setattr(exporting, "_SHARE_TOLERANCE", -1.0)
    with pytest.raises(TrainingError, match="onnxruntime's boxes differ from torch's by up to"):
        export(write(tmp_path / "checkpoint.pt", trained()), model)
    assert model.read_text() == "old"
    assert list(model.parent.iterdir()) == [model]


def test_what_is_no_checkpoint_is_one_line_and_the_old_model_stays(tmp_path: Path):
    model = tmp_path / "model.onnx"
    model.write_text("old")
    with pytest.raises(WrongInputError, match=r"none\.pt: no such file, expected a checkpoint"):
        export(tmp_path / "none.pt", model)
    with pytest.raises(WrongInputError, match=r"model\.onnx: cannot be read, expected a whole"):
        export(model, tmp_path / "new.onnx")
    assert model.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_model_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    path = write(tmp_path / "checkpoint.pt", trained(SMALL))
    with pytest.raises(TrainingError, match=r"model\.onnx: cannot be written"):
        export(path, tmp_path / "file" / "model.onnx")
