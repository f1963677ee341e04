"""The written site: built by the command that developers and `make check` use."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHOLE = {"README.md": "# Read me\n\nSee [the other](docs/other.md#a-part).\n"}


@pytest.fixture
def checkout(tmp_path):
    """A repository of two pages, with the project's own command."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/build_docs.py", tmp_path / "scripts")
    (tmp_path / "mkdocs.yml").write_text(
        re.sub(
            r"^nav:.*",
            "nav:\n  - README.md\n  - docs/other.md\n",
            (ROOT / "mkdocs.yml").read_text(encoding="utf-8"),
            flags=re.MULTILINE | re.DOTALL,
        )
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").write_text("# Other\n\n## A part\n\n[Up](../README.md)\n")
    (tmp_path / ".gitignore").write_text(".cache/\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def build(checkout, readme):
    (checkout / "README.md").write_text(readme)
    return subprocess.run(
        [sys.executable, checkout / "scripts/build_docs.py"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_pages_wherever_they_lie_become_one_site(checkout):
    built = build(checkout, WHOLE["README.md"])
    assert built.returncode == 0, built.stderr
    page = (checkout / ".cache/site/index.html").read_text()
    assert 'href="docs/other.html#a-part"' in page
    assert (checkout / ".cache/site/search/search_index.json").exists()


@pytest.mark.parametrize(
    ("link", "named"),
    [
        ("docs/nowhere.md", "docs/nowhere.md"),
        ("docs/other.md#no-such-part", "no-such-part"),
        ("scripts/nothing.py", "scripts/nothing.py"),
    ],
)
def test_a_link_that_leads_nowhere_fails_and_is_named(checkout, link, named):
    built = build(checkout, f"# Read me\n\nSee [it]({link}).\n")
    assert built.returncode == 1
    assert named in built.stdout + built.stderr


def test_a_page_that_the_navigation_does_not_place_fails(checkout):
    (checkout / "docs/lonely.md").write_text("# Lonely\n")
    built = build(checkout, WHOLE["README.md"])
    assert built.returncode == 1
    assert "docs/lonely.md" in built.stdout + built.stderr


def test_every_decision_is_dated_and_in_the_index():
    decisions = sorted((ROOT / "docs/decisions").glob("0*.md"))
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    undated = [
        d.name
        for d in decisions
        if not re.match(r"# \d{4} · .+\n\nAccepted \d{4}-\d\d-\d\d", d.read_text(encoding="utf-8"))
    ]
    assert undated == []
    assert [d.name for d in decisions if f"]({d.name})" not in index] == []
