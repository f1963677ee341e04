"""Who vouches for the clock."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from inspector.journal import clocks
from inspector.journal.clocks import is_synchronised, read_clocks


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemd-timesyncd touches, where the kernel may not be asked."""
    file = tmp_path / "synchronized"
    monkeypatch.setattr(clocks, "_TIMESYNCD", file)
    monkeypatch.setattr(clocks, "_synchronised_by_kernel", lambda: None)
    return file


def test_the_clocks_are_those_of_the_machine():
    reading = read_clocks()
    assert abs(reading.unix_ms - time.time() * 1000) < 5000
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(reading.boot_ms / 1000 - uptime_s) < 5
    assert reading.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.mark.usefixtures("touched")
def test_nobody_vouches_for_it_where_nobody_may_say():
    assert is_synchronised() is None
    assert not read_clocks().is_synchronised


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(10.0, "yes"), (3600.0, "yes"), (30 * 86_400.0, "no"), (-86_400.0, "no")],
)
def test_what_timesyncd_said_counts_until_the_clock_is_set_by_hand(
    touched: Path, age_s: float, said: str
):
    touched.touch()
    at_s = time.time() - age_s
    os.utime(touched, (at_s, at_s))
    assert is_synchronised() is (said == "yes")
    assert read_clocks().is_synchronised is (said == "yes")
