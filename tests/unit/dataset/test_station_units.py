"""A station's journal, read while somebody else may write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.core.errors import ConfigurationError
from inspector.dataset.station_units import Wanted, opened
from tests.kit.station_journal import StationJournal, call

EVER = Wanted(since="0001", until="9999")


@pytest.fixture
def journal(tmp_path: Path) -> StationJournal:
    journal = StationJournal(tmp_path / "state")
    journal.unit("a")
    journal.unit("b", "FAILED", [call([n, 0.0, 2.0, 2.0]) for n in range(25)], product="sensor")
    journal.unit("c", "FAILED", [call([0.0, 0.0, 2.0, 2.0])])
    journal.review("c", "CONFIRMED")
    journal.review("c", "FALSE_CALL")
    journal.write()
    return journal


def test_units_come_in_the_order_of_their_verdicts_by_time_and_product(
    journal: StationJournal,
) -> None:
    times = {name: unit["time"] for name, unit in journal.units.items()}

    def names(**wanted: str) -> list[str]:
        asked = Wanted(**({"since": "0001", "until": "9999"} | wanted))
        with opened(journal.folder) as units:
            return [unit["unit"]["id"] for unit in units.units(asked)]

    assert names() == ["a", "b", "c"]
    assert names(since=times["b"]) == ["b", "c"]
    assert names(until=times["b"]) == ["a"]
    assert names(product="sensor") == ["b"]


def test_reviews_are_those_of_each_unit_oldest_first(journal: StationJournal) -> None:
    with opened(journal.folder) as units:
        (of_c,) = units.reviews().values()
        assert units.has(journal.units["c"]["id"])
        assert not units.has("01KB")
    assert [one.judgement.value for one in of_c] == ["CONFIRMED", "FALSE_CALL"]


def test_all_calls_are_found_or_it_is_said_that_they_are_not(journal: StationJournal) -> None:
    many, few = journal.units["b"], journal.units["c"]
    with opened(journal.folder) as units:
        assert len(units.calls(many) or ()) == 25
        assert units.calls(few) == few["defects"]
        # As where their own events were deleted.
        later = {"time": "2027-01-01T00:00:00+00:00"}
        assert units.calls(many | later) is None
        assert units.calls(few | later) == few["defects"]


def test_a_station_without_a_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a station's journal"), opened(tmp_path):
        pytest.fail("there is none")
    assert list(tmp_path.iterdir()) == []
