from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.results.known_units import KnownUnits


@given(st.lists(st.sampled_from("abcdefg")))
def test_a_unit_is_known_from_its_second_time_on(names: list[str]) -> None:
    known = KnownUnits()
    assert [known.met(name) for name in names] == [
        name in names[:i] for i, name in enumerate(names)
    ]


def test_the_oldest_is_forgotten_first_and_one_that_came_again_is_young() -> None:
    known = KnownUnits(remembered=2)
    assert [known.met(n) for n in ("a", "b", "a", "c")] == [False, False, True, False]
    assert known.met("a")
    assert not known.met("b")
