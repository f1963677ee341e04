"""When a stream's frame was captured, told from its time stamps: pure, no clock of its own."""

from __future__ import annotations

_NS_PER_S = 1_000_000_000


class StreamClock:
    """Maps a stream's presentation time stamps (PTS) to our monotonic clock; one per connection.

    A frame cannot arrive before it was captured, so the smallest arrival minus PTS seen so far
    is the closest to the truth, and whatever a frame exceeds it by is time spent under way: in a
    backlog, in the network, or held back by a library during a stall. What every frame of the
    stream needs at least (exposure, encoding) stays invisible here.

    The smallest value leaks upwards by `leak_ppm`, so that a camera whose clock is slower than
    ours (crystals: up to about 100 ppm) is followed; a faster one is followed at once.
    """

    def __init__(
        self, *, leak_ppm: int = 500, backward_jump_s: float = 1.0, oldest_s: float = 30.0
    ) -> None:
        self._leak_ppm = leak_ppm
        self._backward_jump_ns = round(backward_jump_s * _NS_PER_S)
        self._oldest_ns = round(oldest_s * _NS_PER_S)
        self._offset_ns: int | None = None
        self._newest_pts_ns = 0
        self._last_arrival_ns = 0
        self._last_frame_pts_ns: int | None = None

    def arrived(self, pts_ns: int | None, arrival_mono_ns: int) -> None:
        """A packet arrived; call it for packets without a picture too: they set the clock."""
        if pts_ns is not None:
            self._observe(pts_ns, arrival_mono_ns)

    def captured_mono_ns(self, pts_ns: int | None, arrival_mono_ns: int) -> int:
        """When the frame with this PTS was captured, on our clock; never later than it arrived.

        Without a PTS, or with one that stands still, the arrival is all that is known.
        """
        stands_still = pts_ns == self._last_frame_pts_ns
        self._last_frame_pts_ns = pts_ns
        if pts_ns is None or stands_still:
            return arrival_mono_ns
        return min(arrival_mono_ns, pts_ns + self._observe(pts_ns, arrival_mono_ns))

    def _observe(self, pts_ns: int, arrival_mono_ns: int) -> int:
        """The offset from PTS to our clock, after this observation."""
        offset_ns = arrival_mono_ns - pts_ns
        waited_ns = max(0, arrival_mono_ns - self._last_arrival_ns)
        self._last_arrival_ns = arrival_mono_ns
        known_ns = self._offset_ns
        if known_ns is None or self._jumped(pts_ns, late_ns=offset_ns - known_ns):
            self._offset_ns, self._newest_pts_ns = offset_ns, pts_ns
            return offset_ns
        self._offset_ns = min(offset_ns, known_ns + waited_ns * self._leak_ppm // 1_000_000)
        self._newest_pts_ns = max(pts_ns, self._newest_pts_ns)
        return self._offset_ns

    def _jumped(self, pts_ns: int, *, late_ns: int) -> bool:
        """Whether the stream's clock was set, rather than the frame delayed.

        Backwards by more than reordering (B-frames) explains: a loop, or a reset. Later than
        `oldest_s`: no connection survives such a stall, because its read timeout is shorter.
        """
        return pts_ns < self._newest_pts_ns - self._backward_jump_ns or late_ns > self._oldest_ns


class SenderClock:
    """The camera's own wall clock, from its RTCP sender reports; one per connection."""

    def __init__(self, *, disagreement_s: float = 10.0, report_age_s: float = 60.0) -> None:
        self._disagreement_ns = round(disagreement_s * _NS_PER_S)
        self._report_age_ns = round(report_age_s * _NS_PER_S)
        self._report: tuple[int, int] | None = None

    def reported(self, pts_ns: int, unix_ns: int) -> None:
        """The camera says that the picture with this PTS was captured at `unix_ns`."""
        self._report = (pts_ns, unix_ns)

    def captured_unix_ns(self, pts_ns: int | None, *, ours_unix_ns: int) -> int:
        """Capture time by the camera's clock where it is fit for use, else `ours_unix_ns`.

        Unfit: no report within the last minute of the stream, or a clock so far from ours that
        it was never set (cameras start in 1970, or in their factory's time zone).
        """
        if self._report is None or pts_ns is None:
            return ours_unix_ns
        report_pts_ns, report_unix_ns = self._report
        if abs(pts_ns - report_pts_ns) > self._report_age_ns:
            return ours_unix_ns
        theirs_unix_ns = report_unix_ns + pts_ns - report_pts_ns
        close = abs(theirs_unix_ns - ours_unix_ns) <= self._disagreement_ns
        return theirs_unix_ns if close else ours_unix_ns
