"""What lies on the belt is followed from frame to frame, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.triggers.presence.on_belt import Changes, Span, Track, Way
from inspector.triggers.presence.tracks import Tracks

MS = 1_000_000
VIEW_PX, BORDER_PX, CELL_PX = 1280.0, 8.0, 4
Board = tuple[float, float]
"""Where it ends and begins, along the travel, before the belt moves."""


def seen(boards: Sequence[Board], moved_px: float) -> list[Span]:
    """The boards, as cells show them, of what is in view."""
    found = []
    for tail, lead in boards:
        low = max(0.0, (tail + moved_px) // CELL_PX * CELL_PX)
        high = min(VIEW_PX, (lead + moved_px) // CELL_PX * CELL_PX)
        if high - low >= CELL_PX:
            found.append(Span(start_px=low, end_px=high))
    return sorted(found, key=lambda span: span.start_px)


@st.composite
def boards_on_their_way(draw: st.DrawFn) -> tuple[Board, ...]:
    """One to five boards of one length, the foremost first, none in view yet."""
    length_px, at_px = draw(st.floats(200, 900)), 0.0
    boards = []
    for gap_px in draw(st.lists(st.floats(20, 500), min_size=1, max_size=5)):
        at_px -= gap_px
        boards.append((at_px - length_px, at_px))
        at_px -= length_px
    return tuple(boards)


stretches = st.lists(
    st.tuples(st.integers(1, 60), st.floats(0, 1), st.integers(0, 30)), min_size=1, max_size=6
)
"""How the belt goes: for so many frames, at this share of its speed, then so many frames still."""


class Ledger:
    """Everything that came and went."""

    def __init__(self) -> None:
        self.tracks = Tracks(length_px=VIEW_PX, border_px=BORDER_PX)
        self.came: list[Track] = []
        self.went: list[tuple[Track, Way]] = []

    def follow(self, at_ms: int, spans: Sequence[Span]) -> Changes:
        changes = self.tracks.follow(at_ms * MS, spans)
        assert not set(map(id, changes.new)) & set(map(id, self.came)), "it came before"
        self.came += changes.new
        self.went += changes.gone
        gone = [id(track) for track, _ in self.went]
        assert len(gone) == len(set(gone)), "it leaves once"
        there = {id(track) for track in self.tracks.all}
        assert {id(track) for track in self.came} == there | set(gone)
        assert there.isdisjoint(gone)
        leads = [track.lead for track in self.tracks.all]
        assert leads == sorted(leads, reverse=True), "the foremost first"
        return changes


@settings(max_examples=30)  # each is a whole passage
@given(
    boards=boards_on_their_way(),
    ways=stretches,
    speed_px=st.floats(3, 16),
    interval_ms=st.integers(20, 40),
)
def test_a_board_is_one_thing_from_border_to_border_however_the_belt_goes(
    boards, ways, speed_px, interval_ms
):
    ledger, moved_px, at_ms = Ledger(), 0.0, 0
    steps = [px for n, share, still in ways for px in n * [share * speed_px] + still * [0.0]]
    steps += [speed_px] * (round((VIEW_PX - boards[-1][0]) / speed_px) + 60)
    for step_px in steps:
        moved_px, at_ms = moved_px + step_px, at_ms + interval_ms
        spans = seen(boards, moved_px)
        ledger.follow(at_ms, spans)
        wholes = [track for track in ledger.tracks.all if ledger.tracks.is_whole(track)]
        for track in wholes:
            assert track.tail_px is not None
            nearest_px = min(abs(tail + moved_px - track.tail_px) for tail, _ in boards)
            assert nearest_px <= CELL_PX, "it lies where it is"
    assert [track for track, _ in ledger.went] == ledger.came, "they leave as they came"
    assert [way for _, way in ledger.went] == [Way.ONWARD] * len(boards)
    assert all(track.entered for track in ledger.came)


@given(boards=boards_on_their_way(), frames=st.integers(10, 60), speed_px=st.floats(3, 16))
def test_boards_that_come_in_and_go_back_leave_by_the_border_of_entry(boards, frames, speed_px):
    ledger, at_ms = Ledger(), 0
    ins = [speed_px * (n + 1) for n in range(frames)]
    for moved_px in [*ins, *reversed(ins), *([0.0] * 20)]:
        at_ms += 33
        ledger.follow(at_ms, seen(boards, moved_px))
    assert not ledger.tracks.all
    assert all(way is Way.BACK for _, way in ledger.went)


@given(tail_px=st.floats(130, 700), length_px=st.floats(60, 400), interval_ms=st.integers(10, 200))
def test_what_vanishes_from_a_standing_belt_was_taken_and_is_waited_for_half_a_second(
    tail_px, length_px, interval_ms
):
    ledger, at_ms = Ledger(), 0
    for _ in range(5):
        at_ms += interval_ms
        ledger.follow(at_ms, [Span(start_px=tail_px, end_px=tail_px + length_px)])
    seen_ms = at_ms
    while not ledger.went:
        assert at_ms <= seen_ms + 500
        at_ms += interval_ms
        ledger.follow(at_ms, [])
    assert at_ms > seen_ms + 500, "a hand in the light is not a unit that left"
    assert [way for _, way in ledger.went] == [Way.TAKEN]


@st.composite
def any_spans(draw: st.DrawFn) -> list[Span]:
    """Sorted, apart, anywhere."""
    ends = st.sampled_from([0, 4, round(VIEW_PX) - 4, round(VIEW_PX)])
    edges = sorted(draw(st.sets(ends | st.integers(0, round(VIEW_PX)), max_size=12)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [Span(start_px=float(a), end_px=float(b), cut=draw(st.booleans())) for a, b in pairs]


@given(st.lists(st.tuples(st.integers(0, 900), any_spans()), max_size=25))
def test_whatever_is_seen_whenever_nothing_is_lost_without_a_word_or_kept_for_ever(sights):
    ledger, at_ms = Ledger(), 0
    for number, (waited_ms, spans) in enumerate(sights):
        at_ms += waited_ms
        changes = ledger.follow(at_ms, spans)
        assert changes.blind == (waited_ms > 250 or number == 0)
        for track in changes.new:
            assert track.span is not None
            over_entry = track.span.start_px < BORDER_PX and track.lead_px is not None
            assert track.entered == (over_entry and not changes.blind)
        for track in ledger.tracks.all:
            assert at_ms * MS - track.seen_ns <= 500 * MS, "what is not seen was taken away"
            if track.span is not None:
                assert track.seen_ns == at_ms * MS
                edges = {edge for span in spans for edge in (span.start_px, span.end_px)}
                assert {track.span.start_px, track.span.end_px} <= edges
        large = [span for span in spans if span.end_px - span.start_px >= 0.02 * VIEW_PX]
        assert bool(large) <= any(track.seen_ns == at_ms * MS for track in ledger.tracks.all)
