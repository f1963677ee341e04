"""Graphs are made once per content, compared with their steps, and removed in the end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest
import structlog

from inspector.core.errors import ConfigurationError
from inspector.embedded.triton.ensembles import read_ensemble
from inspector.embedded.triton.environment import EmbeddedEnvironment
from inspector.embedded.triton.graph_cache import OneGraph, as_one_graph, state_of
from inspector.embedded.triton.joining import join
from inspector.embedded.triton.onnx_files import require_same_answers

SHIPPED = Path(__file__).parents[4] / "model_repository"
ENSEMBLE = "pcb_inspection"
# This interpreter has onnxruntime, as the embedded server's has.
ENVIRONMENT = EmbeddedEnvironment(
    server=Path("unused"), python=Path(sys.executable), backends=Path("unused"), variables={}
)


@pytest.fixture
def repository(tmp_path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "models"))


def made(repository: Path, cache: Path) -> Mapping[str, OneGraph]:
    return asyncio.run(as_one_graph(ENVIRONMENT, repository, cache=cache), debug=True)


def test_a_graph_is_made_once_and_anew_when_a_step_changes(repository, tmp_path):
    first = made(repository, tmp_path)
    folder = first[ENSEMBLE].folder
    before = (folder / "1/model.onnx").stat()
    again = made(repository, tmp_path)
    assert again == first
    assert (folder / "1/model.onnx").stat().st_ino == before.st_ino
    network = repository / "pcb_detector/1/model.onnx"
    model = onnx.load(network)
    model.doc_string = "another file"
    onnx.save(model, network)
    other = made(repository, tmp_path)
    assert other[ENSEMBLE].folder != folder
    assert other[ENSEMBLE].made_of != first[ENSEMBLE].made_of
    assert {path.name for path in folder.iterdir()} == {"1", "config.pbtxt"}


def test_why_an_ensemble_stays_in_steps_is_found_out_once_and_said_each_time(repository, tmp_path):
    config = repository / ENSEMBLE / "config.pbtxt"
    config.write_text(config.read_text().replace("model_version: -1", "model_version: 1"))
    for _ in range(2):
        with structlog.testing.capture_logs() as logs:
            assert made(repository, tmp_path) == {}
        [entry] = logs
        assert entry["event"] == "ensemble_in_steps"
        assert entry["reason"] == "preprocessing: the ensemble names a version or a namespace"
    assert len(list((tmp_path / "graphs").glob("*/why_not.txt"))) == 1


def test_an_ensemble_without_its_steps_and_a_folder_that_cannot_be_written_are_no_errors(
    repository, tmp_path
):
    (tmp_path / "file").write_text("")
    assert made(repository, tmp_path / "file") == {}
    shutil.rmtree(repository / "pcb_detector")
    assert made(repository, tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("nothing", ""),
        ("outputs", "scores on noise has another type or shape"),
        ("colours", "output on noise differs"),
    ],
)
def test_a_graph_that_answers_otherwise_than_its_steps_is_refused(tmp_path, change, reason):
    join(read_ensemble(SHIPPED, ENSEMBLE), tmp_path)
    described = json.loads((tmp_path / "steps.json").read_text())
    before, _, after = described["steps"]
    if change == "outputs":
        after["outputs"] |= {"scores": "count", "count": "scores"}
    elif change == "colours":
        model = onnx.load(before["file"])
        [order] = [c for c in model.graph.initializer if c.name == "rgb_order"]
        bgr = onnx.numpy_helper.to_array(order)[::-1].copy()
        order.CopyFrom(onnx.numpy_helper.from_array(bgr, "rgb_order"))
        onnx.save(model, tmp_path / "bgr.onnx")
        before["file"] = str(tmp_path / "bgr.onnx")
    (tmp_path / "steps.json").write_text(json.dumps(described))
    compared = require_same_answers(ENVIRONMENT, tmp_path / "1/model.onnx", tmp_path / "steps.json")
    if change == "nothing":
        asyncio.run(compared)
        return
    with pytest.raises(ConfigurationError, match=reason):
        asyncio.run(compared)


def test_what_no_start_has_used_for_a_season_is_removed(repository, tmp_path):
    graphs = made(repository, tmp_path)
    used = graphs[ENSEMBLE].folder
    old_s = time.time() - 91 * 86_400
    for name in ("other-1", "half.x.part"):
        (tmp_path / "graphs" / name).mkdir()
        os.utime(tmp_path / "graphs" / name, (old_s, old_s))
    (tmp_path / "graphs/other-1.used").touch()
    os.utime(tmp_path / "graphs/other-1.used", (old_s, old_s))
    os.utime(f"{used}.used", (old_s, old_s))
    made(repository, tmp_path)
    left = {path.name for path in (tmp_path / "graphs").iterdir()}
    assert left == {used.name, f"{used.name}.used"}


def test_the_state_changes_with_every_file_of_the_ensemble(repository):
    before = state_of(repository, ENSEMBLE)
    assert state_of(repository, ENSEMBLE) == before
    network = repository / "pcb_detector/1/model.onnx"
    content = network.read_bytes()
    network.unlink()
    network.write_bytes(content)
    assert state_of(repository, ENSEMBLE) != before
