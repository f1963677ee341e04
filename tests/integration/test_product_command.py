"""`inspector product`, run as a person at the station does."""

from __future__ import annotations

import pytest

from tests.kit.inspector_command import CHECKOUT, inspector

SETTINGS = """
[station]
site = "a"
line = "b"
name = "c"
[cameras.top]
source = "sim:"
size = "640x480"
[inference]
url = "embedded"
repository = "{checkout}/model_repository"
[products]
directory = "products"
"""


@pytest.fixture
def station(tmp_path):
    (tmp_path / "line.toml").write_text(SETTINGS.format(checkout=CHECKOUT))
    (tmp_path / "products").mkdir()
    return tmp_path


def product(station, *arguments: str):
    return inspector("product", *arguments, "--config", "line.toml", cwd=station)


def test_a_wrong_file_is_a_wrong_configuration_with_a_line_for_each_mistake(station):
    (station / "products" / "a.toml").write_text("[inspection]\ntreshold = 1\nmin_size_px = -1\n")
    (station / "products" / "b.toml").write_text("[inspection\n")
    (station / "products" / "c.toml").write_text("")
    ended = product(station, "check")
    assert ended.returncode == 78
    assert ended.stdout == "ok    c\nok    default\n"
    assert ended.stderr.splitlines() == [
        (
            'inspector: products/a.toml:2: inspection.treshold: unknown key "treshold"; '
            'did you mean "threshold"?'
        ),
        "inspector: products/a.toml:3: inspection.min_size_px: found -1; expected at least 0",
        (
            "inspector: products/b.toml:1: not valid TOML: Expected ']' at the end of a table "
            "declaration (at line 1, column 12)"
        ),
    ]


def test_a_start_with_a_wrong_file_is_refused_before_anything_runs(station):
    (station / "products" / "a.toml").write_text("[inspection]\n\nthreshold = 7\n")
    (station / "products" / "b.toml").write_text("[[zones]\n")
    ended = inspector("run", "--config", "line.toml", cwd=station)
    assert ended.returncode == 78
    assert ended.stderr.splitlines() == [
        "inspector: products/a.toml:3: inspection.threshold: found 7; expected at most 1",
        (
            "inspector: products/b.toml:1: not valid TOML: Expected ']]' at the end of an array "
            "declaration (at line 1, column 8)"
        ),
    ]
    assert not (station / "state").exists()


def test_a_start_for_a_product_that_nobody_knows_is_refused(station):
    with (station / "line.toml").open("a") as file:
        file.write('initial = "a"\nby_serial = { b = "B.*" }\n')
    ended = inspector("run", "--config", "line.toml", cwd=station)
    assert ended.returncode == 78
    assert ended.stderr.splitlines() == [
        'inspector: products.initial names "a"; known products are: default',
        'inspector: products.by_serial names "b"; known products are: default',
    ]


def test_what_is_right_ends_well(station):
    (station / "products" / "a.toml").write_text('revision = "C"\n')
    assert product(station, "check").returncode == 0
    listed = product(station, "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.splitlines()[1].split()[:2] == ["a", "C"]


def test_nothing_of_a_mistake_is_left_behind(station):
    for arguments in (("approve", "a"), ("rollback", "a"), ("forget", "a", "--yes"), ("show", "a")):
        ended = product(station, *arguments)
        assert (ended.returncode, ended.stdout) == (78, "")
        assert ended.stderr == "inspector: products/a.toml: no such product; known are: default\n"
    assert [p.name for p in (station / "products").rglob("*") if p.suffix] == []
