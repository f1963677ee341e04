"""The unit waits for a time server where there is one, and never for ever."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy/systemd/wait-for-time.sh"
NOT_YET = "NTP=yes\nNTPSynchronized=no"


@pytest.fixture
def machine(tmp_path: Path):
    """A machine on which a time server answers in turn; its uptime grows by a second each time."""
    uptime = tmp_path / "uptime"

    def run(answers: list[str], uptime_s: int) -> int:
        """How often it was asked until the service may start."""
        uptime.write_text(f"{uptime_s}.50 1.00\n")
        for number, answer in enumerate(answers):
            (tmp_path / f"answer-{number}").write_text(answer + "\n")
        (tmp_path / "asked").write_text("0")
        timedatectl = tmp_path / "timedatectl"
        timedatectl.write_text(
            f"#!/bin/sh\ncd {tmp_path}\nn=$(cat asked)\necho $((n + 1)) > asked\n"
            f"echo $(({uptime_s} + n + 1)).5 > uptime\n"
            "[ -e answer-$n ] && cat answer-$n\n"
        )
        timedatectl.chmod(0o755)
        (tmp_path / "sleep").write_text("#!/bin/sh\n")
        (tmp_path / "sleep").chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "UPTIME": str(uptime)}
        done = subprocess.run(
            [SCRIPT], env=environment, timeout=30, check=False, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        return int((tmp_path / "asked").read_text())

    return run


def test_it_waits_until_the_time_server_has_set_the_clock(machine):
    assert machine([NOT_YET, NOT_YET, "NTP=yes\nNTPSynchronized=yes"], 10) == 3


@pytest.mark.parametrize("answer", ["NTP=no\nNTPSynchronized=no", ""])
def test_where_there_is_no_time_server_it_does_not_wait(machine, answer):
    assert machine([answer], 10) == 1


def test_a_time_server_that_does_not_answer_holds_it_up_two_minutes_after_the_boot(machine):
    assert machine([NOT_YET] * 200, 20) == 100


def test_a_service_that_is_started_again_later_does_not_wait(machine):
    assert machine([NOT_YET] * 5, 4000) == 0
