"""From a station's journal to a data set that `make train` reads, and on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.dataset.export import Report, Request, export
from inspector.dataset.labels import Also, LeftOut
from inspector.dataset.manifest import DataSet, FormatName
from inspector.dataset.station_units import Wanted, opened
from tests.kit.station_journal import StationJournal, call, drawn
from training.data.boards import Board
from training.data.opening import check_pictures, open_data_set

CODES = ("open", "short", "spur")
EVER = Wanted(since="0001", until="9999")
BOX = [10.3, 20.7, 33.1, 14.9]
ENOUGH = 12
"""Good units, so that both parts have some."""


@pytest.fixture
def journal(tmp_path: Path) -> StationJournal:
    return StationJournal(tmp_path / "state")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "set"


def exported(
    journal: StationJournal,
    out: Path,
    *,
    form: FormatName = "yolo",
    wanted: Wanted = EVER,
    also: frozenset[Also] = frozenset(),
) -> Report:
    request = Request(wanted=wanted, also=also, station="s.l.n", at="2026-12-01T00:00:00+00:00")
    journal.write()
    with opened(journal.folder) as units:
        return export(units, DataSet.opened(out, form, CODES), out, request)


def many_good(journal: StationJournal) -> None:
    for number in range(ENOUGH):
        journal.unit(f"good-{number:02d}", kept_for="sample")
        journal.review(f"good-{number:02d}", "CONFIRMED")


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def boards(out: Path) -> dict[str, Board]:
    """By the names of their units, as the trainer opens them."""
    data_set = open_data_set(out)
    check_pictures(data_set)
    assert data_set.classes == tuple(manifest(out)["codes"])
    assert not data_set.held_out
    units = {p["sha256"][:20]: (p["unit_id"], p["part"]) for p in manifest(out)["pictures"]}
    found = {}
    for part, some in (("train", data_set.train), ("test", data_set.test)):
        for board in some:
            unit, decided = units[board.picture.stem]
            assert decided == part
            found[unit] = board
    return found


@pytest.mark.parametrize("form", ["yolo", "coco"])
def test_the_trainer_reads_what_people_said(
    journal: StationJournal, out: Path, form: FormatName
) -> None:
    many_good(journal)
    shape = [[50.0, 60.0], [90.5, 62.0], [70.0, 99.9]]
    calls = [call(BOX), call([50.0, 60.0, 40.5, 39.9], "spur", shape), call([1.0, 2.0, 9.0, 9.0])]
    journal.unit("bad", "FAILED", calls)
    journal.review("bad", "CONFIRMED")
    journal.review("bad", "FALSE_CALL", 2)
    journal.unit("escaped", kept_for="near_threshold")
    journal.review("escaped", "MISSED", code="short", bbox_px=(0.0, 0.5, 12.3, 150.2))
    journal.unit("false", "FAILED", [call(BOX)])
    journal.review("false", "FALSE_CALL")
    report = exported(journal, out, form=form)
    found = boards(out)
    assert found.keys() == {f"good-{n:02d}" for n in range(ENOUGH)} | {"bad", "escaped", "false"}
    wanted = {
        "bad": ([[10.3, 20.7, 43.4, 35.6], [50.0, 60.0, 90.5, 99.9]], [0, 2]),
        "escaped": ([[0.0, 0.5, 12.3, 150.7]], [1]),
        "false": ([], []),
        "good-00": ([], []),
    }
    for unit, (corners, classes) in wanted.items():
        # float32 and eight digits: far below the half pixel that is promised.
        np.testing.assert_allclose(found[unit].boxes, np.reshape(corners, (-1, 4)), atol=0.001)
        assert found[unit].classes.tolist() == classes
        assert found[unit].picture.read_bytes() == journal.picture(unit).read_bytes()
    assert sum(report.added.values()) == ENOUGH + 3
    assert (report.defects, report.missed, report.false_calls) == (3, 1, 2)
    assert (report.good, report.claimed, report.left_out) == (ENOUGH + 1, 0, {})


def test_a_later_export_extends_and_never_moves_a_picture(
    journal: StationJournal, out: Path
) -> None:
    many_good(journal)
    exported(journal, out)
    before = {p["sha256"]: p["part"] for p in manifest(out)["pictures"]}
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    for number in range(20):
        journal.unit(f"more-{number}", kept_for="sample")
        journal.review(f"more-{number}", "CONFIRMED")
    report = exported(journal, out)
    after = {p["sha256"]: p["part"] for p in manifest(out)["pictures"]}
    assert before.items() <= after.items()
    assert (sum(report.added.values()), report.unchanged) == (20, ENOUGH)
    assert all(path.stat().st_mtime_ns == written for path, written in files.items())
    assert len(boards(out)) == ENOUGH + 20
    train, test = (
        {p.name for p in (out / "images" / part).iterdir()} for part in ("train", "test")
    )
    assert train & test == set()
    assert len(manifest(out)["exports"]) == 2


def test_a_set_outlives_the_journal_and_the_pictures_of_the_station(
    journal: StationJournal, out: Path, tmp_path: Path
) -> None:
    many_good(journal)
    exported(journal, out)
    before = boards(out).keys()
    shutil.rmtree(journal.folder)
    later = StationJournal(tmp_path / "later")
    later.unit("bad", "FAILED", [call(BOX, "hole")])
    later.review("bad", "CONFIRMED")
    exported(later, out)
    assert boards(out).keys() == before | {"bad"}
    assert manifest(out)["codes"] == [*CODES, "hole"]


def test_what_people_say_later_changes_the_label_and_not_the_part(
    journal: StationJournal, out: Path
) -> None:
    many_good(journal)
    journal.unit("bad", "FAILED", [call(BOX)])
    confirmed = journal.review("bad", "CONFIRMED")
    exported(journal, out)
    name = boards(out)["bad"].picture
    journal.review("bad", "FALSE_CALL", 0)
    assert exported(journal, out).relabelled == 1
    assert boards(out)["bad"].boxes.tolist() == []
    assert boards(out)["bad"].picture == name
    journal.review("bad", "UNSURE")
    report = exported(journal, out)
    assert report.left_out == {LeftOut.UNSURE: ["bad"]}
    assert "bad" not in boards(out)
    assert not name.exists()
    # Its part is remembered: it comes back to where it was.
    journal.review("bad", "CONFIRMED")
    exported(journal, out)
    assert boards(out)["bad"].picture == name
    assert confirmed


def test_a_unit_whose_reviews_are_taken_back_leaves_the_set(
    journal: StationJournal, out: Path
) -> None:
    many_good(journal)
    journal.unit("doubtful", kept_for="sample")
    said = journal.review("doubtful", "CONFIRMED")
    exported(journal, out)
    assert "doubtful" in boards(out)
    journal.review("doubtful", "WITHDRAWN", takes_back=said)
    report = exported(journal, out)
    assert report.left_out == {LeftOut.TAKEN_BACK: ["doubtful"]}
    assert "doubtful" not in boards(out)


@pytest.mark.parametrize("last", ["first", "again"])
def test_one_picture_is_there_once_and_the_unit_reviewed_last_decides(
    journal: StationJournal, out: Path, last: str
) -> None:
    many_good(journal)
    units = {"first", "again"}
    for name in ("first", "again"):
        journal.unit(name, "FAILED", [call(BOX)], picture=drawn(4711))
    (other,) = units - {last}
    journal.review(other, "CONFIRMED")
    journal.review(last, "FALSE_CALL")
    report = exported(journal, out)
    assert report.duplicates == 1
    assert boards(out).keys() & units == {last}
    assert boards(out)[last].boxes.tolist() == []


def test_units_that_nobody_reviewed_are_in_where_somebody_asks(
    journal: StationJournal, out: Path
) -> None:
    many_good(journal)
    journal.unit("bad", "FAILED", [call(BOX)])
    journal.unit("near", kept_for="near_threshold")
    journal.unit("drawn", kept_for="sample")
    assert exported(journal, out).claimed == 0
    report = exported(journal, out, also=frozenset({Also.FAILED, Also.NEAR}))
    assert report.claimed == 2
    found = boards(out)
    assert {"bad", "near"} < found.keys()
    assert "drawn" not in found
    assert len(found["bad"].boxes) == 1
    reviewed = {p["unit_id"]: p["is_reviewed"] for p in manifest(out)["pictures"]}
    assert (reviewed["bad"], reviewed["good-00"]) == (False, True)


def test_pictures_that_are_gone_or_altered_are_counted_and_named(
    journal: StationJournal, out: Path
) -> None:
    many_good(journal)
    journal.picture("good-03").unlink()
    altered = journal.picture("good-04").read_bytes()
    # An orientation mark, as a viewer writes it: labels would lie elsewhere.
    exif = b"\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03"
    exif += b"\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    journal.picture("good-04").write_bytes(altered[:2] + exif + altered[2:])
    report = exported(journal, out)
    assert report.left_out == {
        LeftOut.PICTURE_GONE: ["good-03"],
        LeftOut.PICTURE_ALTERED: ["good-04"],
    }
    assert report.gone == [journal.picture("good-03").as_uri()]
    assert manifest(out)["exports"][0]["left_out"]["picture_gone"] == ["good-03"]


def test_only_the_time_and_the_product_that_are_asked_for_are_in(
    journal: StationJournal, out: Path
) -> None:
    many_good(journal)
    journal.unit("other", product="sensor", kept_for="sample")
    journal.review("other", "CONFIRMED")
    times = {name: unit["time"] for name, unit in journal.units.items()}
    some = Wanted(since=times["good-02"], until=times["good-05"])
    report = exported(journal, out, wanted=some)
    inside = {p["unit_id"] for p in manifest(out)["pictures"]}
    assert inside == {"good-02", "good-03", "good-04"}
    assert report.left_out == {}
    exported(journal, out, wanted=Wanted(since="0001", until="9999", product="sensor"))
    assert {p["unit_id"] for p in manifest(out)["pictures"]} == inside | {"other"}


def test_a_unit_with_more_calls_than_its_event_names_is_taken_whole(
    journal: StationJournal, out: Path
) -> None:
    many_good(journal)
    calls = [call([5.0 * n, 10.0, 4.0, 4.0]) for n in range(25)]
    journal.unit("spotted", "FAILED", calls)
    journal.review("spotted", "CONFIRMED")
    exported(journal, out)
    assert len(boards(out)["spotted"].boxes) == 25
