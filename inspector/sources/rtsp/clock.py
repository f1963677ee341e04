"""A network camera's own wall clock: pure."""

from __future__ import annotations

_NS_PER_S = 1_000_000_000


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
