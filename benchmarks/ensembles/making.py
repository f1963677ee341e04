"""Makes the graphs that the variants need, in the environment that has `onnx`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ensembles.variants import ROOT, Weights

Graphs = dict[Weights, Path]


@dataclass(frozen=True, slots=True)
class Maker:
    """Runs the project's own tools; what they make goes into `folder`."""

    python: Path
    """With the packages of training/requirements.lock."""
    folder: Path

    def networks(self, network: Path, int8: Path | None, archive: Path) -> Graphs:
        """The float network and its INT8 twin, which is made unless it was given."""
        if int8 is None:
            int8 = self.folder / "int8.onnx"
            data: list[str | Path] = ["--data", archive] if archive.is_file() else []
            self._run("-m", "training.quantise", network.resolve(), int8, *data)
        return {Weights.FLOAT: network, Weights.INT8: int8}

    def folded(self, networks: Graphs) -> Graphs:
        """Of each network the single graph."""
        graphs = {weights: self.folder / f"folded_{weights.name}.onnx" for weights in networks}
        for weights, graph in graphs.items():
            self._run("scripts/make_folded_onnx.py", networks[weights].resolve(), graph)
        return graphs

    def _run(self, *command: str | Path) -> None:
        if not self.python.is_file():
            sys.exit(f"error: {self.python} is missing: run scripts/bootstrap-training.sh evaluate")
        subprocess.run([self.python, *command], cwd=ROOT, check=True, stdout=sys.stderr)
