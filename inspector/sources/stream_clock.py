"""Computes when a stream's frame was captured, by its time stamps: pure, reads no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

_NS_PER_S = 1_000_000_000

_WINDOW_NS = _NS_PER_S
_WINDOW_FRAMES = 5
"""The fewest packets in the window: at 1 frame per second, a second has only one."""
_OLDEST_NS = 30 * _NS_PER_S
"""No connection survives a stall of this length, because its read timeout is shorter."""
_BACKWARD_NS = _NS_PER_S
"""A step back that reordering (B-frames) does not explain."""
_ALONE_NS = _NS_PER_S // 4
"""A single frame that is this much ahead of all others has a wrong time stamp."""
_WAITED_SHARE, _CATCHING_UP_SHARE = 0.25, 0.1
_CATCHING_UP_FRAMES = 4
_SLOPE, _NOISE_NS = 0.01, 5_000_000
_RATE_OVER_NS = 5 * _NS_PER_S
_RATE_OFF, _RATE_GOOD = 0.03, 0.01
_TOLD_STEP_NS, _TOLD_EVERY_NS = _NS_PER_S // 5, 60 * _NS_PER_S


@dataclass(frozen=True, slots=True)
class _Arrival:
    even_ns: int
    """How long frames had arrived evenly by then."""
    offset_ns: int
    """From its time stamp to our clock."""


class StreamClock:
    """Maps a stream's presentation time stamps (PTS) to our monotonic clock; one per connection.

    A frame cannot arrive before it was captured, so the smallest arrival minus PTS is the closest
    to the truth, and whatever a frame exceeds it by is time spent under way: in a backlog, in the
    network, or held back by a library during a stall. What every frame of the stream needs at
    least (exposure, encoding) stays invisible here.

    A camera's clock is trusted as far as frames agree with it. Frames that arrive evenly, each
    waited for, are fresh whatever their stamps say: only the last second of them counts, so that a
    clock that steps, pauses or runs at another rate is followed within a second. In a backlog
    frames are not waited for, and while it drains they come faster than they were taken: such time
    does not count, so old frames stay old.
    """

    def __init__(self) -> None:
        self._window: deque[_Arrival] = deque()
        self._recent: deque[tuple[int, int]] = deque(maxlen=_CATCHING_UP_FRAMES)
        """Arrival and offset of the last packets."""
        self._steps: deque[int] = deque(maxlen=9)
        self._even_ns = 0
        self._last: tuple[int, int] | None = None
        """PTS and arrival of the packet seen last."""
        self._newest_pts_ns = 0
        self._last_frame_pts_ns: int | None = None
        self._rate = _Rate()
        self._smallest_before_ns: int | None = None
        self._has_stepped = False
        self._told_ns: int | None = None
        self._news: list[str] = []

    @property
    def _usual_ns(self) -> float:
        """From one packet to the next; 0 before it is known."""
        return median(self._steps) if self._steps else 0.0

    @property
    def trouble(self) -> str:
        """Why the camera's time stamps are not followed, or ""."""
        return self._rate.trouble

    def take_news(self) -> list[str]:
        """Changes of the camera's clock since the last call, for the log."""
        news, self._news = self._news, []
        return news

    def arrived(
        self, pts_ns: int | None, arrival_mono_ns: int, *, waited_ns: int | None = None
    ) -> None:
        """A packet arrived; call it for packets without a picture too: they set the clock.

        `waited_ns`: how long it was waited for; None: since the packet before.
        """
        if pts_ns is not None:
            self._observe(pts_ns, arrival_mono_ns, waited_ns)

    def captured_mono_ns(self, pts_ns: int | None, arrival_mono_ns: int) -> int:
        """When the frame with this PTS was captured, on our clock; never later than it arrived.

        Call it in the order of showing. Without a PTS, or with one that stands still, only the
        arrival is known.
        """
        last, self._last_frame_pts_ns = self._last_frame_pts_ns, pts_ns
        if pts_ns is None or pts_ns == last:
            return arrival_mono_ns
        if last is not None and pts_ns < last:
            # Frames are shown in order: the camera's clock was set back, or the stream started
            # again.
            self._begin(pts_ns, arrival_mono_ns, last - pts_ns + round(self._usual_ns))
        elif self._last is None or self._last[1] < arrival_mono_ns:
            self._observe(pts_ns, arrival_mono_ns, None)
        captured_ns = pts_ns + self._base_ns(arrival_mono_ns - pts_ns)
        return max(arrival_mono_ns - _OLDEST_NS, min(arrival_mono_ns, captured_ns))

    def _begin(self, pts_ns: int, arrival_ns: int, back_ns: int) -> None:
        self._window.clear()
        self._recent.clear()
        self._window.append(_Arrival(self._even_ns, arrival_ns - pts_ns))
        self._last, self._newest_pts_ns = (pts_ns, arrival_ns), pts_ns
        self._rate.begin()
        self._smallest_before_ns = None
        if back_ns >= _TOLD_STEP_NS:
            self._tell(f"its time stamps went back by {back_ns / _NS_PER_S:.1f} s", arrival_ns)

    def _observe(self, pts_ns: int, arrival_ns: int, waited_ns: int | None) -> None:
        last, offset_ns = self._last, arrival_ns - pts_ns
        if last is None:
            self._begin(pts_ns, arrival_ns, 0)
            return
        if pts_ns < self._newest_pts_ns - _BACKWARD_NS:
            self._begin(pts_ns, arrival_ns, self._newest_pts_ns - pts_ns)
            return
        step_ns = max(0, arrival_ns - last[1])
        self._last, self._newest_pts_ns = (pts_ns, arrival_ns), max(pts_ns, self._newest_pts_ns)
        self._even_ns += self._evenly_ns(step_ns, waited_ns, arrival_ns, offset_ns)
        self._recent.append((arrival_ns, offset_ns))
        self._remember(_Arrival(self._even_ns, offset_ns))
        since_ns = self._even_ns - _WINDOW_NS
        while len(self._window) > _WINDOW_FRAMES and self._window[0].even_ns < since_ns:
            self._window.popleft()
        if offset_ns - self._smallest_ns() > _OLDEST_NS:
            self._begin(pts_ns, arrival_ns, 0)
            return
        self._compare_with_before(arrival_ns)

    def _remember(self, arrival: _Arrival) -> None:
        """Bound the window: of arrivals without even time between, only the freshest matter.

        A reader that spends its time on pictures waits for no packet: no even time passes then,
        and the window would grow for as long.
        """
        self._window.append(arrival)
        if len(self._window) <= _WINDOW_FRAMES:
            return
        if self._window[-1 - _WINDOW_FRAMES].even_ns < arrival.even_ns:
            return
        newest_first = [self._window.pop() for _ in range(_WINDOW_FRAMES + 1)]
        newest_first.remove(max(newest_first, key=lambda one: one.offset_ns))
        self._window.extend(reversed(newest_first))

    def _compare_with_before(self, arrival_ns: int) -> None:
        """Note if the clock was set, or does not run at the speed of time."""
        smallest_ns = self._smallest_ns()
        moved_ns, self._smallest_before_ns = (
            smallest_ns - (self._smallest_before_ns or smallest_ns),
            smallest_ns,
        )
        is_step = abs(moved_ns) >= max(_TOLD_STEP_NS, 1.5 * self._usual_ns)
        moves_on, self._has_stepped = self._has_stepped, is_step
        if is_step and not moves_on:  # otherwise it is no step, but continues
            self._rate.begin()
            way = "fell behind" if moved_ns > 0 else "jumped ahead"
            self._tell(f"its time stamps {way} by {abs(moved_ns) / _NS_PER_S:.1f} s", arrival_ns)
            return
        reaches_back_to_ns = self._window[0].even_ns
        told = self._rate.see(self._even_ns, smallest_ns, reaches_back_to_ns=reaches_back_to_ns)
        if told is not None:
            self._news.append(told)

    def _tell(self, news: str, arrival_ns: int) -> None:
        """Report it, at most once a minute: a clock may be set repeatedly."""
        if self._told_ns is None or arrival_ns - self._told_ns >= _TOLD_EVERY_NS:
            self._told_ns = arrival_ns
            self._news.append(news)

    def _evenly_ns(
        self, step_ns: int, waited_ns: int | None, arrival_ns: int, offset_ns: int
    ) -> int:
        """How much of the time since the packet before counts as time of even arrivals."""
        waited_ns = step_ns if waited_ns is None else waited_ns
        if step_ns == 0 or waited_ns < _WAITED_SHARE * step_ns:
            return 0
        usual_ns = self._usual_ns or step_ns
        self._steps.append(step_ns)
        # One that is fresher than all others is no part of a backlog.
        if len(self._recent) == _CATCHING_UP_FRAMES and offset_ns > self._smallest_ns():
            then_ns, offset_then_ns = self._recent[0]
            if offset_then_ns - offset_ns > _CATCHING_UP_SHARE * (arrival_ns - then_ns):
                return 0
        return round(min(step_ns, 2 * usual_ns))

    def _smallest_ns(self) -> int:
        """The smallest offset of the window; a lone one far below all others is a wrong stamp."""
        ordered = sorted(arrival.offset_ns for arrival in self._window)
        if len(ordered) > 1 and ordered[1] - ordered[0] > _ALONE_NS:
            return ordered[1]
        return ordered[0]

    def _base_ns(self, offset_ns: int) -> int:
        """The offset of a frame that was under way for no time, `offset_ns` that of this one."""
        smallest_ns = self._smallest_ns()
        middle_ns = (self._window[0].even_ns + self._even_ns) / 2
        early = [arrival for arrival in self._window if arrival.even_ns < middle_ns]
        late = [arrival for arrival in self._window if arrival.even_ns >= middle_ns]
        if not early or len(late) < 2:  # noqa: PLR2004 - one may be late by itself
            return smallest_ns
        first = min(early, key=lambda arrival: arrival.offset_ns)
        second = min(late, key=lambda arrival: arrival.offset_ns)
        over_ns = second.even_ns - first.even_ns
        growth_ns = second.offset_ns - first.offset_ns
        if over_ns <= 0 or growth_ns <= max(_NOISE_NS, _SLOPE * over_ns):
            return smallest_ns
        # The stamps fall behind, suddenly or steadily: the newest frames show by how much.
        since_ns = self._even_ns - second.even_ns
        return min(offset_ns, second.offset_ns + round(growth_ns / over_ns * since_ns))


class _Rate:
    """Measures whether a camera's clock runs at the speed of time."""

    def __init__(self) -> None:
        self.trouble = ""
        self._began_ns: int | None = None
        self._since: tuple[int, int] | None = None

    def begin(self) -> None:
        """Start again: the clock was set, and earlier values mean nothing."""
        self._began_ns = self._since = None

    def see(self, even_ns: int, offset_ns: int, *, reaches_back_to_ns: int) -> str | None:
        """Judge from time to time; returns a change in words."""
        if self._began_ns is None:
            self._began_ns = even_ns
        if reaches_back_to_ns <= self._began_ns:
            return None  # the smallest offset may still be one from before
        if self._since is None:
            self._since = (even_ns, offset_ns)
        over_ns = even_ns - self._since[0]
        if over_ns < _RATE_OVER_NS:
            return None
        drift = (offset_ns - self._since[1]) / over_ns
        self._since = (even_ns, offset_ns)
        if self.trouble and abs(drift) < _RATE_GOOD:
            self.trouble = ""
            return "its time stamps follow time again"
        if abs(drift) < _RATE_OFF or self.trouble:
            return None
        self.trouble = f"its time stamps run at {100 * (1 - drift):.0f} % of the speed of time"
        return self.trouble
