"""What the teaching asks a server; a real server answers in tests/integration."""

from __future__ import annotations

import numpy as np
import pytest

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.inference.features import TritonFeatures
from inspector.settings.sections import InferenceSettings


def features(*repositories) -> TritonFeatures:
    settings = InferenceSettings()
    return TritonFeatures("127.0.0.1:1", settings, model="seen", repositories=repositories)


def test_the_networks_file_is_the_first_that_is_found(tmp_path):
    for name in ("theirs", "ours"):
        folder = tmp_path / name / "seen/1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_text(name)
    source = features(tmp_path / "nowhere", tmp_path / "theirs", tmp_path / "ours")
    assert source.network() == b"theirs"


def test_a_network_that_is_nowhere_is_named_with_the_places(tmp_path):
    with pytest.raises(ConfigurationError, match=r"products\.features is 'seen': no 1/model\.onnx"):
        features(tmp_path).network()


def test_a_server_that_does_not_answer_is_away():
    with pytest.raises(InferenceUnavailableError, match=r"model seen at 127\.0\.0\.1:1: "):
        features().of(np.zeros((640, 640, 3), np.uint8))
