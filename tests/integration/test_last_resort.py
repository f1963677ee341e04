"""Where no systemd watches, a service that hangs ends itself, and says where it hung."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kit.inspector_command import COMMAND, environment, settings_file
from tests.kit.line import wait_for

HANGING = {
    "in the event loop": "lambda *_: time.sleep(100_000)",
    "with the interpreter's lock held": "lambda *_: ctypes.PyDLL(None).sleep(100_000)",
}


@pytest.mark.parametrize("where", HANGING)
def test_a_service_that_hangs_ends_itself(tmp_path: Path, where: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import ctypes, signal, time\nsignal.signal(signal.SIGUSR1, {HANGING[where]})\n"
    )
    away = '[inference]\nurl = "127.0.0.1:1"\n[redis]\nurl = "redis://127.0.0.1:1/0"\n'
    file = settings_file(tmp_path, away + "[health]\nwatchdog_s = 3\n")
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    log = tmp_path / "log"
    with log.open("wb") as writing:
        process = subprocess.Popen(
            [*COMMAND, "run", "--config", str(file)],
            env=environment({"PYTHONPATH": path}),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            cwd=tmp_path,
        )
    try:

        def runs() -> bool:
            assert process.poll() is None, log.read_text()
            lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
            return "running" in [json.loads(line)["event"] for line in lines]

        wait_for(runs, within_s=60, what="it runs")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=5)  # longer than its limit: while it lives, it lives
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=30) == -signal.SIGALRM
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert "Timeout (" in text
    assert "sitecustomize.py" in text, "where it hung"


def test_a_service_that_ends_in_time_is_not_ended(tmp_path: Path) -> None:
    away = '[inference]\nurl = "127.0.0.1:1"\n[redis]\nurl = "redis://127.0.0.1:1/0"\n'
    file = settings_file(tmp_path, away + "[health]\nwatchdog_s = 3\n")
    process = subprocess.Popen(
        [*COMMAND, "run", "--config", str(file)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line)["event"] == "running":
                break
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
