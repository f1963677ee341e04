from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import CameraId
from inspector.triggers.external.ledger import Ledger, is_exact, ms_of, position_of

A, B = CameraId("a"), CameraId("b")
FIRST = 10

entry_ids = st.tuples(st.integers(0, (1 << 42) - 1), st.integers(0, (1 << 20) - 1))


@given(entry_ids, entry_ids)
def test_positions_grow_as_entry_ids_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    first, second = (position_of(f"{ms}-{sequence}") for ms, sequence in (one, other))
    assert (first < second) == (one < other)
    assert ms_of(first) == one[0]


@pytest.mark.parametrize("entry_id", ["0-0", "18446744073709551615-18446744073709551615", "5"])
def test_every_position_fits_a_counter_of_the_journal(entry_id: str) -> None:
    assert 0 <= position_of(entry_id) < 1 << 62


def test_a_station_that_never_answered_a_trigger_has_nowhere_to_go_on() -> None:
    assert Ledger([A, B], {}).resume_after is None
    assert Ledger([], {}).resume_after is None
    assert Ledger([A], {}).counters() == {}


def test_reading_goes_on_after_what_is_answered() -> None:
    ledger = Ledger([A, B], {"triggers:a": 70, "triggers:b": 40, "units:a": 9})
    assert ledger.resume_after == 40
    assert ledger.is_answered(A, 70)
    assert not ledger.is_answered(A, 71)
    assert not ledger.is_answered(B, 41)


def test_a_new_camera_missed_nothing_before_what_the_others_have() -> None:
    ledger = Ledger([A, B], {"triggers:a": 70})
    assert ledger.resume_after == 70
    assert ledger.is_answered(B, 70)


def test_the_journal_notes_what_is_answered_and_no_more() -> None:
    ledger = Ledger([A, B], {})
    for camera, number, position in ((A, 1, 10), (B, 1, 20), (A, 2, 30)):
        ledger.opened(camera, number, position)
        ledger.read(position)
    ledger.read(35)
    assert ledger.unanswered == 3
    ledger.journaled(A, 1)
    assert ledger.counters() == {"triggers:a": 29, "triggers:b": 19}
    ledger.journaled(B, 1)
    assert ledger.counters() == {"triggers:a": 29, "triggers:b": 35}
    ledger.journaled(A, 2)
    assert ledger.counters() == {"triggers:a": 35, "triggers:b": 35}
    assert ledger.unanswered == 0


def test_units_that_the_stream_did_not_trigger_change_nothing() -> None:
    ledger = Ledger([A], {})
    ledger.journaled(A, 5)
    ledger.journaled(CameraId("elsewhere"), 5)
    assert ledger.counters() == {}


def noted(ledger: Ledger, before: dict[str, int]) -> dict[str, int]:
    """As the journal does: its counters never go back."""
    return {n: max(v, before.get(n, 0)) for n, v in (before | ledger.counters()).items()}


def test_a_first_start_at_an_empty_stream_is_remembered() -> None:
    ledger = Ledger([A], {})
    ledger.begin(0)
    assert Ledger([A], ledger.counters()).resume_after == 0


def test_a_stream_that_begins_again_has_positions_that_may_be_smaller() -> None:
    before = {"triggers:a": 700, "triggers:b": 650}
    ledger = Ledger([A, B], before)
    assert ledger.begin_anew(0, is_all_read=False) == 0
    ledger.opened(A, 1, 30)
    ledger.read(30)
    ledger.journaled(A, 1)
    again = Ledger([A, B], noted(ledger, before))
    assert (again.resume_after, again.is_answered(A, 30), again.is_answered(A, 31)) == (
        30,
        True,
        False,
    )


def test_of_an_older_copy_each_camera_goes_on_where_it_was() -> None:
    before = {"triggers:a": 70, "triggers:b": 40}
    ledger = Ledger([A, B], before)
    assert ledger.begin_anew(60, is_all_read=False) == 40
    assert ledger.is_answered(A, 60)
    assert not ledger.is_answered(A, 61)
    assert not ledger.is_answered(B, 41)
    again = Ledger([A, B], noted(ledger, before))
    assert (again.is_answered(A, 60), again.is_answered(B, 41)) == (True, False)


def test_what_waits_and_is_gone_from_the_stream_does_not_hold_up_what_is_noted() -> None:
    ledger = Ledger([A], {})
    for number, position in ((1, 10), (2, 50)):
        ledger.opened(A, number, position)
        ledger.read(position)
    assert ledger.begin_anew(20, is_all_read=True) == 20
    assert ledger.counters()["triggers:a@1"] == 9
    ledger.journaled(A, 1)
    assert ledger.counters()["triggers:a@1"] == 20
    ledger.journaled(A, 2)  # its verdict comes all the same
    assert ledger.counters()["triggers:a@1"] == 20


def test_positions_out_of_range_are_known_as_inexact() -> None:
    assert is_exact("1764000000000-7")
    assert not is_exact("1764000000000000000-0")
    assert not is_exact("0-2000000")


@given(st.data())
def test_after_a_crash_each_trigger_is_answered_or_read_again_and_never_both(
    data: st.DataObject,
) -> None:
    """Triggers of two cameras; each camera's verdicts come in order; the power goes any time."""
    count = 12
    cameras = [data.draw(st.sampled_from([A, B])) for _ in range(count)]
    answered: set[int] = set()
    noted: dict[str, int] = {}
    for _start in range(4):
        ledger = Ledger([A, B], noted)
        after = ledger.resume_after or 0
        numbers: dict[int, int] = {}
        waiting: dict[CameraId, list[int]] = {A: [], B: []}
        unread = [p for p in range(FIRST, FIRST + count) if p > after]
        for _step in range(data.draw(st.integers(0, 20))):
            camera = data.draw(st.sampled_from([A, B]))
            reads: bool = data.draw(st.booleans())
            if unread and reads:
                position = unread.pop(0)
                whose = cameras[position - FIRST]
                if ledger.is_answered(whose, position):
                    assert position in answered
                    continue
                assert position not in answered
                numbers[position] = len(numbers)
                ledger.opened(whose, numbers[position], position)
                ledger.read(position)
                waiting[whose].append(position)
            elif waiting[camera]:
                position = waiting[camera].pop(0)
                ledger.journaled(camera, numbers[position])
                answered.add(position)
                noted = {
                    name: max(value, noted.get(name, 0))
                    for name, value in (noted | ledger.counters()).items()
                }
    ledger = Ledger([A, B], noted)
    noted_after = ledger.resume_after
    if noted_after is not None:
        for position in range(FIRST, FIRST + count):
            still_read = position > noted_after and not ledger.is_answered(
                cameras[position - FIRST], position
            )
            assert still_read == (position not in answered)
