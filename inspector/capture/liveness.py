"""Whether a camera counts as up: pure, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass

NS_PER_S = 1_000_000_000
MAX_CAUSES = 8
"""How many causes of one outage are reported."""
_SECONDS = re.compile(r"\d+(?:\.\d+)? s\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the capture thread last reported of its camera."""

    last_frame_ns: int | None
    """Monotonic arrival of the newest frame, or of an answer of a camera that waits for triggers;
    None before the first."""
    lost: str | None
    """Why the camera is known to be gone; None while it is open or being opened."""
    since_ns: int
    """When the thread was started."""
    returned_ns: int
    """When a call into the camera's library last came back."""
    clock_trouble: str = ""
    """Why the camera's time stamps are not believed, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """The judgement on a sighting."""

    up: bool
    cause: str
    """Why it is not up; empty while it is, and while a first frame may still come."""


def judge_camera(sighting: Sighting, *, silent_after_s: float, now_ns: int) -> Liveness:
    """Up means: frames arrive. A library that blocks for ever cannot hide a silent camera."""
    quiet_since_ns = sighting.last_frame_ns or sighting.since_ns
    if sighting.lost is not None:
        return Liveness(up=False, cause=sighting.lost)
    if (now_ns - quiet_since_ns) / NS_PER_S > silent_after_s:
        return Liveness(up=False, cause=f"no frame for {silent_after_s:g} s")
    return Liveness(up=sighting.last_frame_ns is not None, cause="")


def is_stuck(sighting: Sighting, *, stuck_after_s: float, now_ns: int) -> bool:
    """Whether the library has been inside one call for longer than any time-out of its own."""
    return (now_ns - sighting.returned_ns) / NS_PER_S > stuck_after_s


class Outage:
    """Which changes of a camera's state are reported: lost, another cause, back."""

    def __init__(self) -> None:
        self._up: bool | None = None
        self._causes: set[str] = set()

    def is_news(self, *, up: bool, cause: str) -> bool:
        """Each cause of an outage is reported once, even if causes alternate."""
        kind = _SECONDS.sub("", cause)
        if up != self._up:
            self._up, self._causes = up, {kind}
            return True
        if up or kind in self._causes or len(self._causes) >= MAX_CAUSES:
            return False
        self._causes.add(kind)
        return True
