"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from training.errors import TrainingError


def write_whole(target: Path, content: bytes) -> None:
    """Write a file in one step, with the folders above it.

    Raises:
        TrainingError: it cannot be written; what was there is as it was.

    """
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(target)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise TrainingError(f"{target}: cannot be written ({error.strerror})") from error
