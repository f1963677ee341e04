"""A virtual photo-eye: separates the units that pass through a free-running picture.

Pure: it gets what is seen and when, and returns what to do. `trigger` does it.
"""

from __future__ import annotations

from collections.abc import Iterator

from inspector.core.records import Doubt, MissReason
from inspector.triggers.presence.on_belt import Changes, Sight, Track, Way
from inspector.triggers.presence.orders import Action, Close, Count, Keep, Open, Send
from inspector.triggers.presence.passage import Passage
from inspector.triggers.presence.tracks import Tracks

FRAMES_HELD = 2
"""The most frames that wait for a sharper one, over all units in view."""
_NS_PER_S = 1_000_000_000
_CONFIRMED, _CONFIRMED_ENTERED = 3, 2
"""How many sights make a unit of something that appears anywhere, and of something that comes in
where units do."""
_SHORTEST = 0.05
"""As a share of the view: anything shorter is not a unit."""
_WENT = 0.015
"""As a share of the view: something seen to move this far moves with the belt."""
_RESIZED = 0.15
"""The share by which the length of the same unit may seem to change."""
_RETURNS_WITHIN_NS = 20 * _NS_PER_S
"""For this long, a unit that went back out of view is expected to be the next to come in. Later, it
may have been exchanged for another, and two verdicts on one unit are better than none on the
other."""
_TOO_LONG, _MULTIPLE_WITHIN = 1.5, 0.08
"""As a share of the longest unit so far: anything longer is several units that touch, as many as
fit."""
_FEWEST_KNOWN, _REPEATED = 2, 5
"""How many units determine the length; and how many too long ones in a row mean another product."""
_SAME_LENGTH = 0.05
_DROPPED = {
    Way.ONWARD: Doubt.UNCONFIRMED,
    Way.BACK: Doubt.WENT_BACK,
    Way.TAKEN: Doubt.VANISHED,
    Way.MERGED: Doubt.MERGED,
}
"""Something that may have been a unit but was not opened, and how it left."""
_USUAL_INTERVAL_NS = 33_000_000
_STANDING_PX_PER_S = 5.0
_FOREVER_NS = 2**62
_LONGEST_INTERVAL_NS = _NS_PER_S // 2


class Presence:
    """Finds units, numbers them from 0 as they are first fully in view, and chooses their frames.

    Units come in over one border and leave over the other. On the way they may stop, go back and
    return; the light may fail. A unit that passed and was never fully in view (larger than the
    view, already leaving at the start, beyond its side) is opened and closed at once without a
    frame: it gets a verdict, which never calls it good. One that came in partly and went back out
    was not a unit here.
    """

    def __init__(
        self,
        *,
        length_px: float,
        frames: int,
        spread_ns: int,
        border_px: float = 8.0,
        speed_px_per_s: float = 0.0,
        unit_length_px: float = 0.0,
    ) -> None:
        """Wants `frames` of each unit within `spread_ns` of its opening.

        `unit_length_px` is the length of the longest unit; 0 learns it.
        """
        self._lengths = Lengths(unit_length_px)
        self._tracks = Tracks(
            length_px=length_px, border_px=border_px, speed_px_per_s=speed_px_per_s
        )
        self._frames = frames
        self._spread_ns = spread_ns
        self._numbers = 0
        self._went_back: list[Passage] = []
        self._went_on: Passage | None = None
        self._interval_ns = _USUAL_INTERVAL_NS
        self._seen_ns: int | None = None
        self._dark = False

    def want(self, frames: int) -> None:
        """Set the number of frames for each unit that is opened from now on."""
        self._frames = frames

    def want_of(self, number: int, frames: int) -> None:
        """Set the number of frames for a unit that was just opened."""
        for passage in self._open_passages():
            if passage.number == number:
                passage.frames = frames

    @property
    def speed_px_per_s(self) -> float:
        """The speed of the belt now; learned if it was not set."""
        return self._tracks.speed_px_per_s

    @property
    def is_choosing(self) -> bool:
        """Whether something is in view whose frames may be needed: sharpness matters."""
        return any(_unfinished(track) for track in self._tracks.all)

    @property
    def tails_px(self) -> dict[int, float]:
        """The end of each numbered unit in view, along the travel, if known."""
        return {
            track.passage.number: track.tail_px
            for track in self._tracks.all
            if track.passage is not None and track.tail_px is not None
        }

    def see(self, sight: Sight) -> list[Action]:
        """Return what to do about this frame and those kept, in order."""
        self._learn_interval(sight.at_ns)
        actions: list[Action] = []
        self._dark = sight.spans is None
        if sight.spans is not None:
            changes = self._tracks.follow(sight.at_ns, sight.spans, sight.moved_px)
            if changes.blind:
                for track in self._tracks.all:
                    if track.passage is not None:
                        track.passage.may_be_another = True
            actions += [Count(Doubt.JUMPED)] * changes.jumped
            actions += [Count(Doubt.UNSEEN)] * changes.missed_view
            for track, way in changes.gone:
                actions += self._left(track, way, sight.at_ns)
            for track in changes.new:
                actions += self._recognise(track, changes, sight.at_ns)
            for track in self._tracks.all:
                actions += self._judge(track, sight.at_ns)
            actions += self._choose(sight.at_ns)
        actions += self._settle(sight)
        return actions

    def missed(self, reason: MissReason) -> None:
        """Record a frame that could not be inspected: units that lack one will name the reason."""
        for track in self._tracks.all:
            if track.passage is not None and not track.passage.is_closed:
                track.passage.miss = reason

    def interrupted(self, now_ns: int, reason: MissReason, detail: str) -> list[Action]:
        """Close every unit in view, also those only partly in view; they stay known."""
        actions: list[Action] = []
        for track in self._tracks.all:
            passage = track.passage
            if passage is None:
                if self._is_something(track) and self._went(track):
                    actions += self._never_whole(track, now_ns, reason, detail)
            elif not passage.is_closed:
                actions += self._close(passage, reason, detail)
        for passage in self._went_back:
            if not passage.is_closed:
                actions += self._close(passage, reason, detail)
        return actions

    def _learn_interval(self, now_ns: int) -> None:
        if self._seen_ns is not None and 0 < now_ns - self._seen_ns < _LONGEST_INTERVAL_NS:
            self._interval_ns += (now_ns - self._seen_ns - self._interval_ns) // 8
        self._seen_ns = now_ns

    def _recognise(self, track: Track, changes: Changes, now_ns: int) -> Iterator[Action]:
        """Give a thing that appears the identity of one that left and must be the same."""
        if track.entered:
            while self._went_back:
                passage = self._went_back.pop()
                if now_ns - passage.left_ns <= _RETURNS_WITHIN_NS:
                    track.passage = passage
                    track.length_px = None
                    break
        elif track.lead_px is None and not changes.blind:
            track.passage = self._went_on  # nothing new comes in where units leave
            if track.passage is not None and self._is_large(track):
                yield Count(Doubt.AT_EXIT)

    def _judge(self, track: Track, now_ns: int) -> Iterator[Action]:
        passage = track.passage
        whole = self._tracks.is_whole(track)
        if passage is not None and whole and track.length_px is not None:
            resized = passage.length_px and abs(track.length_px / passage.length_px - 1) > _RESIZED
            if resized and passage.may_be_another:
                if not passage.is_closed:
                    yield from self._close_short(passage, "another came in its place")
                passage = track.passage = None
            else:
                passage.length_px = track.length_px
                passage.may_be_another = False
        if passage is None:
            if whole and self._is_something(track):
                yield from self._pass_over_those_ahead(track, now_ns)
                yield from self._begin_whole(track, now_ns)
            elif track.spanning >= _CONFIRMED and self._is_something(track):
                yield from self._pass_over_those_ahead(track, now_ns)
                yield from self._never_whole(
                    track, now_ns, MissReason.NO_FRAME, "longer than the picture"
                )
            return
        if not passage.is_closed and track.lead >= self._tracks.length_px and not whole:
            yield from self._close_short(passage, "left the picture")

    def _went(self, track: Track) -> bool:
        """Whether it was seen to move with the belt."""
        return track.way_px >= _WENT * self._tracks.length_px or track.spanning > 0

    def _is_something(self, track: Track) -> bool:
        needed = _CONFIRMED_ENTERED if track.entered else _CONFIRMED
        return track.sights >= needed and self._is_large(track)

    def _is_large(self, track: Track) -> bool:
        return track.longest_px >= _SHORTEST * self._tracks.length_px

    def _pass_over_those_ahead(self, track: Track, now_ns: int) -> Iterator[Action]:
        """Number units in their order: those ahead that were never fully in view come first."""
        for other in self._tracks.all:
            if other is track:
                return
            seen = other.passage is None and other.seen_ns == now_ns
            if seen and self._is_something(other) and self._went(other):
                yield from self._never_whole(
                    other, now_ns, MissReason.NO_FRAME, "never fully in view"
                )

    def _begin_whole(self, track: Track, now_ns: int) -> Iterator[Action]:
        """Open the unit; if too long for one, as many as it seems, none of them inspected."""
        length_px = track.length_px or 0.0
        count = self._lengths.count(length_px)
        if count == 0:
            yield self._open(track, now_ns)
            return
        detail = (
            f"{length_px:.0f} px long, the longest of the others {self._lengths.longest_px:.0f}:"
            " units that touch? (unit_length_px)"
        )
        for _ in range(count):
            yield from self._never_whole(track, now_ns, MissReason.NO_FRAME, detail)

    def _open(self, track: Track, now_ns: int) -> Open:
        passage = track.passage = Passage(
            number=self._numbers,
            opened_ns=now_ns,
            frames=self._frames,
            spread_ns=self._spread_ns,
            length_px=track.length_px,
        )
        self._numbers += 1
        return Open(passage.number)

    def _never_whole(
        self, track: Track, now_ns: int, reason: MissReason, detail: str
    ) -> Iterator[Action]:
        yield self._open(track, now_ns)
        assert track.passage is not None  # noqa: S101 - just opened
        yield from self._close(track.passage, reason, detail)

    def _close(self, passage: Passage, reason: MissReason | None, detail: str) -> Iterator[Action]:
        if passage.holds:
            passage.send()
            yield Send(passage.number)
        passage.is_closed = True
        complete = passage.taken >= passage.frames
        if complete and passage.length_px is not None:
            self._lengths.add(passage.length_px)
        yield Close(passage.number, None if complete else reason, "" if complete else detail)

    def _close_short(self, passage: Passage, what: str) -> Iterator[Action]:
        taken = passage.taken + passage.holds
        detail = f"{what} after {taken} of {passage.frames} frames"
        yield from self._close(passage, passage.miss or MissReason.NO_FRAME, detail)

    def _left(self, track: Track, way: Way, now_ns: int) -> Iterator[Action]:
        passage = track.passage
        if passage is None:
            if way is Way.ONWARD and self._is_something(track) and self._went(track):
                yield from self._never_whole(
                    track, now_ns, MissReason.NO_FRAME, "never fully in view"
                )
                self._went_on = track.passage
            elif self._is_large(track):
                yield Count(_DROPPED[way])
            return
        passage.left_ns = now_ns
        passage.may_be_another = True
        if way is Way.BACK:
            self._went_back.append(passage)
            return
        if not passage.is_closed:
            yield from self._close_short(passage, "no longer seen")
        self._went_on = passage

    def _choose(self, now_ns: int) -> Iterator[Action]:
        """Give this frame to the unit that needs it most: a frame serves one unit."""
        wanting: list[tuple[bool, int, Track, Passage]] = []
        for track in self._tracks.all:
            passage, span = track.passage, track.span
            if passage is None or span is None or not self._tracks.is_whole(track):
                continue
            remaining_ns = self._remaining_ns(track)
            if passage.wants(now_ns, span.sharpness, remaining_ns):
                until_ns = passage.send_by_ns - now_ns if passage.holds else remaining_ns
                wanting.append((passage.holds, until_ns or _FOREVER_NS, track, passage))
        if not wanting:
            return
        # First units without a frame, then those whose frame could be sharper; then those that
        # leave.
        held, _, track, passage = min(wanting, key=lambda item: item[:2])
        assert track.span is not None  # noqa: S101 - whole
        others = sum(one.holds for one in self._open_passages() if one is not passage)
        passage.keep(now_ns, track.span.sharpness, self._remaining_ns(track))
        yield Keep(passage.number, track.span, self._neighbours(track))
        if not held and others >= FRAMES_HELD:
            passage.send()
            yield Send(passage.number)

    def _remaining_ns(self, track: Track) -> int | None:
        speed, border_px = self._tracks.speed_px_per_s, self._tracks.border_px
        if abs(speed) < _STANDING_PX_PER_S:
            return None
        ahead_px = self._tracks.length_px - border_px - track.lead
        way_px = ahead_px if speed > 0 else track.tail - border_px
        return max(0, round(way_px / abs(speed) * _NS_PER_S))

    def _neighbours(self, track: Track) -> tuple[float, float]:
        behind = max((t.lead for t in self._tracks.all if t.lead < track.lead), default=0.0)
        ahead = min(
            (t.tail for t in self._tracks.all if t.tail > track.tail),
            default=self._tracks.length_px,
        )
        return max(0.0, min(behind, track.tail)), max(track.lead, ahead)

    def _settle(self, sight: Sight) -> Iterator[Action]:
        """Send frames that need not wait longer, close units that are complete or will not be."""
        for passage in self._open_passages():
            track = next((t for t in self._tracks.all if t.passage is passage), None)
            leaving = track is None or (not self._dark and not self._tracks.is_whole(track))
            if passage.holds and (leaving or passage.is_time(sight.at_ns, self._interval_ns)):
                passage.send()
                yield Send(passage.number)
            if passage.taken >= passage.frames:
                yield from self._close(passage, None, "")
            elif sight.at_ns > passage.opened_ns + 2 * self._spread_ns:
                what = "the light was off" if self._dark else "not fully in view in time"
                yield from self._close_short(passage, what)

    def _open_passages(self) -> list[Passage]:
        passages = [t.passage for t in self._tracks.all if t.passage is not None]
        return [p for p in (*passages, *self._went_back) if not p.is_closed]


class Lengths:
    """The length of units along the travel, by those that were fully seen."""

    def __init__(self, longest_px: float) -> None:
        """0: not known."""
        self._is_set = longest_px > 0
        self.longest_px = longest_px
        self._known = 0
        self._too_long: list[float] = []

    def add(self, length_px: float) -> None:
        """Record a unit of normal length."""
        self._too_long.clear()
        self._known += 1
        if not self._is_set:
            self.longest_px = max(self.longest_px, length_px)

    def count(self, length_px: float) -> int:
        """How many units a thing is that is too long for one, if known. 0: it is a normal unit.

        Repeated overlength means another product, unless the longest was set.
        """
        knows = self._is_set or self._known >= _FEWEST_KNOWN
        if not knows or length_px <= _TOO_LONG * self.longest_px:
            return 0
        before = self._too_long
        if before and abs(length_px / before[-1] - 1) > _SAME_LENGTH:
            before.clear()
        before.append(length_px)
        if len(before) >= _REPEATED and not self._is_set:
            self.longest_px = length_px
            before.clear()
            return 0
        share = length_px / self.longest_px
        count = round(share)
        return count if abs(share - count) <= _MULTIPLE_WITHIN * count else 1


def _unfinished(track: Track) -> bool:
    return track.passage is None or not track.passage.is_closed
