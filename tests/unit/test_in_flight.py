from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.errors import InferenceUnavailableError
from inspector.inference.in_flight import InFlightWindow
from inspector.records import Batch


def batch(number: int) -> Batch:
    return Batch(batch_id=number, regions=(), tensor=None, model_input=None)


def test_replies_settle_batches_in_the_order_sent() -> None:
    window = InFlightWindow(limit=2)
    window.sent(batch(0), 10)
    window.sent(batch(1), 20)
    assert not window.has_room
    assert window.oldest_sent_ns == 10
    assert window.answered("0").batch == batch(0)
    assert window.oldest_sent_ns == 20
    assert window.answered("1").batch == batch(1)
    assert window.oldest_sent_ns is None


def test_a_reply_without_an_id_belongs_to_the_oldest() -> None:
    window = InFlightWindow(limit=2)
    window.sent(batch(4), 0)
    window.sent(batch(5), 0)
    assert window.answered(None).batch.batch_id == 4


@pytest.mark.parametrize("request_id", ["1", "", "00", "zero"])
def test_a_reply_to_another_batch_means_the_stream_is_out_of_step(request_id: str) -> None:
    window = InFlightWindow(limit=2)
    window.sent(batch(0), 0)
    window.sent(batch(1), 0)
    with pytest.raises(InferenceUnavailableError, match="expected reply 0"):
        window.answered(request_id)
    assert [s.batch.batch_id for s in window.abandon()] == [0, 1]


def test_a_reply_nobody_asked_for_is_not_believed() -> None:
    with pytest.raises(InferenceUnavailableError, match="nobody sent"):
        InFlightWindow(limit=1).answered(None)


@given(st.lists(st.booleans()), st.integers(1, 4))
def test_every_batch_is_settled_or_abandoned_exactly_once(steps: list[bool], limit: int) -> None:
    window = InFlightWindow(limit=limit)
    number, settled = 0, list[int]()
    for send in steps:
        if send and window.has_room:
            window.sent(batch(number), number)
            number += 1
        elif len(window):
            settled.append(window.answered(str(len(settled))).batch.batch_id)
        assert len(window) <= limit
    settled += [s.batch.batch_id for s in window.abandon()]
    assert settled == list(range(number))
    assert window.has_room
