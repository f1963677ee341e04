from __future__ import annotations

from pathlib import Path

import pytest

from inspector.core.errors import ConfigurationError
from inspector.pipeline.loading import load_station

FILE = """
[station]
site = "a"
line = "b"
name = "c"
[cameras.top]
source = "sim:"
size = "640x480"
buffers = {buffers}
"""


def written(folder: Path, buffers: int) -> Path:
    file = folder / "line.toml"
    file.write_text(FILE.format(buffers=buffers))
    return file


def test_too_few_buffers_are_refused_with_the_file_the_camera_and_the_number_needed(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, 3)
    with pytest.raises(ConfigurationError) as refused:
        load_station(file)
    assert refused.value.problems == (
        f"{file}: cameras.top.buffers is 3, expected 0 or at least 35, which the pipeline needs",
    )


def test_enough_buffers_are_accepted(tmp_path: Path) -> None:
    assert load_station(written(tmp_path, 35)).cameras["top"].buffers == 35
