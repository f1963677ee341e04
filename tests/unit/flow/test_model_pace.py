from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.flow.model_pace import PROBE_EVERY, ModelPace

MS = 1_000_000


def learned(
    each_ms: float,
    *,
    regions: int = 1,
    answers: int = 20,
    keeps_fresh: bool = True,
    instances: int = 1,
) -> ModelPace:
    pace = ModelPace(keeps_fresh=keeps_fresh)
    pace.instances = instances
    for _ in range(answers):
        pace.answered(regions, round(each_ms * regions * MS), alone=False)
    return pace


@pytest.mark.parametrize(
    ("each_ms", "regions"), [(1, 4), (24, 4), (26, 3), (49, 2), (62, 1), (400, 1)]
)
def test_requests_are_as_large_as_is_fresh(each_ms: float, regions: int) -> None:
    assert learned(each_ms).regions_at_once(4) == regions
    assert learned(each_ms, regions=4).regions_at_once(4) == regions


def test_only_a_model_that_is_slow_for_one_region_gets_one_request_at_a_time() -> None:
    assert learned(62).requests_at_once(2) == 2
    assert learned(130).requests_at_once(2) == 1
    assert learned(130, instances=2).requests_at_once(4) == 2


def test_a_recording_gets_what_was_set() -> None:
    pace = learned(400, keeps_fresh=False)
    assert (pace.regions_at_once(4), pace.requests_at_once(2)) == (4, 2)


def test_nothing_is_held_back_before_anything_is_known() -> None:
    pace = ModelPace(keeps_fresh=True)
    pace.answered(1, 300 * MS, alone=True)  # it may be the way there and back
    assert (pace.regions_at_once(4), pace.requests_at_once(2)) == (4, 2)


def test_a_distant_server_is_found_out_to_be_fast() -> None:
    pace = learned(130)
    sent_behind_another = 0
    for _ in range(20 * PROBE_EVERY):
        behind = pace.requests_at_once(2) == 2
        sent_behind_another += behind
        # On its way for 130 ms, of which the model needs five.
        pace.answered(1, (5 if behind else 130) * MS, alone=not behind)
    assert sent_behind_another > 10 * PROBE_EVERY
    assert pace.regions_at_once(4) == 4


def test_a_model_that_became_slow_is_noticed_and_one_that_became_fast_too() -> None:
    pace = learned(5)
    for _ in range(30):
        pace.answered(1, 300 * MS, alone=False)
    assert pace.regions_at_once(4) == 1
    for _ in range(30):
        pace.answered(1, 5 * MS, alone=True)
    assert pace.regions_at_once(4) == 4


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 10**10), st.booleans())),
    st.integers(1, 64),
)
def test_it_never_asks_for_nothing_nor_for_more_than_was_set(
    answers: list[tuple[int, int, bool]], limit: int
) -> None:
    pace = ModelPace(keeps_fresh=True)
    for regions, serving_ns, alone in answers:
        pace.answered(regions, serving_ns, alone=alone)
        assert 1 <= pace.regions_at_once(limit) <= limit
        assert 1 <= pace.requests_at_once(limit) <= limit
