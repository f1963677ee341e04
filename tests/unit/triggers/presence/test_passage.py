"""Which frames of a unit are inspected, whatever the pace of the camera and of the belt."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.triggers.presence.passage import HOLD_NS, Passage

MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A frame that was inspected."""

    seen_ms: int
    sent_ms: int
    first_ms: int
    """When one was at hand first, that it may have taken the place of."""
    sharpness: float


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A unit fully in view, under a camera of steady pace."""

    frames: int
    interval_ms: int
    spread_ms: int
    stay_ms: int
    """How long; the frames come within it."""
    stands: bool
    sharpness: tuple[float, ...]
    """Frame after frame, again and again."""

    def run(self) -> list[Sent]:
        opened_ms = 1_000_000
        unit = Passage(
            number=0,
            opened_ns=opened_ms * MS,
            frames=self.frames,
            spread_ns=self.spread_ms * MS,
        )
        sent, first_ms, kept = [], 0, (0, 0.0)
        for number in range(self.stay_ms // self.interval_ms + 1):
            at_ms = number * self.interval_ms
            sharpness = self.sharpness[number % len(self.sharpness)]
            now_ns = (opened_ms + at_ms) * MS
            left_ns = None if self.stands else (self.stay_ms - at_ms) * MS
            if unit.wants(now_ns, sharpness, left_ns):
                first_ms = first_ms if unit.holds else at_ms
                unit.keep(now_ns, sharpness, left_ns)
                kept = (at_ms, sharpness)
            if unit.is_time(now_ns, self.interval_ms * MS):
                unit.send()
                sent.append(
                    Sent(seen_ms=kept[0], sent_ms=at_ms, first_ms=first_ms, sharpness=kept[1])
                )
        assert unit.taken == len(sent)
        return sent


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    frames, interval_ms = draw(st.integers(1, 6)), draw(st.integers(8, 40))
    needed_ms = frames * interval_ms
    return Visit(
        frames=frames,
        interval_ms=interval_ms,
        spread_ms=draw(st.integers(max(needed_ms, 150), 2000)),
        stay_ms=draw(st.integers(needed_ms, 3000)),
        stands=draw(st.booleans()),
        sharpness=tuple(draw(st.lists(st.floats(0, 100), min_size=1, max_size=30))),
    )


@given(visits())
def test_a_unit_that_is_there_long_enough_gets_all_its_frames_and_no_more(visit):
    sent = visit.run()
    in_time = visit.stay_ms >= visit.spread_ms or not visit.stands
    assert len(sent) <= visit.frames
    assert not in_time or len(sent) == visit.frames
    assert len({one.seen_ms for one in sent}) == len(sent), "a frame counts once"
    assert all(one.sent_ms <= visit.spread_ms for one in sent)


@given(visits())
def test_no_frame_waits_so_long_for_a_sharper_one_that_it_is_stale(visit):
    for one in visit.run():
        assert one.first_ms <= one.seen_ms <= one.sent_ms
        assert (one.sent_ms - one.first_ms) * MS <= HOLD_NS


@given(visits())
def test_of_the_frames_that_could_be_waited_for_the_sharpest_is_inspected(visit):
    for one in visit.run():
        numbers = range(one.first_ms // visit.interval_ms, one.sent_ms // visit.interval_ms + 1)
        seen = [visit.sharpness[number % len(visit.sharpness)] for number in numbers]
        assert one.sharpness == max(seen)


@given(visits())
def test_the_frames_of_a_standing_unit_are_spread_over_the_time_that_is_asked_for(visit):
    sent = visit.run()
    if visit.stands and len(sent) == visit.frames > 1:
        spread_ms = sent[-1].sent_ms - sent[0].seen_ms
        assert spread_ms >= visit.spread_ms - HOLD_NS / MS - 2 * visit.interval_ms


def test_without_a_frame_at_hand_none_can_be_sent():
    unit = Passage(number=7, opened_ns=0, frames=1, spread_ns=MS)
    with pytest.raises(RuntimeError, match="unit 7 has no frame at hand"):
        unit.send()
