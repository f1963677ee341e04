"""Writes docs/images/benchmarks.png from benchmarks/results.json: everybody's speed and cost.

Needs matplotlib, which is in no lock: pip install matplotlib

python scripts/picture_of_benchmarks.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs/images/benchmarks.png"
SHOWN = (
    ("null", "speed", "A model that does nothing: frames/s"),
    ("null", "cpu_ms", "the same: client CPU, ms per frame"),
    ("shipped", "speed", "The shipped ensemble: frames/s"),
)
OURS, CEILING, OTHERS = "#1f77b4", "#9e9e9e", "#d9a05b"


def colour(name: str) -> str:
    """Ours, Triton's own load generator, or somebody else."""
    if name.startswith("inspector"):
        return OURS
    return CEILING if name.startswith("perf_analyzer") else OTHERS


def draw(axes: Any, standings: list[dict[str, Any]], figure: str, title: str) -> None:
    """One panel: bars with their values."""
    known = [s for s in standings if s["speed"] and s[figure] == s[figure]]
    known.sort(key=lambda s: s[figure], reverse=figure == "cpu_ms")
    values = [s[figure] for s in known]
    wide = max(values) > 5 * min(values)
    bars = axes.barh(
        [s["name"] for s in known], values, color=[colour(s["name"]) for s in known], log=wide
    )
    axes.bar_label(bars, [f"{v:.0f}" if v >= 100 else f"{v:.3g}" for v in values], padding=3)  # noqa: PLR2004
    axes.set_title(title, loc="left")
    axes.set_xlim(right=max(values) * (3 if wide else 1.15))
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Draw what was measured last."""
    mpl.use("Agg")
    results = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    picture, panels = plt.subplots(3, 1, figsize=(9, 12), layout="constrained")
    for axes, (measure, figure, title) in zip(panels, SHOWN, strict=True):
        draw(axes, results[measure]["found"], figure, title)
        about = results[measure]["about"]
        axes.set_xlabel(f"{about['measured']}, {about['machine']}", loc="right", fontsize=8)
    picture.savefig(TARGET, dpi=90)
    print(TARGET)


if __name__ == "__main__":
    main()
