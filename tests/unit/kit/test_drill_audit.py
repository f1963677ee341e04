"""The witness of the drills must see what it is there to see."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from tests.drills.report import BEGIN, END, HEAD, renew, row, span
from tests.drills.soak import Sample, slope_per_hour
from tests.drills.stand import Tally
from tests.drills.witness import (
    Audit,
    Blind,
    Entry,
    _audit_defects,
    _audit_stream,
    _audit_units,
    _false,
)

SEEN_S = 1_800_000_000.0


def unit(seq: int, number: int | None = None, **event: Any) -> Entry:
    seen = datetime.fromtimestamp(SEEN_S + seq, UTC).isoformat()
    content: dict[str, Any] = {
        "id": f"event{seq}",
        "time": seen,
        "camera": "top",
        "unit": {"number": seq if number is None else number},
        "result": "PASSED",
        "reason": None,
        "counts": {"frames_expected": 1, "frames_inspected": 1, "defects": 0},
    }
    return Entry("units", (1000 + seq, 0), seq, content | event)


def streamed(*entries: Entry, first: int = 1) -> Audit:
    audit = Audit()
    _audit_stream(audit, "units", list(entries), first=first)
    return audit


def counted(*units: Entry, verdicts: int | None = None) -> Audit:
    audit = Audit()
    _audit_units(audit, list(units), verdicts)
    return audit


def test_a_whole_stream_is_clean() -> None:
    assert streamed(unit(1), unit(2), unit(3)).is_clean
    assert counted(unit(1), unit(2), verdicts=2).is_clean


def test_a_number_that_is_missing_is_a_loss() -> None:
    assert streamed(unit(1), unit(4)).lost == ["units 2 to 3"]
    assert streamed(unit(2)).lost == ["units 1 to 1"]
    assert streamed(unit(5), unit(6), first=5).is_clean
    assert counted(unit(1), unit(2, 4)).lost == ["units 2 to 3 of top"]
    assert counted(unit(1), verdicts=2).lost == ["the line gave 2 verdicts, 1 are there"]


def test_what_is_there_twice_is_doubled_and_what_comes_late_is_out_of_order() -> None:
    assert streamed(unit(1), unit(2, id="event1")).duplicated == ["units event event1"]
    assert counted(unit(1), unit(2, 1)).duplicated == ["unit 1 of top after 1"]
    assert counted(unit(1), unit(2), verdicts=1).duplicated
    swapped = streamed(unit(2), unit(1))
    assert "units 1 after 2" in swapped.out_of_order
    assert "units: entry IDs" in swapped.out_of_order


def test_defects_are_as_many_as_the_units_claim() -> None:
    claiming = unit(1, result="FAILED", counts={"defects": 2})
    defect = Entry("defects", (1, 0), 1, {"id": "d1"})
    for found, lost, doubled in ((1, 1, 0), (2, 0, 0), (3, 0, 1)):
        audit = Audit()
        _audit_defects(audit, [claiming], [defect] * found)
        assert (len(audit.lost), len(audit.duplicated)) == (lost, doubled)


def test_passed_without_a_look_is_false() -> None:
    half = {"frames_expected": 2, "frames_inspected": 1, "defects": 0}
    none = {"frames_expected": 0, "frames_inspected": 0, "defects": 0}
    assert not _false(unit(1), [])
    assert _false(unit(1, counts=half), [])
    assert _false(unit(1, counts=none), [])
    assert _false(unit(1, reason="camera_lost"), [])
    assert not _false(unit(1, counts=half, result="NOT_INSPECTED"), [])
    dark = [Blind(SEEN_S + 2, SEEN_S + 4, "top")]
    assert [bool(_false(unit(n), dark)) for n in range(1, 6)] == [False, True, True, False, False]
    assert not _false(unit(3, camera="side"), dark)
    assert not _false(unit(3, result="FAILED"), dark)


def test_a_row_takes_the_place_of_the_drills_last_one_and_the_others_stay() -> None:
    day = date(2026, 11, 24)
    tally = Tally(repetitions=3, units=10, events=12, detect_s=[0.31, 2.04, 0.52])
    first = row("a", tally, day)
    assert first == "| a | 3 | 10 | 12 | 0 | 0 | 0 | 0 | 0.5 (at most 2.0) | - | 2026-11-24 |"
    empty = f"before\n{BEGIN}\n\n{END}\nafter\n"
    both = renew(renew(empty, {"b": "| b | 1 |"}, ["a", "b"]), {"a": first}, ["a", "b"])
    assert both == f"before\n{BEGIN}\n\n{HEAD[0]}\n{HEAD[1]}\n{first}\n| b | 1 |\n\n{END}\nafter\n"
    again = renew(both, {"a": "| a | 9 |"}, ["a"])
    assert "| a | 9 |\n\n" in again
    assert "| b |" not in again, "a drill that there is no more"
    assert span([1.25]) == "1.2"


def test_the_slope_is_that_of_a_line_and_the_warm_up_does_not_count() -> None:
    def sample(at_s: float, rss_mb: float) -> Sample:
        return Sample(at_s, rss_mb, 10, 10, 1, 1)

    warm_up = [sample(0, 900.0), sample(360, 10.0)]
    rising = [sample(720 + 360 * n, 100.0 + n) for n in range(6)]
    assert round(slope_per_hour(warm_up + rising, "rss_mb"), 6) == 10.0
    assert slope_per_hour(warm_up + rising, "threads") == 0.0
