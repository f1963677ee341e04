from __future__ import annotations

from dataclasses import replace

import pytest

from inspector.events.numbering import (
    Gap,
    GroupPosition,
    StreamEnds,
    parse_entry_id,
    trimmed_unread,
)

# Ten events were added, 1-0 to 10-0; the oldest eight were trimmed.
STREAM = StreamEnds(
    length=2,
    first_id=(9, 0),
    last_generated_id=(10, 0),
    first_seq=9,
    last_seq=10,
    ever_added=10,
)


def position(last_delivered: int, entries_read: int | None) -> GroupPosition:
    return GroupPosition(last_delivered_id=(last_delivered, 0), entries_read=entries_read)


@pytest.mark.parametrize(
    ("last_delivered", "entries_read", "lost"),
    [
        (0, None, 8),
        (5, 5, 3),
        (8, 8, 0),
        (9, 9, 0),
        (10, 10, 0),
        (10, None, 0),
        (5, None, None),
    ],
)
def test_what_was_trimmed_before_it_was_given(
    last_delivered: int, entries_read: int | None, lost: int | None
) -> None:
    assert trimmed_unread(STREAM, position(last_delivered, entries_read)) == lost


def test_redis_before_7_does_not_count() -> None:
    old = replace(STREAM, ever_added=None)
    assert trimmed_unread(old, position(5, None)) is None
    assert trimmed_unread(old, position(9, None)) == 0


def test_an_emptied_stream_still_says_how_many_were_lost() -> None:
    empty = replace(STREAM, length=0, first_id=None, first_seq=None, last_seq=None)
    assert trimmed_unread(empty, position(5, 5)) == 5
    assert trimmed_unread(empty, position(10, 10)) == 0


def test_entries_deleted_from_the_middle_are_not_taken_for_trimmed_ones() -> None:
    # 11 to 20 came, 15 was deleted; the group had read up to 8.
    stream = replace(STREAM, length=11, last_generated_id=(20, 0), last_seq=20, ever_added=20)
    assert trimmed_unread(stream, position(8, 8)) == 0


def test_entries_of_strangers_are_not_taken_for_trimmed_events() -> None:
    # A stranger wrote one after the first that is stored: eleven were added, and ten have numbers.
    stream = replace(STREAM, length=3, last_generated_id=(10, 1), ever_added=11)
    assert trimmed_unread(stream, position(8, 8)) == 0


def test_a_redis_that_was_filled_again_counts_from_its_own_beginning() -> None:
    # Events 501 to 510 were filled in; three were trimmed; the group had read two.
    stream = replace(STREAM, length=7, first_id=(4, 0), first_seq=504, last_seq=510)
    assert trimmed_unread(stream, position(2, 2)) == 1


def test_a_gap_counts_what_is_missing() -> None:
    assert Gap(expected_seq=1, found_seq=9).missing == 8
    assert Gap(expected_seq=9, found_seq=1).missing == 0


def test_an_entry_id_is_read() -> None:
    assert parse_entry_id("1700000000000-12") == (1700000000000, 12)
    with pytest.raises(ValueError, match="invalid literal"):
        parse_entry_id("x")
