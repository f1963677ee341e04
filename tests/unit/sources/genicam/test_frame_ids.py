from hypothesis import given
from hypothesis import strategies as st

from inspector.sources.genicam.frame_ids import FrameIds


def test_numbers_one_by_one_have_no_gap():
    ids = FrameIds()
    assert [ids.missing_before(n, n * 10) for n in (1, 2, 3)] == [[], [], []]


def test_a_gap_is_as_many_frames_spread_over_its_time():
    ids = FrameIds()
    ids.missing_before(5, 1000)
    assert ids.missing_before(9, 1400) == [1100, 1200, 1300]


def test_sixteen_bits_go_from_65535_to_1():
    ids = FrameIds()
    ids.missing_before(65535, 0)
    assert ids.missing_before(1, 10) == []
    ids = FrameIds()
    ids.missing_before(65534, 0)
    assert ids.missing_before(2, 30) == [10, 20]


def test_a_camera_that_begins_again_lost_nothing():
    ids = FrameIds()
    ids.missing_before(700, 0)
    assert ids.missing_before(1, 10) == []
    assert ids.missing_before(2, 20) == []


@given(st.integers(1, 1 << 40), st.lists(st.booleans(), min_size=1, max_size=300), st.booleans())
def test_every_number_that_did_not_come_is_counted(first, comes, is_short):
    """The first and the last come; what lies between is dropped at random."""

    def number(n: int) -> int:
        return int((first + n - 1) % 65535 + 1 if is_short else first + n)

    ids = FrameIds()
    ids.missing_before(number(0), 0)
    missing = 0
    for n, is_there in enumerate([*comes, True], start=1):
        if is_there:
            missing += len(ids.missing_before(number(n), n))
    assert missing == comes.count(False)
