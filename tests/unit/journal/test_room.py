"""When the journal is full, and who says what is wrong with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.journal.room import UNLIMITED, Causes, Room

sizes_bytes = st.integers(0, 2000)


@given(limit_bytes=st.integers(1, 1000), looks=st.lists(sizes_bytes, max_size=50))
def test_a_change_is_told_when_it_comes_and_nothing_is_told_twice(limit_bytes, looks):
    told: list[str | None] = []
    room = Room(limit_bytes=limit_bytes, on_fault=told.append)
    for used_bytes in looks:
        was_full, before = bool(told) and told[-1] is not None, len(told)
        has_room = room.has(used_bytes, pending=7)
        assert has_room == (used_bytes < limit_bytes)
        assert len(told) - before == (has_room == was_full)
        assert (bool(told) and told[-1] is not None) != has_room


def test_a_full_journal_says_why_and_what_waits():
    told: list[str | None] = []
    Room(limit_bytes=2_500_000_000, on_fault=told.append).has(2_500_000_000, pending=12)
    (cause,) = told
    assert cause is not None
    assert "journal.max_gb = 2.5" in cause
    assert "12 events that Redis has not taken" in cause


@given(looks=st.lists(st.integers(0, 2**50), max_size=20))
def test_without_a_limit_there_is_always_room(looks):
    told: list[str | None] = []
    room = Room(limit_bytes=UNLIMITED, on_fault=told.append)
    assert all(room.has(used_bytes, pending=0) for used_bytes in looks)
    assert not told


@given(
    st.lists(
        st.tuples(st.sampled_from(["room", "writer", "pruning"]), st.none() | st.sampled_from("ab"))
    )
)
def test_the_journal_is_called_right_once_nobody_finds_it_wrong(reports):
    told: list[str | None] = []
    causes = Causes(told.append)
    tellers = {who: causes.of(who) for who in ("room", "writer", "pruning")}
    wrong: dict[str, str] = {}
    for who, cause in reports:
        tellers[who](cause)
        if cause is None:
            wrong.pop(who, None)
        else:
            wrong[who] = cause
        assert (told[-1] is None) == (not wrong)
        assert told[-1] is None or told[-1] in wrong.values(), "what is told still stands"
        assert cause is None or told[-1] == cause, "the newest is told"
