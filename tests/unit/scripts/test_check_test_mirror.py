"""The check that names modules without tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_test_mirror as mirror

DECIDES = "def f(x):\n    return 1 if x else 2\n"
DECLARES = "from dataclasses import dataclass\n\n@dataclass\nclass A:\n    x: int\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mirror, "WITH_A_NEIGHBOUR", {})
    monkeypatch.setattr(mirror, "BY_REAL_PARTS", {"tests/integration/test_c.py": ("room/c",)})
    for path, content in {
        "inspector/room/a.py": DECIDES,
        "inspector/room/b.py": DECLARES,
        "inspector/room/c.py": DECIDES,
        "tests/unit/room/test_a.py": "",
        "tests/integration/test_c.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    return tmp_path


def test_a_tree_with_a_test_for_everything_that_decides_is_right(tree: Path) -> None:
    assert list(mirror.problems(tree)) == []


def test_several_test_files_may_begin_with_a_modules_name(tree: Path) -> None:
    (tree / "tests/unit/room/test_a.py").rename(tree / "tests/unit/room/test_a_at_night.py")
    assert list(mirror.problems(tree)) == []


def test_a_module_without_tests_is_named_with_the_file_it_lacks(tree: Path) -> None:
    (tree / "inspector/room/b.py").write_text(DECIDES)
    (tree / "tests/unit/room/test_a.py").unlink()
    assert list(mirror.problems(tree)) == [
        "inspector/room/a.py: no tests/unit/room/test_a.py",
        "inspector/room/b.py: no tests/unit/room/test_b.py",
    ]


def test_a_test_of_no_module_is_named(tree: Path) -> None:
    (tree / "tests/unit/room/test_z.py").touch()
    assert list(mirror.problems(tree)) == ["tests/unit/room/test_z.py: no module of this name"]


def test_an_exception_that_is_none_any_more_is_named(tree: Path) -> None:
    (tree / "tests/unit/room/test_c.py").touch()
    assert "is still an exception" in "".join(mirror.problems(tree))
    (tree / "tests/unit/room/test_c.py").unlink()
    (tree / "tests/integration/test_c.py").unlink()
    assert "which is gone" in "".join(mirror.problems(tree))
    (tree / "inspector/room/c.py").unlink()
    assert list(mirror.problems(tree)) == ["inspector/room/c.py: is gone, and still an exception"]
