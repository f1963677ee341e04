"""The folder of links that the embedded server reads."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from inspector.embedded.triton.graph_cache import OneGraph, state_of
from inspector.embedded.triton.served_repository import ServedRepository, left_behind

SHIPPED = Path(__file__).parents[4] / "model_repository"
ENSEMBLE = "pcb_inspection"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def repository(tmp_path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "models"))


@pytest.fixture
def graph(repository, tmp_path) -> OneGraph:
    folder = tmp_path / "graph"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text("one graph")
    (folder / "1/model.onnx").write_text("one graph")
    return OneGraph(folder, state_of(repository, ENSEMBLE))


@pytest.fixture
def served(repository, graph) -> ServedRepository:
    made = ServedRepository(repository, "test-1-")
    made.lay({ENSEMBLE: graph})
    return made


def shown(served: ServedRepository, file: str) -> bytes:
    return (served.folder / file).read_bytes()


def test_models_are_shown_as_they_are_and_the_ensemble_as_one_graph(served, repository):
    assert {path.name for path in served.folder.iterdir()} == {p.name for p in repository.iterdir()}
    network = "pcb_detector/1/model.onnx"
    assert shown(served, network) == (repository / network).read_bytes()
    assert shown(served, f"{ENSEMBLE}/1/model.onnx") == b"one graph"
    assert shown(served, f"{ENSEMBLE}/config.pbtxt") == b"one graph"


def test_what_is_added_and_taken_out_follows(served, repository):
    (repository / "new/1").mkdir(parents=True)
    (repository / "new/config.pbtxt").write_text("new")
    (repository / "pcb_detector/2").mkdir()
    shutil.rmtree(repository / "unit_features")
    served.bring_up_to_date()
    assert shown(served, "new/config.pbtxt") == b"new"
    assert (served.folder / "pcb_detector/2").is_dir()
    assert not (served.folder / "unit_features").exists()
    shutil.rmtree(repository / "pcb_detector/1")
    served.bring_up_to_date()
    assert not (served.folder / "pcb_detector/1").is_symlink()


@pytest.mark.parametrize("file", ["pcb_detector/1/model.onnx", f"{ENSEMBLE}/config.pbtxt"])
def test_an_ensemble_of_which_a_file_changes_is_one_of_steps_and_younger(
    served, repository, graph, file
):
    os.utime(served.folder / ENSEMBLE, ns=(0, 0))
    served.bring_up_to_date()
    assert (served.folder / ENSEMBLE).stat().st_mtime_ns == 0
    changed = (repository / file).read_bytes()
    (repository / file).unlink()
    (repository / file).write_bytes(changed)
    served.bring_up_to_date()
    config = f"{ENSEMBLE}/config.pbtxt"
    assert shown(served, config) == (repository / config).read_bytes()
    # To Triton a model has changed if its folder or something in it is younger than before.
    assert (served.folder / ENSEMBLE).stat().st_mtime_ns > graph.folder.stat().st_mtime_ns


def test_an_ensemble_that_loses_a_step_is_one_of_steps(served, repository):
    shutil.rmtree(repository / "pcb_detector")
    served.bring_up_to_date()
    config = f"{ENSEMBLE}/config.pbtxt"
    assert shown(served, config) == (repository / config).read_bytes()


def test_laid_anew_it_shows_the_repository_of_that_moment(served, repository):
    shutil.rmtree(repository / "unit_features")
    served.lay({})
    assert not (served.folder / "unit_features").exists()
    config = f"{ENSEMBLE}/config.pbtxt"
    assert shown(served, config) == (repository / config).read_bytes()


def test_removing_it_leaves_the_models(served, repository, graph):
    assert left_behind("test-1-") == [served.folder]
    served.remove()
    assert left_behind("test-1-") == []
    assert (repository / "pcb_detector/1/model.onnx").stat().st_size > 1000
    assert (graph.folder / "1/model.onnx").is_file()


def test_following_goes_on_over_what_cannot_be_read_and_ends_when_nothing_is_laid(
    served, repository
):
    async def main() -> None:
        task = asyncio.create_task(served.follow())
        shutil.move(repository, repository.with_name("away"))
        with pytest.raises(OSError, match="models"):
            served.bring_up_to_date()  # what the task does meanwhile
        shutil.move(repository.with_name("away"), repository)
        (repository / "new/1").mkdir(parents=True)
        async with asyncio.timeout(10):
            while not (served.folder / "new").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            served.remove()
            await task

    asyncio.run(main(), debug=True)
