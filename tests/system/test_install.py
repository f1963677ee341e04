"""The ways that the docs describe, gone to their end: on a bare Debian, and by Compose."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.embedded.triton.environment import prepare_environment
from tests.kit.rtsp_server import RtspServer
from tests.system.systemd_machine.machine import missing

ROOT = Path(__file__).parents[2]
WITHIN_S = 900
NO_PACKAGES = 75
"""What the scripts end with where packages cannot be fetched (EX_TEMPFAIL)."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(WITHIN_S + 120),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces need Linux"),
]


def run(script: str, log: Path) -> list[str]:
    """Run a script of ours to its end, or fail with what it said; the steps that it saw."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            [str(ROOT / script)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=WITHIN_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)  # its own end cleans up
            process.wait(timeout=60)
            print(log.read_text(errors="replace"))  # noqa: T201 - pytest shows it with the failure
            raise
    told = log.read_text(errors="replace")
    if code == NO_PACKAGES:
        pytest.skip(f"packages cannot be fetched here: {told[-1000:]}")
    assert code == 0, told
    return [line for line in told.splitlines() if line.startswith("== ")]


def skip_without(*programs: str) -> None:
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    if (why := missing()) is not None:
        pytest.skip(why)


def test_a_bare_debian_becomes_a_watched_station_and_a_cut_camera_calls_somebody(
    tmp_path: Path,
) -> None:
    skip_without("mmdebstrap", "git")
    if (why := RtspServer.missing()) is not None:
        pytest.skip(why)
    steps = run("tests/system/install_in_clean_root.sh", tmp_path / "said")
    assert any("the camera is cut, and the pager goes" in step for step in steps), steps
    assert steps[-1].endswith("nothing is left"), steps


def test_the_compose_file_starts_a_plant_on_a_real_engine(tmp_path: Path) -> None:
    skip_without("mmdebstrap", "docker", "dockerd", "containerd", "runc", "iptables")
    asyncio.run(prepare_environment())  # the Triton that stands in for NVIDIA's image
    steps = run("deploy/compose/try-with-stand-ins.sh", tmp_path / "said")
    assert steps[-1].endswith("the inspector drains and ends with 0"), steps
