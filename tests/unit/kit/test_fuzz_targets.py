"""Outside data is read or refused, never anything else; `scripts/fuzz.py` looks for longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.events.consumer import SetAside, read_entry
from inspector.publish.sinks.redis_streams import read_tip
from tests.kit.fuzz_targets import SEEDS, TARGETS, reply


@st.composite
def mutated(draw: st.DrawFn, target: str) -> bytes:
    """A seed with some of its bytes replaced, cut out or put in."""
    data = bytearray(draw(st.sampled_from(SEEDS[target])))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 1, 1, 4, 16]))
        data[at : at + cut] = draw(st.binary(max_size=5))
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_comes_is_read_or_refused(target: str) -> None:
    @given(st.binary(max_size=300) | mutated(target))
    def examined(data: bytes) -> None:
        TARGETS[target](data)

    examined()


@pytest.mark.parametrize("number", range(len(SEEDS["reply"])))
def test_a_reply_of_any_type_is_read_or_refused(number: int) -> None:
    reply(SEEDS["reply"][number])


FOREIGN = {b"id": b"x", b"seq": b"9" * 5000, b"data": b"{}"}


def test_a_number_longer_than_python_reads_is_none() -> None:
    """A stranger's entry must not end the process: int() refuses more than 4300 digits."""
    tip = read_tip({"last-generated-id": b"5-1", "last-entry": (b"5-1", FOREIGN)})
    assert tip.seq is None
    assert isinstance(read_entry("5-1", FOREIGN), SetAside)
