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


MS = 1_000_000


def served(window: InFlightWindow, each_ms: int, batches: int = 20) -> None:
    """Batches one after another, each answered after so long."""
    for number in range(batches):
        window.sent(batch(number), number * each_ms * MS)
        window.answered(str(number), (number + 1) * each_ms * MS)


def test_a_slow_model_gets_no_batch_to_wait_behind_another() -> None:
    window = InFlightWindow(limit=2, keeps_fresh=True)
    served(window, each_ms=250)
    window.sent(batch(90), 0)
    assert not window.has_room


@pytest.mark.parametrize(
    ("each_ms", "keeps_fresh", "instances"),
    [(20, True, 1), (250, False, 1), (250, True, 2)],
    ids=["fast", "a recording", "two at once"],
)
def test_other_models_get_as_many_as_the_limit_says(
    each_ms: int,
    keeps_fresh: bool,  # noqa: FBT001 - a case
    instances: int,
) -> None:
    window = InFlightWindow(limit=2, keeps_fresh=keeps_fresh)
    window.instances = instances
    served(window, each_ms=each_ms)
    window.sent(batch(90), 0)
    assert window.has_room


def test_waiting_behind_another_batch_does_not_make_a_model_slow() -> None:
    window = InFlightWindow(limit=4, keeps_fresh=True)
    for number in range(20):  # four at a time, 40 ms each: the last waits for 160 ms
        at_ms = number // 4 * 160
        window.sent(batch(number), at_ms * MS)
        if number % 4 == 3:
            for place in range(4):
                window.answered(str(number - 3 + place), (at_ms + 40 * (place + 1)) * MS)
    window.sent(batch(90), 0)
    assert window.has_room


def test_a_slow_model_that_became_fast_gets_more_again() -> None:
    window = InFlightWindow(limit=2, keeps_fresh=True)
    served(window, each_ms=250)
    served(window, each_ms=10)
    window.sent(batch(90), 0)
    assert window.has_room
