from hypothesis import given
from hypothesis import strategies as st

from inspector.capture.stream_clock import SenderClock, StreamClock

MS = 1_000_000
S = 1_000_000_000
STEP = 33 * MS
START = 5_000 * S


def test_the_fastest_frame_of_a_steady_stream_has_no_age():
    clock = StreamClock()
    assert clock.captured_mono_ns(0, START) == START
    assert clock.captured_mono_ns(STEP, START + STEP) == START + STEP


def test_a_frame_delayed_by_the_network_was_captured_earlier():
    clock = StreamClock(leak_ppm=0)
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
    clock = StreamClock(leak_ppm=0)
    for n in range(30):  # a second of stream, all at once
        clock.arrived(n * STEP, START)
    clock.arrived(30 * STEP, START + STEP)
    assert clock.captured_mono_ns(0, START + STEP) == START - 29 * STEP


def test_a_camera_clock_slower_than_ours_is_followed():
    clock = StreamClock(leak_ppm=500)
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
    clock = StreamClock(leak_ppm=0)
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
        # 30 s is the limit, the leak over one wait comes on top.
        assert now_ns - 31 * S <= captured_ns <= now_ns


def test_the_cameras_wall_clock_is_used_when_it_is_close_to_ours():
    sender = SenderClock()
    sender.reported(10 * STEP, 1_000 * S)
    assert sender.captured_unix_ns(11 * STEP, ours_unix_ns=1_003 * S) == 1_000 * S + STEP


def test_a_camera_that_was_never_set_gets_our_clock():
    sender = SenderClock()
    sender.reported(0, 7 * S)  # it thinks it is 1970
    assert sender.captured_unix_ns(STEP, ours_unix_ns=1_700_000_000 * S) == 1_700_000_000 * S


def test_without_a_report_or_with_an_old_one_our_clock_counts():
    sender = SenderClock()
    assert sender.captured_unix_ns(STEP, ours_unix_ns=5 * S) == 5 * S
    sender.reported(0, 5 * S)
    assert sender.captured_unix_ns(61 * S, ours_unix_ns=67 * S) == 67 * S
    assert sender.captured_unix_ns(None, ours_unix_ns=6 * S) == 6 * S
