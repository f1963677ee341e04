"""Whether a camera counts as up: pure, no clock."""

from __future__ import annotations

from dataclasses import dataclass

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the capture thread last said of its camera."""

    last_frame_ns: int | None
    """Monotonic arrival of the newest frame; None before the first."""
    lost: str | None
    """Why the camera is known to be gone; None while it is open or being opened."""
    since_ns: int
    """When the thread was started."""
    returned_ns: int
    """When a call into the camera's library last came back."""


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
