from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.capture.reconnect import ReconnectDelay


def test_each_failure_doubles_the_wait_up_to_the_last() -> None:
    delay = ReconnectDelay(first_s=0.25, last_s=2.0, random=lambda: 0.0)
    assert [delay.after_failure() for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_a_frame_starts_it_over() -> None:
    delay = ReconnectDelay(first_s=0.25, last_s=2.0, random=lambda: 0.0)
    for _ in range(4):
        delay.after_failure()
    delay.after_frame()
    assert delay.after_failure() == 0.25


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 20))
def test_waits_are_spread_by_up_to_a_quarter_and_bounded(draw: float, failures: int) -> None:
    delay = ReconnectDelay(first_s=0.1, last_s=3.0, random=lambda: draw)
    waits = [delay.after_failure() for _ in range(failures)]
    for number, wait_s in enumerate(waits):
        whole_s = min(0.1 * 2**number, 3.0)
        assert 0.75 * whole_s <= wait_s <= whole_s


def test_a_camera_that_refuses_the_login_is_asked_five_times_in_half_an_hour() -> None:
    delay = ReconnectDelay(first_s=0.25, last_s=2.0, random=lambda: 0.0)
    at_s, attempts = 0.0, 1
    while (at_s := at_s + delay.after_refusal()) < 1800:
        attempts += 1
    assert attempts == 5


def test_a_login_that_was_right_before_is_tried_again_sooner() -> None:
    delay = ReconnectDelay(first_s=0.25, last_s=2.0, random=lambda: 0.0)
    delay.after_refusal()
    delay.after_frame()
    assert [delay.after_refusal() for _ in range(4)] == [15, 30, 60, 120]
    assert delay.after_failure() == 0.25
