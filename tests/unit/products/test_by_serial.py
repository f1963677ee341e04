from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.recipes import Job, JobState
from inspector.core.records import CameraId, Result, Serial, TriggerKind, UnitRef
from inspector.core.verdicts import Verdict
from inspector.products.by_serial import BySerial, JobsInForce
from inspector.products.change_over import unknown_product
from tests.kit import jobs

TOP, SIDE = jobs.TOP, jobs.SIDE
PATTERNS = {"x": "X-[0-9]+", "y": "Y-[0-9]+", "gone": "G-[0-9]+"}
OF = {"X": "x", "Y": "y"}


class Station(JobsInForce):
    """Opens units a few ahead of those that get their verdict, as a line does."""

    def __init__(self, product: str = "x", *, reading: Collection[CameraId] = (TOP,)) -> None:
        self._jobs = dict.fromkeys((TOP, SIDE), jobs.job(product=product))
        self.faults: list[str] = []
        self.changes: list[tuple[str, Collection[CameraId]]] = []
        self.checks = BySerial(
            self,
            PATTERNS,
            reading=reading,
            on_fault=lambda _camera, cause: self.faults.append(cause),
        )
        self._opened = 0

    @property
    def jobs(self) -> Mapping[CameraId, Job]:
        return self._jobs

    def shown(self, product: str, cameras: Collection[CameraId]) -> Job:
        if product == "gone":
            raise unknown_product(product, ("x", "y"))
        self.changes.append((product, cameras))
        job = jobs.of_product(self._jobs[TOP], product)
        self._jobs |= dict.fromkeys(cameras, job)
        return job

    def open(self) -> UnitRef:
        self._opened += 1
        return UnitRef(
            camera_id=TOP,
            index=self._opened - 1,
            kind=TriggerKind.PRESENCE,
            triggered_mono_ns=0,
            triggered_unix_ns=0,
            job=self._jobs[TOP],
        )

    def check(self, unit: UnitRef, text: str | None) -> str:
        """PASSED, or why it was not inspected."""
        verdict = Verdict(
            unit=unit,
            unit_number=unit.index + 1,
            result=Result.PASSED,
            reason=None,
            detail="",
            defects=(),
            frames=(),
            frames_expected=1,
        )
        serial = Serial(text=text, format="QRCode" if text else None, quality="good", frames_read=1)
        checked = self.checks.check(verdict, serial)
        return checked.reason or checked.result.value

    def passes(self, text: str | None) -> str:
        return self.check(self.open(), text)


def test_a_serial_of_the_product_in_force_changes_nothing() -> None:
    station = Station()
    assert [station.passes("X-1"), station.passes(None), station.passes("X-2")] == ["PASSED"] * 3
    assert (station.changes, station.faults) == ([], [])


def test_the_unit_that_shows_another_product_is_not_inspected_and_the_next_one_is_that() -> None:
    station = Station()
    assert station.passes("Y-1") == "changing_over"
    assert station.changes == [("y", [TOP, SIDE])], "a camera without serials goes along"
    assert station.passes("Y-2") == "PASSED"
    assert station.faults == []


def test_units_that_were_opened_meanwhile_came_after_it() -> None:
    station = Station()
    one, two, three, four = (station.open() for _ in range(4))
    assert station.check(one, "Y-1") == "changing_over"
    assert station.check(two, None) == "changing_over", "nobody knows, but it came after Y-1"
    assert station.check(three, "X-9") == "PASSED", "its own serial says that it is an X"
    assert station.check(four, "Y-2") == "changing_over"
    assert station.passes("Y-3") == "PASSED"
    assert len(station.changes) == 1
    assert station.passes(None) == "PASSED"


def test_three_serials_in_a_row_that_fit_nothing_are_a_fault_until_one_fits() -> None:
    station = Station()
    for text in ("?", "?", "X-1", "?", "?"):
        station.passes(text)
    assert station.faults == []
    assert station.passes("strange") == "PASSED", "what is read wrongly costs no verdict"
    assert len(station.faults) == 1
    assert "serial 'strange' fits the pattern of no product" in station.faults[0]
    station.passes("X-2")
    assert station.faults[1:] == [""]


def test_serials_are_compared_with_new_patterns_once_these_were_read() -> None:
    station = Station()
    assert [station.passes("Z-1"), station.passes("Z-2")] == ["PASSED"] * 2
    station.checks.change({"x": "X-[0-9]+", "z": "Z-[0-9]+"})
    assert station.passes("Z-3") == "changing_over"
    assert station.changes == [("z", [TOP, SIDE])]
    assert station.faults == [], "the two before were compared with what was in force then"
    assert station.passes("Y-1") == "PASSED"
    assert station.changes[1:] == [], "serials of a product without a pattern now"


def test_a_product_that_nobody_has_changes_nothing_and_is_a_fault() -> None:
    station = Station()
    assert station.passes("G-1") == "changing_over"
    assert station.faults == ["there is no product 'gone', expected one of: x, y"]
    assert station.changes == []
    station.passes("X-1")
    assert station.faults[1:] == [""]


def test_where_no_pattern_is_known_of_the_product_any_other_serial_may_be_its() -> None:
    station = Station("default")
    assert station.passes("123") == "PASSED"
    assert station.passes("X-1") == "changing_over"
    assert station.passes("X-2") == "PASSED"


def test_the_pattern_of_a_products_file_counts_where_the_settings_name_none() -> None:
    station = Station("z")
    job = station.jobs[TOP]
    fits = replace(job, recipe=replace(job.recipe, serial_pattern="Z-[0-9]"))
    station._jobs[TOP] = fits
    for _ in range(3):
        assert station.passes("Q") == "PASSED"
    assert len(station.faults) == 1
    assert station.passes("Z-1") == "PASSED"
    assert station.faults[1:] == [""]


def test_a_line_without_a_product_learns_it_from_a_serial() -> None:
    station = Station()
    station._jobs[TOP] = replace(station.jobs[TOP], number=9, state=JobState.NO_PRODUCT)
    assert station.passes("X-1") == "changing_over"
    assert station.changes[0][0] == "x"


def test_what_was_said_after_a_unit_was_opened_counts_more_than_its_serial() -> None:
    station = Station()
    opened = station.open()
    station._jobs |= dict.fromkeys((TOP, SIDE), jobs.of_product(station.jobs[TOP], "x"))
    assert station.check(opened, "Y-1") == "changing_over"
    assert station.changes == []


@pytest.mark.parametrize("ahead", [0, 1, 3])
@given(
    runs=st.lists(st.tuples(st.sampled_from("XY"), st.integers(4, 8)), min_size=1, max_size=6),
    readable=st.integers(0, 2**48),
)
def test_no_unit_passes_as_a_product_that_its_serial_is_not_of(
    ahead: int, runs: list[tuple[str, int]], readable: int
) -> None:
    """Runs of units of two products; the first of each run is readable, others perhaps not."""
    units = [(kind, place) for kind, length in runs for place in range(length)]
    station, waiting = Station(), []
    for number, (kind, place) in enumerate(units):
        is_read = place == 0 or readable >> (number % 48) & 1
        waiting.append((station.open(), kind, f"{kind}-{number}" if is_read else None))
        if len(waiting) > ahead:
            check_one(station, *waiting.pop(0))
    for left in waiting:
        check_one(station, *left)


def check_one(station: Station, unit: UnitRef, kind: str, text: str | None) -> None:
    said = station.check(unit, text)
    if said == "PASSED":
        assert unit.under.recipe.product == OF[kind]
    else:
        assert said == "changing_over"
