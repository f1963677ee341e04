from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import InferenceUnavailableError
from inspector.core.records import Batch
from inspector.flow.model_pace import ModelPace
from inspector.inference.in_flight import InFlightWindow


def batch(number: int) -> Batch:
    return Batch(batch_id=number, regions=(), tensor=None, model_input=None)


def test_replies_settle_batches_in_the_order_sent() -> None:
    window = InFlightWindow(limit=2)
    window.sent(batch(0), 10)
    window.sent(batch(1), 20)
    assert not window.has_room
    assert window.oldest_sent_ns == 10
    assert window.answered("0", 30).batch == batch(0)
    assert window.oldest_sent_ns == 20
    assert window.answered("1", 40).batch == batch(1)
    assert window.oldest_sent_ns is None


def test_a_reply_without_an_id_belongs_to_the_oldest() -> None:
    window = InFlightWindow(limit=2)
    window.sent(batch(4), 0)
    window.sent(batch(5), 0)
    assert window.answered(None, 1).batch.batch_id == 4


@pytest.mark.parametrize("request_id", ["1", "", "00", "zero"])
def test_a_reply_to_another_batch_means_the_stream_is_out_of_step(request_id: str) -> None:
    window = InFlightWindow(limit=2)
    window.sent(batch(0), 0)
    window.sent(batch(1), 0)
    with pytest.raises(InferenceUnavailableError, match="expected reply 0"):
        window.answered(request_id, 1)
    assert [s.batch.batch_id for s in window.abandon()] == [0, 1]


def test_a_reply_nobody_asked_for_is_not_believed() -> None:
    with pytest.raises(InferenceUnavailableError, match="nobody sent"):
        InFlightWindow(limit=1).answered(None, 1)


@given(st.lists(st.booleans()), st.integers(1, 4))
def test_every_batch_is_settled_or_abandoned_exactly_once(steps: list[bool], limit: int) -> None:
    window = InFlightWindow(limit=limit)
    number, settled = 0, list[int]()
    for send in steps:
        if send and window.has_room:
            window.sent(batch(number), number)
            number += 1
        elif len(window):
            settled.append(window.answered(str(len(settled)), number).batch.batch_id)
        assert len(window) <= limit
    settled += [s.batch.batch_id for s in window.abandon()]
    assert settled == list(range(number))
    assert window.has_room


def test_the_pace_learns_what_a_request_took_and_whether_it_waited_behind_another() -> None:
    learned: list[tuple[int, int, bool]] = []

    class Pace(ModelPace):
        def answered(self, regions: int, serving_ns: int, *, alone: bool) -> None:
            learned.append((regions, serving_ns, alone))

    window = InFlightWindow(limit=2, pace=Pace(keeps_fresh=True))
    window.sent(batch(0), 100)
    window.sent(batch(1), 110)
    window.answered("0", 150)
    window.answered("1", 190)
    window.sent(batch(2), 300)
    window.answered("2", 350)
    assert learned == [(0, 50, True), (0, 40, False), (0, 50, True)]


def test_a_model_that_is_slow_gets_no_request_behind_another() -> None:
    pace = ModelPace(keeps_fresh=True)
    window = InFlightWindow(limit=2, pace=pace)
    pace.answered(1, 250_000_000, alone=False)
    window.sent(batch(0), 0)
    assert not window.has_room
