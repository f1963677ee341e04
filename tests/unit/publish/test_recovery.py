"""What is read of unit events whose journal is gone."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from inspector.publish.recovery import last_numbers

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def body(camera: object, number: object) -> bytes:
    return orjson.dumps({"camera": camera, "unit": {"number": number}})


def test_each_camera_goes_on_after_its_largest_number():
    bodies = [body("top", 7), body("side", 2), body("top", 9), body("top", 8)]
    assert last_numbers(bodies) == {"top": 9, "side": 2}


def test_what_is_no_unit_event_is_passed_over():
    nothing = [b"", b"{", b"[]", b"1", body(3, 4), body("top", "9"), body("top", True)]
    assert last_numbers([*nothing, body("top", -1), body("top", 2**60), body("top", 1)]) == {
        "top": 1
    }


@given(st.lists(st.binary(max_size=40) | json_values.map(orjson.dumps), max_size=5))
def test_whatever_lies_in_the_stream_numbers_are_numbers(bodies):
    assert all(type(n) is int and n > 0 for n in last_numbers(bodies).values())
