from __future__ import annotations

from typing import Any

import pytest

from inspector.events.numbering import entry_id_text, parse_entry_id
from inspector.intake.continuity import (
    LastRead,
    StreamExtent,
    read_extent,
    should_be_there,
    why_another,
)

READ = (100, 0)


def test_entry_ids_are_read_and_written_as_redis_does() -> None:
    assert parse_entry_id("18446744073709551615-7") == (2**64 - 1, 7)
    assert entry_id_text((5, 1)) == "5-1"


def test_what_redis_says_of_a_stream_is_read_with_and_without_what_7_0_added() -> None:
    reply: dict[str, Any] = {"last-generated-id": b"9-1", "first-entry": (b"3-0", {b"a": b"b"})}
    assert read_extent(reply) == StreamExtent(last=(9, 1), first=(3, 0), deleted=None)
    reply["max-deleted-entry-id"] = b"2-0"
    reply["first-entry"] = None
    assert read_extent(reply) == StreamExtent(last=(9, 1), first=None, deleted=(2, 0))


@pytest.mark.parametrize(
    ("last", "says"),
    [((100, 0), ""), ((101, 0), ""), ((99, 9), "ends at 99-9"), ((0, 0), "is gone or new")],
)
def test_a_stream_that_ends_before_what_was_read_is_another(
    last: tuple[int, int], says: str
) -> None:
    why = why_another(StreamExtent(last=last), READ, "triggers")
    assert bool(why) == bool(says)
    assert says in why


@pytest.mark.parametrize(
    ("extent", "shows_another"),
    [
        (StreamExtent(last=(200, 0), first=(90, 0), deleted=(0, 0)), True),
        (StreamExtent(last=(200, 0), first=(150, 0), deleted=(0, 0)), False),  # trimmed
        (StreamExtent(last=(200, 0)), False),  # trimmed to nothing
        (StreamExtent(last=(200, 0), first=(90, 0), deleted=(100, 0)), False),  # deleted by hand
        (StreamExtent(last=(200, 0), first=(90, 0), deleted=(95, 0)), True),
    ],
)
def test_an_entry_that_was_read_and_is_missing_shows_another_stream_or_not(extent, shows_another):
    assert should_be_there(extent, LastRead(READ, "u")) is shows_another
