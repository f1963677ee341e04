from __future__ import annotations

import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from inspector.core.errors import ConfigurationError
from inspector.products.taught_models import TaughtModels
from tests.kit.taught_graphs import taught_graph as graph


def test_a_model_is_put_where_triton_finds_it_with_a_configuration_that_triton_reads(tmp_path):
    models = TaughtModels(tmp_path / "models", is_served=True)
    model = models.installed("a/7", 3, graph())
    folder = tmp_path / "models" / model.name
    assert model.name.startswith("anomaly-a%2F7-3-")
    assert (folder / model.version / "model.onnx").read_bytes() == graph()
    config = text_format.Parse(
        (folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert config.name == model.name
    assert [list(tensor.dims) for tensor in config.input] == [[640, 640, 3]]
    assert {tensor.name: list(tensor.dims) for tensor in config.output} == {
        "pred_score": [1],
        "anomaly_map": [1, 240, 240],
        "pred_mask": [1, 240, 240],
    }
    assert config.parameters["channels"].string_value == "unit"


def test_it_is_written_once_and_another_file_is_another_model(tmp_path):
    models = TaughtModels(tmp_path / "models", is_served=True)
    first = models.installed("a", 3, graph())
    file = tmp_path / "models" / first.name / "1/model.onnx"
    written = file.stat().st_mtime_ns
    assert models.installed("a", 3, graph()) == first
    assert file.stat().st_mtime_ns == written
    assert models.installed("a", 3, graph(2)).name != first.name


def test_a_model_that_was_only_half_there_is_put_there_anew(tmp_path):
    models = TaughtModels(tmp_path / "models", is_served=True)
    model = models.installed("a", 3, graph())
    (tmp_path / "models" / model.name / "1/model.onnx").unlink()
    models.installed("a", 3, graph())
    assert (tmp_path / "models" / model.name / "1/model.onnx").read_bytes() == graph()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "models").write_text("no folder")
    models = TaughtModels(tmp_path / "models", is_served=True)
    with pytest.raises(ConfigurationError, match="the model of a cannot be written"):
        models.installed("a", 3, graph())


def test_models_whose_references_are_gone_go_and_others_stay(tmp_path):
    models = TaughtModels(tmp_path / "models", is_served=True)
    kept, gone = models.installed("a", 3, graph()), models.installed("a", 2, graph(2))
    (tmp_path / "models/theirs").mkdir()
    models.remove([gone, gone])
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [kept.name, "theirs"]


def test_a_model_that_cannot_be_removed_is_named(tmp_path, monkeypatch):
    models = TaughtModels(tmp_path / "models", is_served=True)
    gone = models.installed("a", 2, graph())

    def refused(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("inspector.products.durable.remove", refused)
    with pytest.raises(ConfigurationError, match="a forgotten model cannot be removed: Permission"):
        models.remove([gone])
