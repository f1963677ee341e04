import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.sources.stream_clock import StreamClock

MS = 1_000_000
S = 1_000_000_000
STEP = 33 * MS
START = 5_000 * S


def test_the_fastest_frame_of_a_steady_stream_has_no_age():
    clock = StreamClock()
    assert clock.captured_mono_ns(0, START) == START
    assert clock.captured_mono_ns(STEP, START + STEP) == START + STEP


def test_a_frame_delayed_by_the_network_was_captured_earlier():
    clock = StreamClock()
    clock.captured_mono_ns(0, START)
    assert clock.captured_mono_ns(STEP, START + STEP + 20 * MS) == START + STEP


def test_a_frame_held_back_during_a_stall_shows_its_true_age():
    clock = StreamClock()
    for n in range(10):
        clock.captured_mono_ns(n * STEP, START + n * STEP)
    arrival_ns = START + 9 * STEP + 2 * S
    age_ns = arrival_ns - clock.captured_mono_ns(10 * STEP, arrival_ns)
    assert abs(age_ns - (2 * S - STEP)) < 2 * MS


def test_a_backlog_ages_correctly_once_packets_have_shown_the_way():
    clock = StreamClock()
    for n in range(30):  # a second of stream, all at once
        clock.arrived(n * STEP, START)
    clock.arrived(30 * STEP, START + STEP)
    assert clock.captured_mono_ns(0, START + STEP) == START - 29 * STEP


def test_a_camera_clock_slower_than_ours_is_followed():
    clock = StreamClock()
    age_ns = 0
    for n in range(30 * 3600):  # an hour at 100 ppm: 360 ms if it were not followed
        arrival_ns = START + n * STEP
        pts_ns = n * (STEP - STEP * 100 // 1_000_000)
        age_ns = arrival_ns - clock.captured_mono_ns(pts_ns, arrival_ns)
    assert age_ns < MS


def test_a_camera_clock_faster_than_ours_is_followed_at_once():
    clock = StreamClock()
    for n in range(1000):
        arrival_ns = START + n * STEP
        pts_ns = n * (STEP + STEP * 300 // 1_000_000)
        assert clock.captured_mono_ns(pts_ns, arrival_ns) == arrival_ns


def test_a_stream_that_starts_over_is_not_taken_for_an_old_one():
    clock = StreamClock()
    for n in range(100):
        clock.captured_mono_ns(n * STEP, START + n * STEP)
    arrival_ns = START + 100 * STEP
    assert clock.captured_mono_ns(0, arrival_ns) == arrival_ns


def test_a_camera_whose_clock_is_set_forward_stays_fresh():
    clock = StreamClock()
    clock.captured_mono_ns(0, START)
    assert clock.captured_mono_ns(3600 * S, START + STEP) == START + STEP
    assert clock.captured_mono_ns(3600 * S + STEP, START + 2 * STEP) == START + 2 * STEP


def test_a_clock_that_jumps_forward_and_back_recovers():
    clock = StreamClock()
    clock.captured_mono_ns(0, START)
    clock.captured_mono_ns(3600 * S, START + STEP)
    assert clock.captured_mono_ns(2 * STEP, START + 2 * STEP) == START + 2 * STEP


def test_reordered_packets_do_not_count_as_a_jump():
    clock = StreamClock()
    clock.arrived(4 * STEP, START)  # a P frame comes before the B frames it serves
    clock.arrived(2 * STEP, START + STEP)
    assert clock.captured_mono_ns(2 * STEP, START + STEP) == START - 2 * STEP


def test_without_time_stamps_the_arrival_counts():
    clock = StreamClock()
    assert clock.captured_mono_ns(None, START) == START
    clock.arrived(None, START + STEP)
    assert clock.captured_mono_ns(None, START + 5 * S) == START + 5 * S


def test_time_stamps_that_stand_still_do_not_make_frames_old():
    clock = StreamClock()
    clock.captured_mono_ns(0, START)
    assert clock.captured_mono_ns(0, START + 5 * S) == START + 5 * S


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(-(2**62), 2**62)), st.integers(0, 20 * S)),
        max_size=50,
    )
)
def test_no_time_stamps_whatever_put_a_capture_in_the_future_or_far_past(steps):
    clock = StreamClock()
    now_ns = START
    for pts_ns, waited_ns in steps:
        now_ns += waited_ns
        captured_ns = clock.captured_mono_ns(pts_ns, now_ns)
        assert now_ns - 30 * S <= captured_ns <= now_ns


RATE = 5
STALE_NS = 400 * MS


class Line:
    """Frames of a camera, as they are read: their ages, by its clock."""

    def __init__(self, *, rate: int = RATE) -> None:
        self.clock, self.step_ns = StreamClock(), S // rate
        self.now_ns = START
        self.ages_ns: list[int] = []

    def comes(self, pts_s: float, *, after_ns: int | None = None, waited_ns: int | None = None):
        """The next frame is read; it was waited for all the time unless `waited_ns` says less."""
        after_ns = self.step_ns if after_ns is None else after_ns
        self.now_ns += after_ns
        pts_ns = round(pts_s * S)
        self.clock.arrived(
            pts_ns, self.now_ns, waited_ns=after_ns if waited_ns is None else waited_ns
        )
        self.ages_ns.append(self.now_ns - self.clock.captured_mono_ns(pts_ns, self.now_ns))

    @property
    def stale(self) -> list[int]:
        return [number for number, age_ns in enumerate(self.ages_ns) if age_ns > STALE_NS]


@pytest.mark.parametrize("rate", [1, 5, 30])
@pytest.mark.parametrize("pace", [0.1, 0.5, 0.8, 0.95, 1.05, 1.2, 10.0])
def test_frames_that_arrive_evenly_are_fresh_at_whatever_rate_their_clock_runs(rate, pace):
    line = Line(rate=rate)
    for number in range(30 * rate):
        line.comes(number * pace / rate)
    assert line.stale == []
    assert line.clock.trouble == f"its time stamps run at {100 * pace:.0f} % of the speed of time"
    assert line.clock.trouble in line.clock.take_news()


def test_a_clock_that_is_as_it_should_be_is_no_trouble():
    line = Line(rate=30)
    chance = random.Random(3)
    for number in range(3000):
        line.comes(number / 30 * 1.0001, after_ns=S // 30 + chance.randrange(-9 * MS, 9 * MS))
    assert line.stale == []
    assert line.clock.trouble == ""
    assert line.clock.take_news() == []


def test_a_clock_that_is_set_back_costs_no_frame_and_is_told():
    line = Line()
    for number in range(60):
        line.comes(number / RATE - (0.8 if number >= 25 else 0))
    assert line.stale == []
    assert line.clock.take_news() == ["its time stamps went back by 0.8 s"]
    assert line.clock.trouble == ""


def test_one_frame_that_is_stamped_ahead_costs_no_frame():
    line = Line()
    for number in range(60):
        line.comes(number / RATE + (0.7 if number == 25 else 0))
    assert line.stale == []


@pytest.mark.parametrize("rate", [5, 30])
def test_a_pause_that_the_stamps_do_not_know_of_is_over_within_a_second(rate):
    line = Line(rate=rate)
    for number in range(12 * rate):
        line.comes(number / rate, after_ns=round(1.2 * S) if number == 5 * rate else None)
    assert 5 * rate in line.stale, "it may have been held up"
    assert max(line.stale) < 6 * rate
    assert max(line.ages_ns[6 * rate :]) < 50 * MS
    assert len(line.clock.take_news()) == 1


@pytest.mark.parametrize("rate", [5, 30])
def test_a_backlog_after_a_stall_is_old_until_it_is_gone(rate):
    line = Line(rate=rate)
    stall = 2 * rate
    for number in range(5 * rate):
        line.comes(number / rate)
    for held in range(stall):  # the first comes after 2 s, the others at once
        after_ns = 2 * S if held == 0 else MS
        line.comes(
            (5 * rate + held) / rate, after_ns=after_ns, waited_ns=after_ns if held == 0 else 0
        )
    true_ages_ns = [2 * S - held * S // rate - S // rate for held in range(stall)]
    ages_ns = line.ages_ns[5 * rate :]
    assert all(abs(age - true) < 100 * MS for age, true in zip(ages_ns, true_ages_ns, strict=True))


def test_a_backlog_that_drains_through_a_slow_network_is_old_until_it_is_gone():
    line = Line(rate=30)
    for number in range(150):
        line.comes(number / 30)
    line.now_ns += 2 * S
    behind = []
    for number in range(150, 240):  # it catches up at twice the rate
        line.comes(number / 30, after_ns=S // 60)
        behind.append(2 * S - (number - 149) * S // 60)
    assert all(
        age > true - 150 * MS
        for age, true in zip(line.ages_ns[150:], behind, strict=True)
        if true > STALE_NS
    )


def test_frames_that_a_slow_reader_left_lying_grow_old():
    line = Line(rate=30)
    for number in range(60):
        line.comes(number / 30)
    for number in range(60, 260):  # 50 ms for each frame, which is there when it is asked for
        line.comes(number / 30, after_ns=50 * MS, waited_ns=0)
    assert line.ages_ns[-1] > 3 * S


@pytest.mark.parametrize("waits_each", [0, 100])
def test_a_reader_that_waits_for_no_packet_is_remembered_no_longer_than_another(waits_each):
    """It spends its time on pictures, and keeps up."""
    clock = StreamClock()
    for n in range(5000):
        arrival_ns = START + n * STEP
        is_waited = waits_each and n % waits_each == 0
        clock.arrived(n * STEP, arrival_ns, waited_ns=STEP if is_waited else STEP // 5)
        assert clock.captured_mono_ns(n * STEP, arrival_ns) == arrival_ns
    assert len(clock._window) < 200
