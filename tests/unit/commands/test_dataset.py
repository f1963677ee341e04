"""What is typed for an export, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from inspector.commands.dataset import _WHY, _also, _moment, told
from inspector.dataset.export import Report
from inspector.dataset.labels import Also, LeftOut
from inspector.dataset.manifest import DataSet
from tests.kit.data_sets import picture

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", "2026-11-23T12:00:00.000000+00:00"),
        ("12h", "2026-11-30T00:00:00.000000+00:00"),
        ("90m", "2026-11-30T10:30:00.000000+00:00"),
        ("2026-11-30T06:00+01:00", "2026-11-30T05:00:00.000000+00:00"),
        (" 2026-11-30T06:00Z ", "2026-11-30T06:00:00.000000+00:00"),
    ],
)
def test_a_time_is_as_events_say_it(text: str, moment: str) -> None:
    assert _moment(text, NOW, "--since") == moment


def test_a_date_is_midnight_on_this_machine() -> None:
    midnight = datetime(2026, 11, 30).astimezone(UTC)
    assert _moment("2026-11-30", NOW, "--since") == midnight.isoformat(timespec="microseconds")


@pytest.mark.parametrize("text", ["yesterday", "", "7", "7 d", "-1d", "2026-13-01", "999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a date"):
        _moment(text, NOW, "--since")


def test_kinds_of_units_are_named_with_commas() -> None:
    assert _also("") == frozenset()
    assert _also("failed, near,") == {Also.FAILED, Also.NEAR}
    with pytest.raises(typer.BadParameter, match="'good'; expected failed, near, sample"):
        _also("failed,good")


def test_every_reason_to_leave_a_unit_out_is_told_with_names() -> None:
    assert _WHY.keys() == set(LeftOut)
    many = [f"u{number}" for number in range(25)]
    report = Report(left_out={LeftOut.UNSURE: many, LeftOut.PICTURE_GONE: ["x"]}, claimed=2)
    lines = told(report, DataSet("yolo", []), Path("set"))
    assert "nobody reviewed 2 of them: their labels are the station's" in lines
    assert lines[-2].startswith("left out, somebody was unsure: 25 (u0, u1, ")
    assert lines[-2].endswith("u19 and 5 more)")
    assert lines[-1] == "left out, their pictures were deleted since: 1 (x)"


def test_a_unit_that_was_seen_twice_and_an_empty_part_are_told() -> None:
    both = DataSet("yolo", [])
    both.pictures = {"f": picture("f", "A"), "0": picture("0", "A")}
    assert any("different pictures of 1 units (A)" in line for line in told(Report(), both, Path()))
    only = DataSet("yolo", [])
    only.pictures = {"f": picture("f", "A")}
    assert told(Report(), only, Path())[-1].startswith("one part is empty: `make train` needs")
