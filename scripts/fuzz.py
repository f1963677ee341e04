"""Fuzzes what reads outside data, guided by coverage: `python scripts/fuzz.py TARGET [OPTION]…`.

Needs atheris, which is in no lock of this project: `pip install atheris`. Targets: reply, trigger,
entry, address. Options are libFuzzer's. Ends with an error and the input that caused it, or at
-max_total_time=SECONDS.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["inspector"]):
    from tests.kit.fuzz_targets import SEEDS, TARGETS


def main() -> None:
    """Run one target until something is found or the time is over."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"which target? One of: {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
