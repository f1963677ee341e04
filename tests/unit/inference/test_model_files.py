"""Which files a model's hash is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.core.errors import ConfigurationError
from inspector.inference.model_files import ModelFiles, model_sha256


@pytest.fixture
def repository(tmp_path):
    for name, config in {
        "both": 'name: "both"\n# model_name: "gone"\nstep [ { model_name: "first" } ]',
        "first": 'name: "first"',
        "other": 'name: "other"',
    }.items():
        for version in ("1", "2"):
            (tmp_path / name / version).mkdir(parents=True)
            (tmp_path / name / version / "model.onnx").write_text(f"{name} {version}")
        (tmp_path / name / "config.pbtxt").write_text(config)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ("both/config.pbtxt", True),
        ("both/2/model.onnx", True),
        ("both/1/model.onnx", False),  # not the newest
        ("first/2/model.onnx", True),  # a step of it
        ("other/2/model.onnx", False),
        ("both/2/card.md", False),
    ],
)
def test_a_hash_is_over_all_that_decides_and_nothing_else(repository, changed, matters):
    before = model_sha256(repository, "both")
    (repository / changed).write_text('model_name: "first" ... another text')
    assert (model_sha256(repository, "both") != before) == matters


def test_a_version_is_asked_for_by_its_number(repository):
    newest, first = (model_sha256(repository, "both", version) for version in ("", "1"))
    assert newest == model_sha256(repository, "both", "2")
    assert first != newest


@pytest.mark.parametrize(
    ("model", "version", "told"),
    [
        ("none", "", "has no such model"),
        ("../both", "", "has no such model"),
        ("both", "7", "has no version 7"),
    ],
)
def test_what_is_not_there_has_no_hash(repository, model, version, told):
    with pytest.raises(ConfigurationError, match=told):
        model_sha256(repository, model, version)


def test_an_ensemble_of_a_model_that_is_gone_is_refused(repository: Path):
    (repository / "both" / "config.pbtxt").write_text('step [ { model_name: "gone" } ]')
    with pytest.raises(ConfigurationError, match="model gone"):
        model_sha256(repository, "both")


def test_a_hash_is_read_again_only_when_a_file_changed(repository, monkeypatch):
    files = ModelFiles(repository)
    first = files.sha256_of("both")
    assert first == model_sha256(repository, "both")
    with monkeypatch.context() as patched:
        patched.setattr("inspector.inference.model_files.model_sha256", lambda *_: "read again")
        assert files.sha256_of("both") == first
        (repository / "other" / "2" / "model.onnx").write_text("not its business")
        assert files.sha256_of("both") == first
        (repository / "first" / "2" / "model.onnx").write_text("another length")
        assert files.sha256_of("both") == "read again"


def test_files_that_cannot_be_read_have_no_hash(repository):
    assert ModelFiles(repository).sha256_of("gone") == ""
    assert ModelFiles(None).sha256_of("both") == ""
