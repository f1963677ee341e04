"""Packages of others that add a kind to this one, as docs/developing.md says how."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]


def recipe(title: str) -> str:
    """The code block of this title on the page."""
    page = (ROOT / "docs/developing.md").read_text(encoding="utf-8")
    found = re.search(rf'```\w+ title="{re.escape(title)}"\n(.*?)\n *```', page, re.DOTALL)
    assert found is not None, f"docs/developing.md has no block {title}"
    return textwrap.dedent(found[1]) + "\n"


def install(into: Path, name: str, *, group: str, entry_points: str, module: str | None) -> None:
    """Put there what `pip install` would: the module, and what its package says of itself."""
    if module is not None:
        (into / f"{name}.py").write_text(module, encoding="utf-8")
    described = into / f"{name}-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = entry_points.replace(f'[project.entry-points."{group}"]\n', "")
    (described / "entry_points.txt").write_text(
        f"[{group}]\n" + lines.replace('"', ""), encoding="utf-8"
    )
