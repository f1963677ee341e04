from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import InferenceUnavailableError
from inspector.core.recipes import ModelName
from inspector.core.records import Batch
from inspector.flow.model_pace import ModelPace, ModelPaces
from inspector.inference.in_flight import InFlightWindow
from tests.kit.fake_models import spec_of

SPEC = spec_of(16)


def batch(number: int, model: str = "m") -> Batch:
    return Batch(
        batch_id=number, model=ModelName(name=model), regions=(), tensor=None, model_input=None
    )


def test_replies_settle_batches_in_the_order_sent() -> None:
    window = InFlightWindow(limit=2, paces=ModelPaces(keeps_fresh=False))
    window.sent(batch(0), SPEC, 10)
    window.sent(batch(1), SPEC, 20)
    assert not window.has_room
    assert window.oldest_sent_ns == 10
    assert window.answered("0", 30).batch == batch(0)
    assert window.oldest_sent_ns == 20
    assert window.answered("1", 40).batch == batch(1)
    assert window.oldest_sent_ns is None


def test_a_reply_without_an_id_belongs_to_the_oldest() -> None:
    window = InFlightWindow(limit=2, paces=ModelPaces(keeps_fresh=False))
    window.sent(batch(4), SPEC, 0)
    window.sent(batch(5), SPEC, 0)
    assert window.answered(None, 1).batch.batch_id == 4


@pytest.mark.parametrize("request_id", ["1", "", "00", "zero"])
def test_a_reply_to_another_batch_means_the_stream_is_out_of_step(request_id: str) -> None:
    window = InFlightWindow(limit=2, paces=ModelPaces(keeps_fresh=False))
    window.sent(batch(0), SPEC, 0)
    window.sent(batch(1), SPEC, 0)
    with pytest.raises(InferenceUnavailableError, match="expected reply 0"):
        window.answered(request_id, 1)
    assert [s.batch.batch_id for s in window.abandon()] == [0, 1]


def test_a_reply_nobody_asked_for_is_not_believed() -> None:
    with pytest.raises(InferenceUnavailableError, match="nobody sent"):
        InFlightWindow(limit=1, paces=ModelPaces(keeps_fresh=False)).answered(None, 1)


@given(st.lists(st.booleans()), st.integers(1, 4))
def test_every_batch_is_settled_or_abandoned_exactly_once(steps: list[bool], limit: int) -> None:
    window = InFlightWindow(limit=limit, paces=ModelPaces(keeps_fresh=False))
    number, settled = 0, list[int]()
    for send in steps:
        if send and window.has_room:
            window.sent(batch(number), SPEC, number)
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

    class Paces(ModelPaces):
        def of(self, model: ModelName) -> ModelPace:
            del model
            return Pace(keeps_fresh=True)

    window = InFlightWindow(limit=2, paces=Paces(keeps_fresh=True))
    window.sent(batch(0), SPEC, 100)
    window.sent(batch(1), SPEC, 110)
    window.answered("0", 150)
    window.answered("1", 190)
    window.sent(batch(2), SPEC, 300)
    window.answered("2", 350)
    assert learned == [(0, 50, True), (0, 40, False), (0, 50, True)]


def slow(model: str) -> ModelPaces:
    paces = ModelPaces(keeps_fresh=True)
    paces.of(ModelName(name=model)).answered(1, 250_000_000, alone=False)
    return paces


def test_a_model_that_is_slow_gets_no_request_behind_another() -> None:
    window = InFlightWindow(limit=2, paces=slow("m"))
    window.sent(batch(0), SPEC, 0)
    assert not window.has_room


def test_nothing_is_sent_behind_a_slow_model_and_a_quick_one_is_asked_as_often_as_before() -> None:
    window = InFlightWindow(limit=3, paces=slow("slow"))
    window.sent(batch(0, "quick"), SPEC, 0)
    assert window.has_room
    window.sent(batch(1, "slow"), SPEC, 0)
    assert not window.has_room
    window.answered("0", 1)
    assert not window.has_room
    window.answered("1", 2)
    window.sent(batch(2, "quick"), SPEC, 3)
    assert window.has_room


def test_a_reply_is_read_by_what_the_model_was_when_it_was_asked() -> None:
    window = InFlightWindow(limit=3, paces=ModelPaces(keeps_fresh=False))
    later = replace(SPEC, version="2")
    window.sent(batch(0, "one"), SPEC, 0)
    window.sent(batch(1, "other"), later, 0)
    window.sent(batch(2, "one"), later, 0)
    found = [window.answered(None, now) for now in (1, 2, 3)]
    assert [(f.batch.model.name, f.spec.version) for f in found] == [
        ("one", "1"),
        ("other", "2"),
        ("one", "2"),
    ]
