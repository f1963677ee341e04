"""A dict of the newest entries, compared with a list of everything that was set or used."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.core.newest import Newest

keys = st.integers(0, 6)


@given(st.lists(st.tuples(st.sampled_from(["set", "use", "drop"]), keys)), st.integers(1, 4))
def test_the_newest_entries_stay_in_the_order_of_their_use(
    steps: list[tuple[str, int]], most: int
) -> None:
    forgotten: list[int] = []
    newest: Newest[int, str] = Newest(most, on_forgotten=forgotten.append)
    expected: list[int] = []
    for step, key in steps:
        if step == "drop":
            newest.pop(key, None)
            expected = [other for other in expected if other != key]
            continue
        if step == "set":
            newest[key] = str(key)
        else:
            assert newest.used(key, lambda key=key: str(key)) == str(key)  # type: ignore[misc]
        expected = [other for other in expected if other != key] + [key]
        gone, expected = expected[:-most], expected[-most:]
        assert forgotten[len(forgotten) - len(gone) :] == gone
    assert list(newest) == expected
    assert list(newest.values()) == [str(key) for key in expected]


def test_what_is_there_is_not_made_again() -> None:
    newest: Newest[str, int] = Newest(2)
    newest["a"] = 1
    assert newest.used("a", lambda: 2) == 1
    assert newest.used("b", lambda: 2) == 2
