"""What an ONNX file says of itself, read without its weights and without ONNX's own package."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.inference.file_notes import metadata_of, notes_in_files

REPOSITORY = Path(__file__).parents[3] / "model_repository"
MODELS = sorted(REPOSITORY.glob("*/1/model.onnx"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parts[-3])
def test_it_is_what_onnxruntime_reads(path: Path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert metadata_of(path) == session.get_modelmeta().custom_metadata_map


def test_an_ensemble_says_what_its_steps_say():
    notes = notes_in_files(REPOSITORY, "pcb_inspection")
    assert notes["pcb_detector"]["classes"].startswith("open,short,")
    assert notes_in_files(REPOSITORY, "not_there") == {}
    assert notes_in_files(None, "pcb_inspection") == {}


def test_a_file_that_was_cut_short_says_nothing_wrong(tmp_path: Path):
    whole = REPOSITORY / "pcb_detector/1/model.onnx"
    cut = Path(shutil.copy(whole, tmp_path / "cut.onnx"))
    with cut.open("rb+") as file:
        file.truncate(whole.stat().st_size - 5)
    assert metadata_of(cut) == {}


@given(content=st.binary(max_size=300))
def test_any_bytes_are_read_or_say_nothing(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    assert all(isinstance(value, str) for value in metadata_of(path).values())
