from inspector.sources.rtsp.clock import SenderClock

S = 1_000_000_000
STEP = 33_000_000


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
