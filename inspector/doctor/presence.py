"""Checks for some seconds whether units can be found in the pictures of a camera."""

from __future__ import annotations

import time

from inspector.core.errors import CameraUnavailableError, EndOfFootageError, FrameUnreadableError
from inspector.core.ports import FrameSource
from inspector.core.records import CameraId, Image
from inspector.doctor.findings import Finding, Mark
from inspector.settings.sections import CameraSettings
from inspector.triggers.presence.doubts import Cause
from inspector.triggers.presence.tracks import BLIND_NS
from inspector.triggers.presence.trial import Trial

TRIAL_S, PICTURES = 3.0, 90
"""Longest trial, and most pictures; a read that waits ends at the camera's `read_timeout_s`."""
_FEWEST = 20
"""The fewest pictures that allow a conclusion."""
_NS_PER_S = 1_000_000_000
_ADVICE = {
    Cause.TOO_FAST: "more pictures a second, a longer view, or a photo-eye with trigger external",
    Cause.BANDS: "lamps that do not flicker, or an exposure of 10 ms (50 Hz) or 8.3 ms (60 Hz) or a"
    " multiple",
    Cause.RESTLESS: "switch the text of the camera off, shade what is mirrored, or cut it out with"
    " {key}.region",
    Cause.STUCK: "clean the lens, or cut it out with {key}.region; if something only stands there,"
    " check again while the belt runs",
}


def check_presence(
    camera_id: CameraId, camera: CameraSettings, source: FrameSource, image: Image
) -> Finding:
    """Continue after the first picture, which `image` holds; it is overwritten."""
    anywhere = camera.arrival == "anywhere"
    trial = Trial(camera.size, camera.region, camera.travel, anywhere=anywhere)
    trial.observe(image)
    times_ns: list[int] = []
    broke_off = ""
    until_s = time.monotonic() + TRIAL_S
    while time.monotonic() < until_s and len(times_ns) < PICTURES:
        try:
            grabbed = source.grab()
            source.retrieve_into(image)
        except FrameUnreadableError:
            continue
        except EndOfFootageError:
            break
        except CameraUnavailableError as error:
            broke_off = str(error)
            break
        times_ns.append(grabbed.captured_mono_ns)
        trial.observe(image)
    rare = camera.source.traits.realtime and _is_rare(times_ns)
    return _finding(camera_id, trial, broke_off, rare=rare)


def _is_rare(times_ns: list[int]) -> bool:
    """The pictures are too few for presence to follow anything from one to the next."""
    if len(times_ns) < 2:  # noqa: PLR2004 - an interval has two ends
        return True
    return (times_ns[-1] - times_ns[0]) / (len(times_ns) - 1) > BLIND_NS


def _finding(camera_id: CameraId, trial: Trial, broke_off: str, *, rare: bool) -> Finding:
    what, key = f"presence {camera_id}", f"cameras.{camera_id}"
    causes = trial.causes
    looked = f"{trial.pictures} pictures"
    if broke_off or rare:
        found = f"{looked}, then {broke_off}" if broke_off else f"{looked} in {TRIAL_S:g} s"
        advice = (
            f"look at the camera's cable and network, and {key}.read_timeout_s"
            if broke_off
            else f"let it send at least {_NS_PER_S / BLIND_NS * 2:.0f} pictures a second"
        )
        return Finding(what=what, mark=Mark.WARN, found=found, advice=advice)
    if causes:
        return Finding(
            what=what,
            mark=Mark.WARN,
            found="; ".join(causes.values()),
            advice="; ".join(_ADVICE[cause].format(key=key) for cause in causes),
        )
    if trial.pictures < _FEWEST:
        return Finding(what=what, mark=Mark.OK, found=f"{looked}: too few to say anything")
    speed = f"units go {trial.fastest:.1%} of the view from one to the next"
    seen = speed if trial.fastest else "nothing came by, so its speed is not known"
    return Finding(what=what, mark=Mark.OK, found=f"{looked}, nothing doubtful; {seen}")
