"""Where the project's own files are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.core.paths import CHECKOUT, find


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_projects_own_files_are_found_from_any_folder():
    assert find(Path("config/demo.toml")) == CHECKOUT / "config" / "demo.toml"
    assert find(Path("model_repository")).is_dir()


def test_a_file_in_the_current_folder_comes_first(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "demo.toml").touch()
    assert find(Path("config/demo.toml")) == Path("config/demo.toml")


def test_what_is_nowhere_stays_as_it_was_named():
    assert find(Path("no/such/file")) == Path("no/such/file")


def test_an_absolute_path_is_never_looked_for_elsewhere():
    assert find(Path("/config/demo.toml")) == Path("/config/demo.toml")
