"""`inspector dataset export` as somebody types it, beside a service that runs and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.journal.journal import Journal
from tests.kit.inspector_command import inspector
from tests.kit.station_journal import StationJournal, call
from training.data.opening import open_data_set


@pytest.fixture
def journal(tmp_path: Path) -> StationJournal:
    journal = StationJournal(tmp_path / "state")
    for number in range(12):
        journal.unit(f"good-{number:02d}", kept_for="sample")
        journal.review(f"good-{number:02d}", "CONFIRMED")
    journal.unit("bad", "FAILED", [call([10.0, 20.0, 30.0, 40.0])])
    journal.review("bad", "CONFIRMED")
    journal.unit("unsure", kept_for="sample")
    journal.review("unsure", "UNSURE")
    journal.unit("gone", kept_for="sample")
    journal.review("gone", "CONFIRMED")
    journal.picture("gone").unlink()
    journal.write()
    return journal


@pytest.fixture
def config(tmp_path: Path, journal: StationJournal) -> Path:
    path = tmp_path / "inspector.toml"
    path.write_text(
        f'[journal]\ndirectory = "{journal.folder}"\n'
        '[station]\nsite = "s"\nline = "l"\nname = "n"\n'
        '[cameras.top]\nsource = "sim:"\nsize = "640x480"\n'
    )
    return path


def test_it_says_what_it_wrote_and_what_it_left_out_and_why(
    tmp_path: Path, config: Path, journal: StationJournal
) -> None:
    out = tmp_path / "set"
    # A service that runs holds the journal open, and writes it ahead.
    running = Journal.open(journal.folder, retention_s=1e9)
    try:
        done = inspector(
            "dataset", "export", "--since", "2026-01-01", "--config", config, "--out", out
        )
    finally:
        running.close()
    assert (done.returncode, done.stderr) == (0, ""), done
    data_set = open_data_set(out)
    assert len(data_set.train) + len(data_set.test) == 13
    first, *lines = done.stdout.splitlines()
    train, test = len(data_set.train), len(data_set.test)
    assert first == f"{out}: 13 pictures, {train} to train with and {test} to judge by"
    assert "added: 13; labelled anew: 0; as before: 0; pictures twice: 0" in lines
    assert "left out, somebody was unsure: 1 (unsure)" in lines
    assert "left out, their pictures were deleted since: 1 (gone)" in lines


def test_what_cannot_be_read_and_what_cannot_be_written_is_one_line(
    tmp_path: Path, config: Path
) -> None:
    for since, code, said in (
        ("yesterday", 2, "'yesterday'; expected a date (2026-11-30)"),
        ("9998-01-01", 1, "holds no picture: nobody reviewed a unit that fits"),
    ):
        out = tmp_path / since
        done = inspector("dataset", "export", "--since", since, "--config", config, "--out", out)
        assert done.returncode == code, done
        assert said in " ".join(done.stderr.replace("│", " ").split())


def test_a_folder_with_other_files_and_a_station_without_a_journal_are_refused(
    tmp_path: Path, config: Path
) -> None:
    done = inspector(
        "dataset", "export", "--since", "1d", "--config", config, "--out", config.parent
    )
    assert done.returncode == 78
    assert "expected an empty folder, or a data set of before" in done.stderr
    config.write_text(config.read_text().replace("/state", "/nowhere"))
    done = inspector(
        "dataset", "export", "--since", "1d", "--config", config, "--out", tmp_path / "x"
    )
    assert done.returncode == 78
    assert "expected a station's journal" in done.stderr
