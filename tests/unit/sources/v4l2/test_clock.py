import pytest

from inspector.sources.v4l2.clock import DriverClock

MS = 1_000_000
S = 1_000_000_000
START = 5_000 * S
STALE_NS = 400 * MS


def driver_ages(offset_s: float, *, pace: float = 1.0, rate: int = 30) -> list[int]:
    """Ages of frames of a local camera whose stamps are `offset_s` before they are read."""
    clock, now_ns, ages_ns = DriverClock(), START, []
    for number in range(10 * rate):
        now_ns += S // rate
        stamp_ns = START + round((number * pace / rate - offset_s) * S)
        captured_ns = clock.captured_mono_ns(stamp_ns, now_ns, waited_ns=S // rate)
        ages_ns.append(now_ns - captured_ns)
    return ages_ns


def test_a_drivers_stamps_are_believed_where_they_can_be_true():
    assert all(abs(age_ns - 63 * MS) < MS for age_ns in driver_ages(0.03))


@pytest.mark.parametrize("offset_s", [-5.0, 3.0, 20.0, 3600.0])
def test_a_drivers_stamps_that_cannot_be_true_make_no_frame_old(offset_s):
    assert max(driver_ages(offset_s)) < STALE_NS


@pytest.mark.parametrize("pace", [0.5, 0.9, 1.1])
def test_a_drivers_stamps_that_drift_away_make_no_frame_old(pace):
    assert max(driver_ages(0.0, pace=pace)) < 600 * MS
    assert driver_ages(0.0, pace=pace)[-1] < STALE_NS


def test_a_frame_that_lay_in_the_drivers_queue_is_as_old_as_it_is():
    clock, now_ns = DriverClock(), START
    for number in range(30):
        now_ns = START + number * S // 30
        clock.captured_mono_ns(now_ns - 5 * MS, now_ns, waited_ns=30 * MS)
    stamp_ns = now_ns + S // 30 - 5 * MS
    now_ns += 3 * S
    assert clock.captured_mono_ns(stamp_ns, now_ns, waited_ns=0) == stamp_ns


@pytest.mark.parametrize(
    ("stamp_ns", "due_ns"),
    [
        (99_990 * MS, 99_990 * MS),  # ten milliseconds ago on our clock
        (100 * S, 100 * S),
        (0, 100 * S),  # no time stamp
        (1_700_000_000 * S, 100 * S),  # the wall clock
        (100_001 * MS, 100 * S),  # in the future
        (60 * S, 100 * S),  # 40 s ago: some other clock
    ],
)
def test_a_missing_frame_was_due_when_its_stamp_says_if_that_is_our_clock(stamp_ns, due_ns):
    assert DriverClock().due_mono_ns(stamp_ns, 100 * S) == due_ns
