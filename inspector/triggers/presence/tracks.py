"""Follows the things on the belt from frame to frame: pure arithmetic on intervals.

It uses one axis only, along the travel: 0 is the border where units come in, `length_px` the border
where they go out. Everything on a belt moves together, so each frame has one displacement: the one
under which most edges seen before are seen again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inspector.triggers.presence.on_belt import Changes, Span, Track, Way

_NS_PER_S = 1_000_000_000
BLIND_NS = 250_000_000
"""After this long without a sight, the belt may have changed its movement."""
_LOST_NS = 500_000_000
"""A unit that is not seen in lit pictures for this long was taken away."""
_EDGE_REACH = 0.03
_GATE = 0.04
"""Shares of the view: how far an edge may be from its expected place; how far a belt may jerk."""
_FIRST_MOVE = 0.45
"""The largest share of the view that units move from the first frame to the second."""
_SHORT_WAY = 0.35
"""Share of the view: less than from one unit to the same place of the next, nearly always."""
_SPECK = 0.02
"""As a share of the view: a shorter thing that is completely in view is dirt."""
_SPEED_MEMORY_S, _CRUISE_MEMORY_S = 0.15, 1.0
_SLOWEST, _FASTEST = 0.6, 1.3
"""The share of its way that a belt may have moved while unobserved, unless it stood still."""


class Tracks:
    """All things in view, the foremost first."""

    def __init__(self, *, length_px: float, border_px: float, speed_px_per_s: float = 0.0) -> None:
        """Takes the view's length, the width of the borders, and the speed, 0 if unknown."""
        self.length_px = length_px
        self.border_px = border_px
        self.all: list[Track] = []
        self.speed_px_per_s = self.cruise_px_per_s = speed_px_per_s
        """The speed now; and the usual one while the belt runs, for times without frames."""
        self._speed_is_set = self._has_moved = speed_px_per_s > 0
        self._at_ns: int | None = None

    def follow(self, at_ns: int, spans: Sequence[Span], moved_px: float | None = None) -> Changes:
        """Bring every track to `at_ns`; the spans are sorted and do not overlap.

        `moved_px`: how far the belt moved, if that was measured; otherwise the edges show it.
        """
        spans = [span for span in spans if self._is_something(span)]
        interval_ns = BLIND_NS + 1 if self._at_ns is None else at_ns - self._at_ns
        is_first, self._at_ns = self._at_ns is None, at_ns
        blind = interval_ns > BLIND_NS
        surely = moved_px is not None and not blind
        if moved_px is None or blind:
            moved_px, surely = self._displacement(interval_ns / _NS_PER_S, spans, blind=blind)
        if surely and not blind and interval_ns > 0:
            self._learn_speed(moved_px, interval_ns / _NS_PER_S)
        for track in self.all:
            track.move(moved_px)
        unclaimed = self._claim(at_ns, spans)
        gone = tuple(self._gone(at_ns, blind=blind))
        left = [track for track, _ in gone]
        jumped = 0 if blind else self._jumped(at_ns, unclaimed, left)
        self.all = [track for track in self.all if track not in left]
        new = tuple(self._begin(at_ns, span, blind=blind) for span in unclaimed)
        self.all = sorted((*self.all, *new), key=lambda track: (-track.lead, -track.tail))
        unseen_px = self.cruise_px_per_s * interval_ns / _NS_PER_S
        missed_view = blind and not is_first and unseen_px >= self.length_px
        return Changes(new=new, gone=gone, blind=blind, jumped=jumped, missed_view=missed_view)

    def _jumped(self, at_ns: int, unclaimed: Sequence[Span], left: list[Track]) -> int:
        inside = sum(all(self.shows(span)) for span in unclaimed)
        lost = sum(
            track.seen_ns != at_ns and track.was_seen and track not in left for track in self.all
        )
        return min(inside, lost)

    def shows(self, span: Span) -> tuple[bool, bool]:
        """Whether its start and its end are in view and not at the border."""
        return (
            span.start_px >= self.border_px,
            span.end_px <= self.length_px - self.border_px,
        )

    def _is_something(self, span: Span) -> bool:
        """Whether it is not dirt: large enough, or perhaps part of something large."""
        is_large = span.end_px - span.start_px >= _SPECK * self.length_px
        return is_large or not all(self.shows(span))

    def is_whole(self, track: Track) -> bool:
        """Whether it is fully in view, with margin."""
        return track.span is not None and not track.span.cut and all(self.shows(track.span))

    def _displacement(
        self, interval_s: float, spans: Sequence[Span], *, blind: bool
    ) -> tuple[float, bool]:
        """How far the belt moved, and whether edges show it."""
        expected_px = self.speed_px_per_s * interval_s
        starts = [span.start_px for span in spans if self.shows(span)[0]]
        ends = [span.end_px for span in spans if self.shows(span)[1]]
        pairs = [
            (at, edges)
            for track in self.all
            for at, edges in ((track.tail_px, starts), (track.lead_px, ends))
            if at is not None and edges
        ]
        reach_px = _EDGE_REACH * self.length_px
        best_px, best = expected_px, -1.0
        moves = {edge - at for at, edges in pairs for edge in edges}
        # Boards at equal distances fit in more ways than one: the most plausible goes first.
        for moved_px in (expected_px, *sorted(moves, key=lambda move: abs(move - expected_px))):
            far = self._implausible(moved_px, expected_px, interval_s, blind=blind)
            if far > 1:
                continue
            score = -far / 2
            for at, edges in pairs:
                nearest_px = min(abs(at + moved_px - edge) for edge in edges)
                score += max(0.0, 1 - nearest_px / reach_px)
            if score > best:
                best_px, best = moved_px, score
        return best_px, best > 0.4  # noqa: PLR2004 - one edge, near where it was expected

    def _implausible(
        self, moved_px: float, expected_px: float, interval_s: float, *, blind: bool
    ) -> float:
        """0 as expected, 1 just possible, more than 1 not possible."""
        cruise_px = max(self.cruise_px_per_s, abs(self.speed_px_per_s)) * interval_s
        gate_px = _GATE * self.length_px
        if not blind:
            if not self._has_moved:  # the speed of this belt is not yet known
                return abs(moved_px) / (_FIRST_MOVE * self.length_px)
            return abs(moved_px - expected_px) / (gate_px + 0.6 * cruise_px)
        if abs(moved_px) <= gate_px / 4:
            return 0.5
        # If it cannot be another unit that moved as far, it may also have stopped meanwhile.
        stood = self.speed_px_per_s < self.cruise_px_per_s / 4
        may_stop = stood or cruise_px < _SHORT_WAY * self.length_px
        slowest_px = 0.0 if may_stop else _SLOWEST * cruise_px
        fastest_px = _FASTEST * cruise_px if cruise_px else self.length_px
        inside = slowest_px - gate_px <= moved_px <= fastest_px + gate_px
        if not inside:
            return 2.0
        return min(1.0, abs(moved_px - expected_px) / (gate_px + 0.4 * cruise_px))

    def _learn_speed(self, moved_px: float, interval_s: float) -> None:
        speed = moved_px / interval_s
        if not self._has_moved and moved_px:
            self.speed_px_per_s, self._has_moved = speed, True
        share = min(1.0, interval_s / _SPEED_MEMORY_S)
        self.speed_px_per_s += (speed - self.speed_px_per_s) * share
        if self._speed_is_set or self.speed_px_per_s <= self.cruise_px_per_s / 2:
            return
        share = min(1.0, interval_s / _CRUISE_MEMORY_S) if self.cruise_px_per_s else 1.0
        self.cruise_px_per_s += (self.speed_px_per_s - self.cruise_px_per_s) * share

    def _claim(self, at_ns: int, spans: Sequence[Span]) -> list[Span]:
        """Assign what is seen to the tracks; returns spans that belong to none."""
        claims = {id(track): self._claimed(track, spans) for track in self.all}
        claimants: dict[int, list[Track]] = {}
        for track in self.all:
            for span in claims[id(track)]:
                claimants.setdefault(id(span), []).append(track)
        for track in self.all:
            mine = claims[id(track)]
            track.was_seen, track.span = track.span is not None, None
            if mine:
                first, last = claimants[id(mine[0])], claimants[id(mine[-1])]
                self._see(track, mine, behind=first[-1] is not track, ahead=last[0] is not track)
                track.seen_ns = at_ns
        return [span for span in spans if id(span) not in claimants]

    def _claimed(self, track: Track, spans: Sequence[Span]) -> list[Span]:
        """The spans, in order, that lie where the track is expected."""
        low, high = max(track.tail, 0.0), min(track.lead, self.length_px)
        reach_px = 2 * _EDGE_REACH * self.length_px
        over = [
            span
            for span in spans
            if min(span.end_px, high) - max(span.start_px, low)
            >= 0.5 * min(span.end_px - span.start_px, max(high - low, 1.0))
            or (
                span.start_px >= low - reach_px
                and span.end_px <= high + reach_px
                and high - low <= reach_px
            )
        ]
        if len(over) > 1 and track.tail_px is None:  # the one behind it is another
            near = [span for span in over if abs(span.end_px - high) <= reach_px]
            return [max(near or over, key=lambda span: span.end_px - span.start_px)]
        if len(over) > 1 and track.lead_px is None:
            near = [span for span in over if abs(span.start_px - low) <= reach_px]
            return [max(near or over, key=lambda span: span.end_px - span.start_px)]
        return over

    def _see(self, track: Track, spans: list[Span], *, behind: bool, ahead: bool) -> None:
        """Place the track where it is seen; parts that another hides are calculated."""
        start_px, end_px = spans[0].start_px, spans[-1].end_px
        starts = start_px >= self.border_px and not behind
        ends = end_px <= self.length_px - self.border_px and not ahead
        track.sights += 1
        if starts and ends:
            track.length_px = end_px - start_px
            track.tail_px, track.lead_px = start_px, end_px
        elif starts:
            track.tail_px = start_px
            track.lead_px = self._reckoned_lead(track, ahead=ahead)
        elif ends:
            track.lead_px = end_px
            if not behind:
                known = track.length_px is not None
                track.tail_px = min(end_px - (track.length_px or 0), 0.0) if known else None
        if not behind and not ahead:
            track.span = Span(
                start_px=start_px,
                end_px=end_px,
                sharpness=max(span.sharpness for span in spans),
                cut=any(span.cut for span in spans),
            )
            track.longest_px = max(track.longest_px, end_px - start_px)
        if track.first is not None:
            if starts and self.shows(track.first)[0]:
                track.way_px = max(track.way_px, abs(start_px - track.first.start_px))
            if ends and self.shows(track.first)[1]:
                track.way_px = max(track.way_px, abs(end_px - track.first.end_px))
        over_both = start_px < self.border_px and end_px > self.length_px - self.border_px
        track.spanning = track.spanning + 1 if over_both else 0

    def _reckoned_lead(self, track: Track, *, ahead: bool) -> float | None:
        if ahead:
            return track.lead_px
        if track.length_px is not None and track.tail_px is not None:
            return max(track.tail_px + track.length_px, self.length_px)
        return None if track.lead_px is None else max(track.lead_px, self.length_px)

    def _gone(self, at_ns: int, *, blind: bool) -> Iterator[tuple[Track, Way]]:
        for index, track in enumerate(self.all):
            if track.passage is None and any(
                self._is_same(track, other)
                for number, other in enumerate(self.all)
                if number != index and (other.passage is not None or number < index)
            ):
                yield track, Way.MERGED
                continue
            if track.seen_ns == at_ns:
                continue
            if track.tail >= self.length_px - self.border_px:
                yield track, Way.ONWARD
            elif track.lead <= self.border_px:
                yield track, Way.BACK
            elif blind or at_ns - track.seen_ns > _LOST_NS:
                yield track, self._way_of_the_lost(track, blind=blind)

    def _is_same(self, track: Track, other: Track) -> bool:
        """Merge two things that are seen as one."""
        reach_px = _EDGE_REACH * self.length_px
        if track.seen_ns != other.seen_ns or track.seen_ns != self._at_ns:
            return False
        ends = ((track.tail_px, other.tail_px), (track.lead_px, other.lead_px))
        return all(
            (a is None and b is None)
            or (a is not None and b is not None and abs(a - b) <= reach_px)
            for a, b in ends
        )

    def _way_of_the_lost(self, track: Track, *, blind: bool) -> Way:
        """The way it left the view, by the border nearest to its expected place."""
        if blind:
            return Way.TAKEN
        if track.lead < self.length_px / 10:
            return Way.BACK
        return Way.ONWARD if track.tail > self.length_px * 0.9 else Way.TAKEN

    def _begin(self, at_ns: int, span: Span, *, blind: bool) -> Track:
        starts, ends = self.shows(span)
        return Track(
            tail_px=span.start_px if starts else None,
            lead_px=span.end_px if ends else None,
            length_px=span.end_px - span.start_px if starts and ends else None,
            span=span,
            first=span,
            sights=1,
            longest_px=span.end_px - span.start_px,
            seen_ns=at_ns,
            entered=not starts and ends and not blind,
            spanning=int(not starts and not ends),
        )
