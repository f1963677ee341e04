"""The row that says whether the known parts are right, and whether each product has some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inspector.doctor.challenges import check_challenges
from inspector.doctor.findings import Finding, Mark
from inspector.products.store import ProductStore
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings

SET = '[[parts]]\nname = "bad"\nresult = "FAILED"\n'


def found_in(folder: Path, **challenge: Any) -> list[Finding]:
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "640x480"}},
        "products": {"directory": folder / "products"},
        "journal": {"directory": folder},
        "challenge": challenge,
    }
    return check_challenges(build_settings(Settings, content))


def write(folder: Path, name: str, text: str) -> None:
    (folder / "challenges").mkdir(exist_ok=True)
    (folder / "challenges" / f"{name}.toml").write_text(text)


def test_a_station_without_known_parts_is_told_nothing_of_them(tmp_path: Path) -> None:
    assert not found_in(tmp_path)


def test_sets_that_are_right_are_named(tmp_path: Path) -> None:
    write(tmp_path, "gold", SET)
    (found,) = found_in(tmp_path, every_units=5)
    assert (found.mark, found.found) == (Mark.OK, "1: gold")


def test_a_product_for_which_nothing_is_ever_due_is_named(tmp_path: Path) -> None:
    ProductStore(tmp_path / "products").write("4711", b"")
    write(tmp_path, "gold", 'products = ["4711"]\n' + SET)
    (found,) = found_in(tmp_path, every_units=5)
    assert (found.mark, found.found) == (Mark.WARN, "no set has parts of: default")
    (found,) = found_in(tmp_path)
    assert found.mark is Mark.OK, "nothing is due by itself"


def test_what_is_wrong_is_said_before_the_service_refuses_to_start(tmp_path: Path) -> None:
    write(tmp_path, "gold", 'products = ["4711"]\n' + SET)
    write(tmp_path, "other", "")
    (found,) = found_in(tmp_path)
    assert found.mark is Mark.FAIL
    assert "gold.toml: products: found '4711'; expected one of: default" in found.found
    assert found.found.endswith("(and 1 more)")
    (found,) = found_in(tmp_path, directory=tmp_path / "nowhere")
    assert "nowhere is not there; expected a folder with sets" in found.found


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path, "gold", '[[pictures]]\nfile = "bad.png"\nresult = "FAILED"\n')
    (found,) = found_in(tmp_path)
    assert found.mark is Mark.FAIL
    assert "there is no file" in found.found
    (tmp_path / "challenges" / "gold").mkdir()
    (tmp_path / "challenges" / "gold" / "bad.png").write_bytes(b"x")
    assert found_in(tmp_path)[0].mark is Mark.OK
