from __future__ import annotations

from inspector.flow.first_wait import FirstWait


def test_it_lasts_from_its_beginning_until_the_model_is_there() -> None:
    wait = FirstWait(60)
    assert wait.left_s == 0
    wait.begin()
    assert 0 < wait.left_s <= 60
    assert wait.costs_frames
    wait.end()
    assert wait.left_s == 0
    # What was held still takes up room.
    assert wait.costs_frames
    wait.begin()
    assert wait.left_s == 0


def test_without_a_limit_nothing_waits() -> None:
    wait = FirstWait(0)
    wait.begin()
    assert wait.left_s == 0
    assert not wait.costs_frames
