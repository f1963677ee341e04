"""Which folder the products are in, and whose files the models' hashes are over."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.inference.model_files import model_sha256
from inspector.pipeline.products import catalogue_of
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings

MODELS = Path(__file__).parents[3] / "model_repository"


def station(folder: Path, **sections):
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "640x480"}},
        "journal": {"directory": folder},
    }
    return build_settings(Settings, content | sections)


def test_products_are_beside_the_journal_unless_said_otherwise(tmp_path):
    assert catalogue_of(station(tmp_path)).store.directory == tmp_path / "products"
    elsewhere = station(tmp_path, products={"directory": tmp_path / "x"})
    assert catalogue_of(elsewhere).store.directory == tmp_path / "x"


@pytest.mark.parametrize(
    ("inference", "known"),
    [
        ({"url": "embedded", "repository": MODELS}, True),
        ({"url": "192.0.2.1:8001", "repository": MODELS}, True),
        ({"url": "192.0.2.1:8001"}, False),  # its files are its own affair
    ],
)
def test_a_recipe_names_the_models_files_where_they_can_be_read(tmp_path, inference, known):
    recipe = catalogue_of(station(tmp_path, inference=inference)).recipe("default")
    expected = model_sha256(MODELS, "pcb_inspection") if known else ""
    assert recipe.model.file_sha256 == expected
