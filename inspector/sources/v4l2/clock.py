"""Computes when a local camera's frame was captured, by its driver's time stamps: pure."""

from __future__ import annotations

from inspector.sources.stream_clock import StreamClock

_NS_PER_S = 1_000_000_000
_OLDEST_NS = 30 * _NS_PER_S
"""No frame waits this long: an older stamp is of another clock."""


class DriverClock:
    """When a local camera's frame was captured, by its driver's stamps on our monotonic clock.

    They are trusted as they are while the freshest frames are no older than a driver makes them;
    otherwise a stamp only shows how much older a frame is than the freshest.
    """

    def __init__(self, *, slowest_s: float = 0.5) -> None:
        self._slowest_ns = round(slowest_s * _NS_PER_S)
        self._stream = StreamClock()

    @property
    def trouble(self) -> str:
        """Why the driver's stamps are not trusted, or ""."""
        return self._stream.trouble

    def captured_mono_ns(self, stamp_ns: int | None, now_mono_ns: int, *, waited_ns: int) -> int:
        """When a frame was captured, given how long it was waited for; never in the future."""
        self._stream.arrived(stamp_ns, now_mono_ns, waited_ns=waited_ns)
        captured_ns = self._stream.captured_mono_ns(stamp_ns, now_mono_ns)
        self._stream.take_news()
        if stamp_ns is None or stamp_ns > now_mono_ns:
            return captured_ns
        return stamp_ns if 0 <= captured_ns - stamp_ns <= self._slowest_ns else captured_ns

    def due_mono_ns(self, stamp_ns: int, now_mono_ns: int) -> int:
        """When a frame was due that the driver counted but did not deliver; never in the future.

        UVC and most drivers stamp with CLOCK_MONOTONIC; some old ones with the wall clock, or not
        at all: then it is `now_mono_ns`.
        """
        return stamp_ns if 0 <= now_mono_ns - stamp_ns <= _OLDEST_NS else now_mono_ns
