"""Commands that need a model and find none say so."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np

from tests.kit.inspector_command import inspector, settings_file, started

NOWHERE = '[inference]\nurl = "127.0.0.1:9"\n'


def test_a_bench_without_triton_ends_at_once_and_says_why(tmp_path: Path) -> None:
    config = settings_file(tmp_path, NOWHERE)
    done = inspector("bench", "--config", config, "--seconds", "1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("inspector: Triton at 127.0.0.1:9: ")


def test_a_replay_without_triton_says_that_it_waits(tmp_path: Path) -> None:
    config = settings_file(tmp_path, NOWHERE)
    (tmp_path / "line").mkdir()
    # With edges: a blank picture is missed without a model, and the replay is at its end.
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "line" / "u0.png"), picture)
    with started("replay", "line", "--config", config, "--out", "-", cwd=tmp_path) as replay:
        assert replay.stderr is not None
        try:
            told = next(line for line in replay.stderr if line.startswith("waiting for Triton"))
        finally:
            replay.send_signal(signal.SIGKILL)
    assert told.startswith("waiting for Triton at 127.0.0.1:9 (Ctrl-C ends): ")
