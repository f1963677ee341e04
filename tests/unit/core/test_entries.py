"""IDs of stream entries: each is larger than the one before, whatever the clock does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.entries import LARGEST, NOTHING, StreamFullError, StreamId

numbers = st.integers(0, LARGEST) | st.integers(LARGEST - 3, LARGEST)
ids = st.builds(StreamId, numbers, numbers)


@given(ids)
def test_an_id_is_read_as_it_is_written(one: StreamId) -> None:
    assert StreamId.parse(str(one)) == one


@given(ids, numbers)
def test_the_next_id_is_larger_whatever_the_clock_says_or_there_is_none(
    one: StreamId, now_ms: int
) -> None:
    try:
        following = one.next(now_ms)
    except StreamFullError:
        assert one == StreamId(LARGEST, LARGEST)
    else:
        assert following > one
        assert max(following.ms, following.n) <= LARGEST


@given(ids, st.integers(1, 1000))
def test_where_there_is_room_so_many_entries_fit_by_counting_up(one: StreamId, more: int) -> None:
    try:
        start = one.room_for(more)
    except StreamFullError:
        assert one.ms == LARGEST
    else:
        assert start >= one
        assert start.n + more <= LARGEST


def test_a_stream_without_entries_ends_before_every_id() -> None:
    assert NOTHING.next(0) > NOTHING


@pytest.mark.parametrize("text", ["", "7", "a-1", "1-", "1-2-3"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        StreamId.parse(text)
