"""Checks the clock: is it plausible, is it synchronised, does it run evenly."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from inspector.doctor.findings import Finding, Mark
from inspector.journal.clocks import is_synchronised, read_clocks
from inspector.journal.file import FILE_NAME
from inspector.journal.station_time import Known, tick, trouble
from inspector.journal.time import kept_time

YEAR_2025_S = 1_735_689_600
_SYSTEMD = Path("/run/systemd/system")
"""Exists while systemd runs: https://www.freedesktop.org/software/systemd/man/sd_booted.html"""


def check_clock(journal_folder: Path) -> Finding:
    """Judge the clock by itself, by its time server, and by what the journal last knew."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S %z")
    if time.time() <= YEAR_2025_S:
        advice = "set the clock (NTP): events would carry a wrong time"
        return Finding(what="clock", mark=Mark.FAIL, found=shown, advice=advice)
    known = _last_known(journal_folder)
    wrong = None if known is None else trouble(tick(known, read_clocks())[0])
    if wrong is not None:
        return Finding(
            what="clock",
            mark=Mark.FAIL,
            found=f"{shown}: {wrong}",
            advice="set the clock (NTP). If it is right now, this ends by itself: at once with a"
            " time server, else after a day",
        )
    if is_synchronised():
        return Finding(what="clock", mark=Mark.OK, found=f"{shown}, by a time server")
    found = f"{shown}, no time server vouches for it"
    if not _SYSTEMD.is_dir():  # a container: its host sets the clock, and may not say so
        return Finding(what="clock", mark=Mark.OK, found=found)
    return Finding(
        what="clock",
        mark=Mark.WARN,
        found=found,
        advice="name one: timedatectl set-ntp true. Without it the time for which this machine is"
        " off does not count for retention_days",
    )


def _last_known(folder: Path) -> Known | None:
    """What the journal last knew about time; reading it changes nothing."""
    path = (folder / FILE_NAME).absolute()
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return kept_time(connection)
    except sqlite3.Error:  # of an older version, or not readable by us: the disk's row reports it
        return None
