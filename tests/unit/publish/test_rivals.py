from hypothesis import given
from hypothesis import strategies as st

from inspector.publish.rivals import MEETINGS, WITHIN_S, Rivals


def met_at(*times_s: float) -> Rivals:
    rivals = Rivals()
    for time_s in times_s:
        rivals.met(time_s)
    return rivals


def test_a_stream_that_a_new_journal_finds_is_no_rival() -> None:
    assert not Rivals().are_about(0)
    assert not met_at(*[5.0] * (MEETINGS - 1)).are_about(5)


def test_who_stops_writing_is_forgotten() -> None:
    rivals = met_at(1, 2, 3)
    assert rivals.are_about(3)
    assert rivals.are_about(1 + WITHIN_S)
    assert not rivals.are_about(2 + WITHIN_S)


@given(
    st.lists(st.floats(0, 10 * WITHIN_S), max_size=20).map(sorted),
    st.floats(0, 2 * WITHIN_S),
)
def test_a_rival_is_who_was_met_so_often_of_late(times_s: list[float], later_s: float) -> None:
    now_s = (times_s[-1] if times_s else 0) + later_s
    of_late = [t for t in times_s if now_s - t <= WITHIN_S]
    assert met_at(*times_s).are_about(now_s) == (len(of_late) >= MEETINGS)
