from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.entries import LARGEST, NOTHING, StreamFullError, StreamId, Tip
from inspector.journal.stream_ids import Standing, renumbering, standing

clock_ms = st.integers(min_value=0, max_value=2**43)
ids = st.builds(StreamId, st.integers(0, LARGEST - 1), st.integers(0, 2**64 - 1))


@given(st.lists(clock_ms, min_size=2, max_size=50))
def test_ids_increase_whatever_the_clock_does(readings: list[int]):
    made = [NOTHING]
    for now_ms in readings:
        made.append(made[-1].next(now_ms))
    assert all(before < after for before, after in pairwise(made))


@given(ids, clock_ms)
def test_an_id_is_the_time_unless_that_would_go_back(last: StreamId, now_ms: int):
    following = last.next(now_ms)
    assert following > last
    assert following.ms >= now_ms
    if now_ms > last.ms:
        assert following == StreamId(now_ms, 0)


@given(ids)
def test_an_id_survives_being_written_and_read(some: StreamId):
    assert StreamId.parse(str(some)) == some


def test_nothing_follows_the_largest_id():
    with pytest.raises(StreamFullError, match="can follow"):
        StreamId(LARGEST, LARGEST).next(0)
    with pytest.raises(StreamFullError, match="can follow"):
        StreamId(2**64 - 1, 2**64 - 1).room_for(1)


def test_a_stream_is_level_behind_or_ahead():
    assert standing(StreamId(5, 0), StreamId(5, 0)) is Standing.LEVEL
    assert standing(NOTHING, StreamId(5, 0)) is Standing.BEHIND
    assert standing(StreamId(5, 1), StreamId(5, 0)) is Standing.AHEAD


@given(
    tip=ids,
    tip_seq=st.none() | st.integers(-5, 2**60),
    first_seq=st.integers(1, 10_000),
    first_id=ids,
    entries=st.integers(1, 10_000),
)
def test_renumbered_events_follow_the_tip_without_a_gap(
    tip: StreamId, tip_seq: int | None, first_seq: int, first_id: StreamId, entries: int
):
    change = renumbering(
        Tip(last_id=tip, seq=tip_seq), first_seq=first_seq, first_id=first_id, entries=entries
    )
    new_first_seq = first_seq + change.seq_shift
    assert change.seq_shift >= 0
    if tip_seq is not None and first_seq <= tip_seq < 2**53:
        assert new_first_seq == tip_seq + 1
    else:
        assert new_first_seq == first_seq
    if change.new_ids_after is None:
        assert first_id > tip
    else:
        after = change.new_ids_after
        assert StreamId(after.ms, after.n + 1) > tip
        assert after.n + entries <= LARGEST


def test_an_empty_journal_goes_on_counting_where_the_stream_ends():
    tip = Tip(last_id=StreamId(7, 0), seq=41)
    change = renumbering(tip, first_seq=1, first_id=None, entries=0)
    assert change.seq_shift == 41
    assert change.new_ids_after is None
