"""Models are put into a repository whole or not at all, and taken out of a server's sight first."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.commands.model.repository import (
    listed,
    one_listed,
    put_in_place,
    require_free,
    take_out,
    unfinished,
    write_model,
)
from inspector.core.errors import ConfigurationError

SHIPPED = Path(__file__).parents[4] / "model_repository"
CONFIG = 'name: "best"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 1\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "best.onnx"
    file.write_bytes(b"weights")
    (tmp_path / "best.onnx.data").write_bytes(b"more")
    return file


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def added(repository: Path, file: Path, *names: str) -> None:
    with unfinished(repository) as made:
        for name in names:
            write_model(made / name, file, CONFIG)
        put_in_place(made, repository)


def test_a_model_is_there_whole_with_the_weights_beside_its_file(
    repository: Path, file: Path
) -> None:
    added(repository, file, "best")
    inside = {str(p.relative_to(repository)) for p in repository.rglob("*") if p.is_file()}
    assert inside == {"best/config.pbtxt", "best/1/model.onnx", "best/1/best.onnx.data"}
    assert (repository / "best/config.pbtxt").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in repository.iterdir()] == ["best"]


def test_a_failure_leaves_nothing(repository: Path, file: Path) -> None:
    def fail() -> None:
        with unfinished(repository) as made:
            write_model(made / "best", file, CONFIG)
            assert list(repository.iterdir()) == [made]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(repository.iterdir())


def test_of_several_models_all_are_put_in_place_or_none(repository: Path, file: Path) -> None:
    added(repository, file, "b")
    with pytest.raises(ConfigurationError, match='has a model "b" already'):
        added(repository, file, "a", "b", "c")
    assert [path.name for path in repository.iterdir()] == ["b"]


def test_a_name_that_is_taken_is_refused(repository: Path, file: Path) -> None:
    added(repository, file, "best")
    require_free(repository, "other")
    with pytest.raises(ConfigurationError, match="inspector model remove best"):
        require_free(repository, "best")


def test_what_an_ensemble_needs_is_not_taken_out(repository: Path, file: Path) -> None:
    added(repository, file, "network")
    ensemble = repository / "whole"
    (ensemble / "1").mkdir(parents=True)
    (ensemble / "config.pbtxt").write_text(
        'name: "whole" platform: "ensemble" ensemble_scheduling { step { model_name: "network" } }'
    )
    with pytest.raises(ConfigurationError, match="is a step of whole; take that out first"):
        take_out(repository, "network")
    take_out(repository, "whole")
    take_out(repository, "network")
    assert not list(repository.iterdir())
    with pytest.raises(ConfigurationError, match='has no model "network"; it has: no model at all'):
        take_out(repository, "network")


def test_the_models_we_ship_are_listed_with_their_classes() -> None:
    by_name = {model.name: model for model in listed(SHIPPED)}
    ensemble = by_name["pcb_inspection"]
    assert ensemble.steps == ("preprocessing", "pcb_detector", "postprocessing")
    assert ensemble.classes == by_name["pcb_detector"].classes
    assert ensemble.classes[0] == "open"
    assert ensemble.inputs == ("image UINT8 [640, 640, 3]",)
    assert not any(model.problem for model in by_name.values())


def test_a_configuration_that_cannot_be_read_is_listed_as_such(
    repository: Path, file: Path
) -> None:
    added(repository, file, "best")
    (repository / "best/config.pbtxt").write_text("name: best\n")
    assert "config.pbtxt" in one_listed(repository, "best").problem
    (repository / "best/config.pbtxt").unlink()
    assert one_listed(repository, "best").backend == "no config.pbtxt"
