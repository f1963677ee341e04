"""The row that says whether every product is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.doctor.findings import Finding, Mark
from inspector.doctor.products import check_products
from inspector.products.store import ProductStore
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings


def found_in(folder: Path, **products) -> Finding:
    (finding,) = all_found_in(folder, **products)
    return finding


def all_found_in(folder: Path, **products) -> list[Finding]:
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "640x480"}},
        "products": {"directory": folder} | products,
    }
    return check_products(build_settings(Settings, content))


def test_products_that_are_right_are_counted(tmp_path):
    assert found_in(tmp_path / "none").found == "1: default"
    for name in "abcdef":
        ProductStore(tmp_path).write(name, b"")
    found = found_in(tmp_path)
    assert (found.mark, found.found) == (Mark.OK, "7: a, b, c, d, default, …")


@pytest.mark.parametrize(
    ("content", "products", "told"),
    [
        (b"[inspection]\nthreshold = 7\n", {}, "a.toml:2: inspection.threshold: found 7; expected"),
        (b"x = 1\n", {"initial": "b"}, "(and 1 more)"),
        (b"", {"initial": "b"}, 'products.initial names "b"; known products are: a, default'),
    ],
)
def test_what_is_wrong_is_told_with_where_to_read_the_rest(tmp_path, content, products, told):
    ProductStore(tmp_path).write("a", content)
    found = found_in(tmp_path, **products)
    assert found.mark is Mark.FAIL
    assert told in found.found
    assert "inspector product check" in found.advice


def test_a_key_by_its_old_name_is_a_warning_with_the_new_one(tmp_path):
    ProductStore(tmp_path).write("a", b'[cameras.top]\nlook = "tiles"\n')
    first, warning = all_found_in(tmp_path)
    assert first.mark is Mark.OK
    assert warning.mark is Mark.WARN
    assert warning.what.endswith("a.toml:2: cameras.top.look")
    assert warning.advice == 'rename it to "crop"'


def test_a_check_makes_no_folder(tmp_path):
    found_in(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
