from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.core.records import Doubt, MissReason
from inspector.triggers.presence.on_belt import Sight, Span
from inspector.triggers.presence.orders import Close, Count, Keep, Open, Send
from inspector.triggers.presence.units import FRAMES_HELD, Presence

MS = 1_000_000
VIEW_PX = 1280.0
CELL_PX = 4


@dataclass
class Line:
    """Boards on a belt under a camera, and what the barrier made of them."""

    boards: Sequence[tuple[float, float]]
    """Start (negative: not in yet) and length of each, along the travel, the first foremost."""
    frames: int = 3
    spread_ms: int = 800
    speed_px_per_s: float = 0.0
    interval_ms: int = 33
    sharp: Callable[[int], float] = lambda _frame: 1.0
    moved_px: float = 0.0
    now_ms: int = 0
    frame: int = 0
    opened: dict[int, float] = field(default_factory=dict)
    """By unit: how far the belt had moved."""
    opened_ms: dict[int, int] = field(default_factory=dict)
    closed: dict[int, tuple[int, MissReason | None, str]] = field(default_factory=dict)
    sent: dict[int, list[int]] = field(default_factory=dict)
    """By unit: the frames inspected."""
    doubts: Counter[Doubt] = field(default_factory=Counter)
    kept: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.presence = Presence(
            length_px=VIEW_PX,
            frames=self.frames,
            spread_ns=self.spread_ms * MS,
            speed_px_per_s=self.speed_px_per_s,
        )

    def spans(self) -> list[Span]:
        found = []
        for start, length in self.boards:
            low, high = start + self.moved_px, start + length + self.moved_px
            low, high = max(0.0, low // CELL_PX * CELL_PX), min(VIEW_PX, high // CELL_PX * CELL_PX)
            if high - low >= CELL_PX:
                sharpness = self.sharp(self.frame)
                found.append(Span(start_px=low, end_px=high, sharpness=sharpness))
        return sorted(found, key=lambda span: span.start_px)

    def run(self, frames: int, step_px: float = 12.0, *, lit: bool = True) -> Line:
        for _ in range(frames):
            self.frame += 1
            self.now_ms += self.interval_ms
            self.moved_px += step_px
            spans = tuple(self.spans()) if lit else None
            sight = Sight(at_ns=self.now_ms * MS, spans=spans)
            self.take(self.presence.see(sight))
        return self

    def wait(self, milliseconds: int, moved_px: float = 0.0) -> Line:
        self.now_ms += milliseconds
        self.moved_px += moved_px
        return self

    def interrupt(self, reason: MissReason = MissReason.CAMERA_LOST) -> Line:
        self.take(self.presence.interrupted(self.now_ms * MS, reason, "gone"))
        return self

    def take(self, actions: Sequence[object]) -> None:
        assert sum(isinstance(action, Keep) for action in actions) <= 1, "a frame serves one unit"
        for action in actions:
            match action:
                case Open(number):
                    assert number == len(self.opened), "units are numbered in order"
                    self.opened[number] = self.moved_px
                    self.opened_ms[number] = self.now_ms
                case Keep(number):
                    assert number in self.opened
                    assert number not in self.closed
                    self.kept[number] = self.frame
                case Send(number):
                    self.sent.setdefault(number, []).append(self.kept.pop(number))
                case Close(number, miss, detail):
                    assert number in self.opened
                    assert number not in self.closed, "closed once"
                    self.closed[number] = (self.now_ms, miss, detail)
                    assert number not in self.kept
                case Count(doubt):
                    self.doubts[doubt] += 1
        assert len(self.kept) <= FRAMES_HELD
        used = [frame for frames in self.sent.values() for frame in frames]
        used += self.kept.values()
        assert len(used) == len(set(used)), "a frame serves one unit"

    def misses(self) -> list[MissReason | None]:
        return [self.closed[number][1] for number in sorted(self.closed)]


GOOD = [None]


def test_a_board_that_passes_is_one_unit_with_its_frames_spread_over_its_passage() -> None:
    line = Line(boards=[(-700, 600)]).run(200)
    assert line.misses() == GOOD
    assert len(line.sent[0]) == 3
    assert 700 <= line.opened[0] <= 730
    first, last = line.sent[0][0], line.sent[0][-1]
    assert 15 <= last - first <= 26, "spread over 0.8 s at 30 frames/s"


def test_an_empty_belt_is_nothing() -> None:
    line = Line(boards=[]).run(500)
    assert not line.opened
    assert not line.kept


def test_two_boards_close_together_are_two_units_in_order() -> None:
    line = Line(boards=[(-700, 600), (-1316, 600), (-1932, 600)]).run(330)
    assert line.misses() == GOOD * 3
    assert [len(line.sent[number]) for number in range(3)] == [3, 3, 3]


def test_a_board_that_stops_and_goes_on_is_one_unit() -> None:
    line = Line(boards=[(-700, 600)]).run(75).run(60, 0.0).run(120)
    assert line.misses() == GOOD


def test_a_belt_that_stops_for_a_minute_changes_nothing() -> None:
    line = Line(boards=[(-700, 600), (-1500, 600)]).run(60).run(1800, 0.0).run(200)
    assert line.misses() == GOOD * 2


def test_a_standing_unit_gets_its_frames_by_time() -> None:
    line = Line(boards=[(-700, 600)]).run(62).run(40, 0.0)
    assert line.misses() == GOOD
    assert len(line.sent[0]) == 3
    assert line.closed[0][0] - line.opened_ms[0] <= 1000


def test_a_board_that_enters_and_goes_back_is_one_unit() -> None:
    line = Line(boards=[(-700, 600)]).run(40).run(45, -12.0).run(200)
    assert line.misses() == GOOD


def test_a_judged_board_that_goes_back_out_and_comes_again_is_no_second_unit() -> None:
    line = Line(boards=[(-700, 600)]).run(90).run(100, -12.0)
    assert line.misses() == GOOD
    line.run(220)
    assert line.misses() == GOOD


def test_a_board_that_comes_later_in_place_of_one_that_went_back_is_a_unit() -> None:
    line = Line(boards=[(-700, 600)]).run(90).run(100, -12.0).wait(30_000).run(220)
    assert line.misses() == GOOD * 2


def test_a_board_of_another_size_in_place_of_one_that_went_back_is_a_unit() -> None:
    line = Line(boards=[(-700, 600)]).run(90).run(100, -12.0)
    line.boards = [(-700, 400)]
    line.run(220)
    assert line.misses() == GOOD * 2


def test_a_board_that_comes_back_over_the_border_it_left_by_is_no_second_unit() -> None:
    line = Line(boards=[(-700, 600)]).run(175).run(60, -12.0).run(100)
    assert line.misses() == GOOD


def test_a_board_in_view_at_the_start_is_a_unit() -> None:
    line = Line(boards=[(300, 600), (-500, 600)]).run(200)
    assert line.misses() == GOOD * 2
    assert line.opened_ms[0] <= 200


def test_a_board_that_was_already_leaving_at_the_start_is_never_called_good() -> None:
    line = Line(boards=[(900, 600), (0, 600)]).run(200)
    assert line.misses() == [MissReason.NO_FRAME, None]
    assert "never fully in view" in line.closed[0][2]


def test_a_board_longer_than_the_view_is_one_unit_and_never_called_good() -> None:
    line = Line(boards=[(-1500, 1400)]).run(400)
    assert line.misses() == [MissReason.NO_FRAME]
    assert not line.sent


def test_a_board_beyond_the_side_of_the_view_is_one_unit_and_never_called_good() -> None:
    line = Line(boards=[(-700, 600)])
    whole = line.spans
    line.spans = lambda: [  # type: ignore[method-assign]
        Span(start_px=s.start_px, end_px=s.end_px, cut=True) for s in whole()
    ]
    line.run(220)
    assert line.misses() == [MissReason.NO_FRAME]


def test_lights_that_fail_for_two_seconds_lose_no_board_and_make_none() -> None:
    for dark_from in range(20, 160, 10):
        line = Line(boards=[(-700, 600), (-1600, 600)])
        line.run(dark_from).run(60, lit=False).run(300 - dark_from)
        assert len(line.opened) == 2, f"dark from frame {dark_from}"
        assert len(line.closed) == 2


def test_lights_and_belt_that_fail_together_lose_no_board_and_make_none() -> None:
    for dark_from in range(20, 160, 10):
        line = Line(boards=[(-700, 600), (-1600, 600)])
        line.run(dark_from).run(60, 0.0, lit=False).run(300)
        assert len(line.opened) == 2, f"dark from frame {dark_from}"
        assert len(line.closed) == 2


def test_a_camera_that_is_lost_closes_every_unit_in_view_for_that_reason() -> None:
    line = Line(boards=[(-700, 600), (-1320, 600)]).run(72)
    line.interrupt()
    assert line.misses() == [MissReason.CAMERA_LOST] * 2


def test_units_that_an_interruption_closed_get_no_second_verdict() -> None:
    for at in range(10, 170, 8):
        line = Line(boards=[(-700, 600), (-1600, 600)]).run(at).interrupt()
        line.wait(1000, 12 * 30).run(300)
        assert len(line.opened) == 2, f"lost at frame {at}"
        assert len(line.closed) == 2


def test_a_belt_that_stops_while_frames_are_skipped_makes_no_second_unit() -> None:
    for moved_px in range(0, 400, 40):
        for at in (65, 80, 110):
            line = Line(boards=[(-700, 600), (-1600, 600)]).run(at)
            line.wait(1000, moved_px).run(300)
            assert len(line.opened) == 2, f"moved {moved_px} px in the second after frame {at}"


def test_the_sharpest_frame_of_each_part_is_taken() -> None:
    sharp = {70, 84, 93}
    line = Line(boards=[(-700, 600)], sharp=lambda frame: 9.0 if frame in sharp else 1.0)
    line.run(200)
    assert line.misses() == GOOD
    assert len(sharp & set(line.sent[0])) >= 1


def test_frames_that_were_missed_while_a_unit_lacked_them_are_the_reason() -> None:
    line = Line(boards=[(-700, 600)]).run(62)
    line.presence.missed(MissReason.NO_BUFFER)
    line.wait(1600, 12 * 48).run(40)
    assert line.misses() == [MissReason.NO_BUFFER]
    assert "of 3 frames" in line.closed[0][2]


def test_a_board_too_fast_for_its_frames_closes_short() -> None:
    line = Line(boards=[(-2000, 1200)]).run(80, 60.0)
    assert line.misses() == [MissReason.NO_FRAME]
    assert "1 of 3" in line.closed[0][2] or "2 of 3" in line.closed[0][2]


def test_a_slow_camera_still_gets_its_frames() -> None:
    line = Line(boards=[(-700, 600)], interval_ms=200).run(60, 40.0)
    assert line.misses() == GOOD


def test_dirt_is_no_unit() -> None:
    line = Line(boards=[(-700, 40)]).run(200)
    assert not line.opened


def test_a_board_taken_away_by_hand_is_closed() -> None:
    line = Line(boards=[(-700, 600)]).run(60)
    line.boards = []
    line.run(60, 0.0)
    assert line.misses() == [MissReason.NO_FRAME]


def test_a_line_where_all_is_well_counts_no_doubt() -> None:
    line = Line(boards=[(-700, 600), (-1316, 600)]).run(60).run(50, 0.0).run(200)
    assert line.misses() == GOOD * 2
    assert not line.doubts


def test_what_came_in_in_part_and_vanished_is_counted() -> None:
    line = Line(boards=[(-700, 600)]).run(40)
    line.boards = []
    line.run(60, 0.0)
    assert not line.opened
    assert line.doubts == {Doubt.VANISHED: 1}


def test_what_came_in_in_part_and_went_back_is_counted() -> None:
    line = Line(boards=[(-700, 600)]).run(40).run(45, -12.0)
    assert not line.opened
    assert line.doubts == {Doubt.WENT_BACK: 1}


def test_what_was_gone_before_anybody_could_be_sure_is_counted() -> None:
    line = Line(boards=[(1190, 600)]).run(1).run(60, 200.0)
    assert not line.opened
    assert line.doubts == {Doubt.UNCONFIRMED: 1}


def test_what_appears_where_units_go_out_is_counted() -> None:
    line = Line(boards=[(-700, 600)]).run(200)
    line.boards = [(1100 - line.moved_px, 600)]
    line.run(30)
    assert line.misses() == GOOD
    assert line.doubts == {Doubt.AT_EXIT: 1}


def test_what_is_gone_while_something_is_elsewhere_is_counted() -> None:
    line = Line(boards=[(-300, 200)]).run(40)
    assert line.misses() == []
    line.boards = [(800 - line.moved_px, 200)]
    line.run(1)
    assert line.doubts == {Doubt.JUMPED: 1}


@pytest.mark.parametrize(("wait_ms", "counted"), [(3_000, 0), (30_000, 1)])
def test_a_time_in_which_the_whole_view_may_have_gone_by_is_counted(
    wait_ms: int, counted: int
) -> None:
    line = Line(boards=[(-700, 600)]).run(200).wait(wait_ms).run(10)
    assert line.doubts[Doubt.UNSEEN] == counted


def test_a_dirt_that_goes_by_is_not_counted() -> None:
    assert not Line(boards=[(-700, 40)]).run(200).doubts


def test_small_boards_many_in_view_are_each_a_unit() -> None:
    boards = [(-200.0 - 170 * n, 150.0) for n in range(12)]
    line = Line(boards=boards).run(400)
    assert len(line.opened) == 12
    assert line.misses().count(None) == 12


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_board_gets_exactly_one_verdict_however_the_belt_moves(seed: int) -> None:
    rng = random.Random(seed)
    length = rng.uniform(200, 900)
    gaps = [rng.uniform(16, 500) for _ in range(4)]
    start, boards = -rng.uniform(20, 500), []
    for gap in gaps:
        start -= length
        boards.append((start, length))
        start -= gap
    line = Line(boards=boards, interval_ms=rng.choice((20, 33, 40)))
    speed = rng.uniform(3, 16)
    for _ in range(rng.randint(1, 6)):
        line.run(rng.randint(5, 120), speed)
        line.run(rng.randint(0, 60), 0.0)
        if rng.random() < 0.3:
            line.run(rng.randint(1, 30), -speed)
    line.run(round((-start + VIEW_PX - line.moved_px) / speed) + 60, speed)
    assert len(line.opened) == 4
    assert sorted(line.closed) == [0, 1, 2, 3]
    counts = Counter(len(line.sent.get(number, ())) for number in range(4))
    complete = [number for number in range(4) if line.closed[number][1] is None]
    assert all(len(line.sent[number]) == 3 for number in complete)
    assert counts[3] >= len(complete)
