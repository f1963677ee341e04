"""Makes the exports that a test asks for, once for each state of the program that makes them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PYTHON = CHECKOUT / ".venv-exports/bin/python"
EXPORTS = CHECKOUT / ".cache/exports"
MAKE_TIMEOUT_S = 600

Made = Callable[[str, str], tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="session")
def made() -> Made:
    """The folder of an export of one program, and what its own library finds with it."""
    if not PYTHON.is_file():
        pytest.fail("there is no .venv-exports/: scripts/bootstrap-exports.sh makes it")

    def make(program: str, name: str) -> tuple[Path, dict[str, Any]]:
        source = HERE / f"{program}.py"
        key = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
        folder = EXPORTS / f"{program}-{key}" / name
        if not (folder / "expected.json").is_file():
            settings = {"OMP_NUM_THREADS": "1", "YOLO_CONFIG_DIR": str(EXPORTS / "settings")}
            done = subprocess.run(
                [PYTHON, source, folder.parent, name],
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                check=False,
                timeout=MAKE_TIMEOUT_S,
            )
            if not (folder / "expected.json").is_file():
                pytest.fail(f"{name} was not made: {(done.stdout + done.stderr)[-2000:]}")
        return folder, json.loads((folder / "expected.json").read_text(encoding="utf-8"))

    return make
