"""On package indexes the name of our command belongs to somebody else."""

from __future__ import annotations

import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[3]
INSTALLS = re.compile(
    r"\b(?:pip|pipx|uv)\s[^\n`]*\b(?:install|run|add)\b[^\n`]*\sinspector\b(?![\w./-])"
)


def test_nobody_is_told_to_install_what_somebody_else_publishes() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix not in {".md", ".sh", ".toml", ".yml", ".yaml", ".py", ".service", ""}:
            continue
        if not path.is_file() or path == Path(__file__):
            continue
        lines = path.read_text(errors="replace").splitlines()
        told += [
            f"{name}: {line}"
            for before, line in pairwise(["", *lines])
            if INSTALLS.search(line) and not _is_warning(before + line)
        ]
    assert told == []


def _is_warning(lines: str) -> bool:
    return "never" in lines or "somebody else" in lines


def test_our_distribution_has_a_name_of_its_own_and_is_not_uploaded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] != "inspector"
    assert "Private :: Do Not Upload" in project["classifiers"]
    assert list(project["scripts"]) == ["inspector"]
