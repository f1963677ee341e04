"""Finds the units that pass a free-running camera, and picks the frames to inspect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import structlog

from inspector.core.newest import Newest
from inspector.core.recipes import Job
from inspector.core.records import (
    CameraId,
    Doubt,
    Frame,
    FrameRef,
    MissedFrame,
    MissReason,
    Outline,
    TriggerKind,
    UnitClosed,
    UnitInView,
    UnitOpened,
    UnitRef,
)
from inspector.settings.sections import CameraSettings
from inspector.triggers.presence.doubts import Doubts
from inspector.triggers.presence.occupancy import Occupancy
from inspector.triggers.presence.on_belt import Sight
from inspector.triggers.presence.orders import Action, Close, Count, Keep, Open, Send
from inspector.triggers.presence.outline import Place, find_outline
from inspector.triggers.presence.tracks import BLIND_NS
from inspector.triggers.presence.units import Presence

FRAMES_HELD = 2
"""The best frame of a unit so far, and the newest; other triggers hold none."""

log = structlog.get_logger("capture")

OUTLINES_REMEMBERED = 8
"""Outlines are remembered for this many most recent units."""

Tell = Callable[[UnitOpened | UnitClosed], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A frame that waits for a sharper one."""

    frame: Frame
    place: Place | None
    tail_px: float


@dataclass(frozen=True, slots=True)
class _Outlined:
    """The place of a unit when its outline was found."""

    outline: Outline
    tail_px: float


class PresenceTrigger:
    """A `UnitTrigger`: a virtual photo-eye. One per camera, for the life of the process.

    Examines every frame for 1 to 2 ms and holds at most `units.FRAMES_HELD`; a chosen one
    costs another 8 ms for its outline. Frames that are not chosen are released and counted by
    `on_idle`. A unit's opening is announced before its first frame is returned; its closing may be
    announced before its last frame is.
    """

    def __init__(
        self,
        camera_id: CameraId,
        camera: CameraSettings,
        *,
        job_now: Callable[[], Job],
        job_for: Callable[[int], Job] | None = None,
        spread_ns: int,
        tell: Tell,
        on_idle: Callable[[int], None],
        on_doubt: Callable[[Doubt], None] = lambda _doubt: None,
        frame_interval_ns: int | None = None,
    ) -> None:
        """Learns the belt from the first frames on.

        `job_for` may wait until the unit of this index may be opened; None: none has to.
        `spread_ns`: the frames of a unit are taken within this time of its opening. `on_doubt` is
        called for every unit that may have been missed. `frame_interval_ns`: for recordings, whose
        frames come when they are requested and not when they were taken; None takes the time of
        capture.
        """
        self._camera_id = camera_id
        self._job_now = job_now
        self._job_for = job_for or (lambda _index: job_now())
        self._occupancy = Occupancy(
            camera.size, camera.region, camera.travel, anywhere=camera.arrival == "anywhere"
        )
        self._presence = Presence(
            length_px=self._occupancy.grid.length_px,
            frames=self._wanted(job_now()),
            spread_ns=spread_ns,
            border_px=2 * self._occupancy.grid.column_px,
            speed_px_per_s=camera.travel_px_per_s,
            unit_length_px=camera.unit_length_px,
        )
        self._tell, self._on_idle, self._on_doubt = tell, on_idle, on_doubt
        self._frame_interval_ns = frame_interval_ns
        self._last: FrameRef | None = None
        self._lit_ns: int | None = None
        self._doubts = Doubts()
        self._units: dict[int, UnitRef] = {}
        self._kept: dict[int, _Kept] = {}
        self._announced = 0
        self._taken: Counter[int] = Counter()
        self._outlined_at: Newest[int, _Outlined] = Newest(OUTLINES_REMEMBERED)

    def observe(self, frame: Frame) -> Sequence[Frame]:
        """Take a frame, return those to inspect now."""
        self._last = frame.ref
        self._presence.want(self._wanted(self._job_now()))
        at_ns = self._time_ns(frame.ref)
        blind = self._lit_ns is not None and at_ns - self._lit_ns > BLIND_NS
        spans = self._occupancy.observe(
            frame.lease.image, sharpness=self._presence.is_choosing, blind=blind
        )
        if spans is not None:
            self._lit_ns = at_ns
            self._doubts.see(self._occupancy.signs)
            if spans and self._doubts.is_too_fast:
                self._on_doubt(Doubt.TOO_FAST)
        actions = self._presence.see(
            Sight(at_ns=at_ns, spans=spans, moved_px=self._occupancy.moved_px)
        )
        chosen = self._carried_out(actions, frame)
        if not any(isinstance(action, Keep) for action in actions):
            self._release(frame)
        return chosen

    @property
    def opened_units(self) -> int:
        """The number of announced units."""
        return self._announced

    @property
    def doubt(self) -> str:
        """Why units may be missed or judged wrongly; empty while nothing says so. Any thread."""
        return self._doubts.cause

    def in_view(self) -> Sequence[UnitInView]:
        """The units in the latest frame, outlined before and moved with the belt since.

        For display: as exact as the photo-eye's cells, about 4 pixels.
        """
        tails_px = self._presence.tails_px
        return [
            UnitInView(index=number, outline=self._moved(at, tails_px[number]))
            for number, at in self._outlined_at.items()
            if number in tails_px
        ]

    def missed(self, missed: MissedFrame) -> MissedFrame:
        """Return it unchanged: no unit depends on a frame that was not chosen.

        A unit that gets too few frames while frames are missed closes for the same reason.
        """
        self._presence.missed(missed.reason)
        return missed

    def interrupted(self, reason: MissReason, detail: str) -> Sequence[Frame]:
        """Close every unit in view, even one that is only partly in view yet.

        A unit that is seen again where it must have moved meanwhile gets no second verdict.
        """
        if self._last is None:
            return ()
        self._presence.want(self._wanted(self._job_now()))
        return self._carried_out(
            self._presence.interrupted(self._time_ns(self._last), reason, detail), None
        )

    def _wanted(self, job: Job) -> int:
        return job.recipe.cameras[self._camera_id].frames_of_unit

    def _time_ns(self, ref: FrameRef) -> int:
        if self._frame_interval_ns is not None:
            return ref.sequence * self._frame_interval_ns
        return ref.captured_mono_ns

    def _carried_out(self, actions: Sequence[Action], frame: Frame | None) -> list[Frame]:
        chosen = []
        for action in actions:
            match action:
                case Open():
                    self._open(action.number)
                case Keep() if frame is not None:
                    self._keep(action, frame)
                case Send():
                    chosen.append(self._outlined(action.number))
                    self._taken[action.number] += 1
                case Close():
                    self._close(action)
                case Count():
                    self._on_doubt(action.doubt)
        return chosen

    def _open(self, number: int) -> None:
        ref = self._last
        assert ref is not None  # noqa: S101 - units are opened by frames
        job = self._job_for(number)
        self._announced = number + 1
        self._presence.want_of(number, self._wanted(job))
        unit = self._units[number] = UnitRef(
            camera_id=self._camera_id,
            index=number,
            kind=TriggerKind.PRESENCE,
            triggered_mono_ns=ref.captured_mono_ns,
            triggered_unix_ns=ref.captured_unix_ns,
            job=job,
        )
        self._tell(UnitOpened(unit=unit))

    def _keep(self, action: Keep, frame: Frame) -> None:
        before = self._kept.pop(action.number, None)
        if before is not None:
            self._release(before.frame)
        place = self._occupancy.place(action.span, action.neighbours_px)
        self._kept[action.number] = _Kept(frame, place, action.span.start_px)

    def _outlined(self, number: int) -> Frame:
        kept = self._kept.pop(number)
        outline = None
        if kept.place is not None:
            outline = self._outline(kept.frame, kept.place)
        if outline is not None:
            self._outlined_at[number] = _Outlined(outline, kept.tail_px)
        ref = replace(kept.frame.ref, unit=self._units[number], outline=outline)
        return replace(kept.frame, ref=ref)

    def _outline(self, frame: Frame, place: Place) -> Outline | None:
        try:
            return find_outline(frame.lease.image, place)
        except (cv2.error, ArithmeticError, ValueError):
            # The unit is still inspected, in the frame as it is.
            log.exception("a unit's outline could not be looked for", camera=self._camera_id)
            return None

    def _moved(self, at: _Outlined, tail_px: float) -> Outline:
        return self._occupancy.grid.moved(at.outline, tail_px - at.tail_px)

    def _close(self, action: Close) -> None:
        unit = self._units.pop(action.number)
        self._tell(
            UnitClosed(
                unit=unit,
                frames_expected=self._wanted(unit.under),
                frames_taken=self._taken.pop(action.number, 0),
                miss=action.miss,
                detail=action.detail,
            )
        )

    def _release(self, frame: Frame) -> None:
        frame.lease.release()
        self._on_idle(1)
