"""What a repository says of a model that was trained: its classes, and their number."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from training.repository import tell_classes

ROOT = Path(__file__).parents[2]
SIX = ("open", "short", "mousebite", "spur", "copper", "pin-hole")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("pcb_detector", "postprocessing", "pcb_inspection", "pcb_golden_inspection"):
        (tmp_path / name).mkdir()
        shutil.copy(ROOT / "model_repository" / name / "config.pbtxt", tmp_path / name)
    return tmp_path


def test_other_classes_are_written_where_they_are_stated(repository: Path) -> None:
    changed = tell_classes(repository / "pcb_detector/1/model.onnx", ("dent", "schräg"))
    assert [path.parent.name for path in changed] == [
        "pcb_detector",
        "postprocessing",
        "pcb_inspection",
    ]
    assert "dims: [ 25200, 7 ]" in changed[0].read_text()
    assert "dims: [ 25200, 7 ]" in changed[1].read_text()
    assert 'key: "classes" value: { string_value: "dent,schräg" }' in changed[2].read_text()
    assert changed[2].read_text().count("dent") == 1


def test_the_golden_graph_has_them_in_its_own_file(repository: Path) -> None:
    [changed] = tell_classes(repository / "pcb_golden_inspection/1/model.onnx", ("dent",))
    assert 'string_value: "dent"' in changed.read_text()


def test_the_same_classes_change_nothing_and_a_file_elsewhere_is_nobodys(repository: Path) -> None:
    assert tell_classes(repository / "pcb_detector/1/model.onnx", SIX) == []
    assert tell_classes(repository / "mine/1/model.onnx", ("dent",)) == []
    assert tell_classes(Path("/model.onnx"), ("dent",)) == []
