"""Matches frames to the units that the PLC or the MES announces."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from inspector.core.recipes import Job
from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    MissedFrame,
    MissReason,
    Notice,
    TriggerKind,
    UnitClosed,
    UnitOpened,
    UnitRef,
)
from inspector.triggers.external.messages import Trigger, TriggerAnswer, TriggerOutcome

NS_PER_S = 1_000_000_000
FRAMES_HELD = 2
"""How many of the newest frames are kept for a trigger that comes a little after them; their
buffers are lent meanwhile, so a camera needs this many more."""
DOUBLED_WITHIN_NS = 10 * NS_PER_S
"""Within this time the same unit again is the same trigger sent twice, by a client whose first
answer was late; later it is a unit that came back."""
SAME_MOMENT_NS = 1_000_000
"""Triggers this close together count as simultaneous: senders know milliseconds, and their times
are converted to our clock by two readings that are never quite simultaneous."""
REMEMBERED_IDS = 10_000
REMEMBERED_TRIGGERS = 64


@dataclass(slots=True)
class _Waiting:
    """A unit that still needs frames."""

    unit: UnitRef
    at_ns: int
    until_ns: int
    """The time by which its next frame must be captured."""
    wanted: int
    """The number of its frames that are inspected."""
    taken: int = 0
    """The number of frames passed on for it, or missed."""
    lost: int = 0
    """The number of frames missed before the trigger came: their unit is not known."""
    miss: MissReason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Past:
    """A recent frame that served no unit; without pixels if it was missed."""

    captured_ns: int
    frame: Frame | None
    miss: MissReason | None = None
    detail: str = ""


class ExternalTrigger:
    """Each trigger opens one unit; frames captured at or after it serve it.

    A frame serves the latest trigger at or before its capture and no other: when the next unit is
    there, this one is gone. So a missing frame costs only its own unit its verdict, and does not
    shift all later ones. Triggers of the same moment are served in turn.

    `observe`, `missed` and `interrupted` are the capture thread's, the rest the event loop's; a
    lock keeps them apart. Clocks are the callers': every time is that of a frame or of a trigger.
    """

    def __init__(
        self,
        camera_id: CameraId,
        *,
        job_now: Callable[[], Job],
        wait_ns: int,
        announce: Callable[[Notice], None],
        on_idle: Callable[[FrameRef], None],
    ) -> None:
        """`wait_ns`: how long after its trigger, or after its last frame, a unit may wait.

        It must be shorter than the time between two units: a frame does not show whether it is of a
        unit whose own frame is missing, or of the next, whose trigger has not arrived yet.
        `announce` and `on_idle` are called from either thread and must not call back.
        """
        self._camera_id = camera_id
        self._job_now = job_now
        self._wait_ns = wait_ns
        self._announce = announce
        self._on_idle = on_idle
        self._lock = Lock()
        self._opened = 0
        self._waiting: list[_Waiting] = []
        self._past: deque[_Past] = deque()
        self._triggered_ns: deque[int] = deque(maxlen=REMEMBERED_TRIGGERS)
        self._captured_ns: deque[int] = deque(maxlen=REMEMBERED_TRIGGERS)
        self._ids: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._down: tuple[MissReason, str] | None = None

    @property
    def next_expiry_ns(self) -> int | None:
        """When to call `expire` next; None while no unit waits. Event loop."""
        with self._lock:
            return min((w.until_ns for w in self._waiting), default=None)

    @property
    def opened_units(self) -> int:
        """The number of triggered units."""
        with self._lock:
            return self._opened

    def observe(self, frame: Frame) -> Sequence[Frame]:
        """Take a frame; returns it if it serves a unit, else holds it for a while."""
        with self._lock:
            self._down = None
            self._captured_ns.append(frame.ref.captured_mono_ns)
            waiting = self._served_by(frame.ref.captured_mono_ns)
            if waiting is None:
                self._hold(_Past(frame.ref.captured_mono_ns, frame))
                return []
            return [self._take(waiting, frame)]

    def missed(self, missed: MissedFrame) -> MissedFrame:
        """Take a frame without pixels; costs the unit that it would have served a frame."""
        ref = missed.ref
        with self._lock:
            self._captured_ns.append(ref.captured_mono_ns)
            if missed.reason is not MissReason.CAMERA_FROZEN:
                self._down = None
            if missed.reason is MissReason.NO_BUFFER:
                # The missing frames may be this unit's.
                self._forget_oldest()
            waiting = self._served_by(ref.captured_mono_ns)
            if waiting is None:
                self._hold(_Past(ref.captured_mono_ns, None, missed.reason, missed.detail))
                return missed
            self._count(waiting, ref.captured_mono_ns)
            return replace(missed, ref=replace(ref, unit=waiting.unit))

    def interrupted(self, reason: MissReason, detail: str) -> Sequence[Frame]:
        """Close every unit that waits, and release the held frames; returns no frames."""
        with self._lock:
            self._down = (reason, detail)
            for waiting in list(self._waiting):
                self._close(waiting, reason, detail)
            while self._past:
                self._forget_oldest()
        return []

    def trigger(self, trigger: Trigger) -> tuple[TriggerAnswer, Sequence[Frame]]:
        """Open a unit; returns the answer, and held frames that serve it, to inspect now."""
        with self._lock:
            before = self._seen_before(trigger)
            if before is not None:
                return TriggerAnswer(outcome=TriggerOutcome.DOUBLED, index=before), []
            waiting, refusal = self._open(trigger)
            frames: list[Frame] = []
            if refusal is not None:
                self._close(waiting, *refusal)
            else:
                self._triggered_ns.append(waiting.at_ns)
                frames = self._take_held(waiting)
                if waiting in self._waiting and trigger.received_mono_ns >= waiting.until_ns:
                    self._close(waiting, *self._nothing_came(waiting))
            answer = TriggerAnswer(outcome=TriggerOutcome.ACCEPTED, index=waiting.unit.index)
            return answer, frames

    def change(self, wait_ns: int) -> None:
        """Set other waiting times, from the next trigger or frame on."""
        with self._lock:
            self._wait_ns = wait_ns

    def remember(self, unit_id: str, received_mono_ns: int) -> None:
        """Record a unit that was triggered, and answered, before we started."""
        with self._lock:
            self._ids[unit_id] = (-1, received_mono_ns)

    def expire(self, now_ns: int) -> None:
        """Close the units that have waited long enough, whether or not any frame comes."""
        with self._lock:
            for waiting in [w for w in self._waiting if now_ns >= w.until_ns]:
                self._close(waiting, *self._nothing_came(waiting))

    def _open(self, trigger: Trigger) -> tuple[_Waiting, tuple[MissReason, str] | None]:
        """Announce the unit, with the reason why it cannot be inspected, if any."""
        at_unix_ns = trigger.received_unix_ns if trigger.at_unix_ns is None else trigger.at_unix_ns
        age_ns = trigger.received_unix_ns - at_unix_ns
        refusal: tuple[MissReason, str] | None = None
        if self._down is not None and self._down[0] is MissReason.SHUTTING_DOWN:
            refusal = self._down
        elif trigger.too_late:
            refusal = (MissReason.NO_FRAME, trigger.too_late)
        elif age_ns < -self._wait_ns:
            ahead_s = -age_ns / NS_PER_S
            refusal = (MissReason.NO_FRAME, f"its time is {ahead_s:.1f} s ahead of our clock")
        at_ns = self._moment(trigger.received_mono_ns - age_ns)
        # A unit from long ago that is only answered now must not distort the figures.
        old = refusal is not None or age_ns > self._wait_ns
        job = trigger.job or self._job_now()
        unit = UnitRef(
            camera_id=self._camera_id,
            index=self._opened,
            kind=TriggerKind.EXTERNAL,
            triggered_mono_ns=trigger.received_mono_ns if old else at_ns,
            triggered_unix_ns=at_unix_ns,
            given_id=trigger.unit_id,
            trigger_entry=trigger.entry,
            job=job,
        )
        self._opened += 1
        self._ids[trigger.unit_id] = (unit.index, trigger.received_mono_ns)
        wanted = job.recipe.cameras[self._camera_id].frames_of_unit
        waiting = _Waiting(unit, at_ns, at_ns + self._wait_ns, wanted)
        self._waiting.append(waiting)
        self._announce(UnitOpened(unit=unit))
        return waiting, refusal

    def _moment(self, at_ns: int) -> int:
        """The time of a trigger; exactly the same for simultaneous triggers.

        A frame between two triggers shows that they were not simultaneous, however close they are.
        """
        for ns in reversed(self._triggered_ns):
            first_ns, last_ns = min(ns, at_ns), max(ns, at_ns)
            is_close = last_ns - first_ns < SAME_MOMENT_NS
            if is_close and not any(first_ns <= c < last_ns for c in self._captured_ns):
                return ns
        return at_ns

    def _seen_before(self, trigger: Trigger) -> int | None:
        """The index of the unit that this trigger repeats; -1 for one before our start."""
        oldest_ns = trigger.received_mono_ns - DOUBLED_WITHIN_NS
        while self._ids:
            unit_id, (_index, received_ns) = next(iter(self._ids.items()))
            if received_ns >= oldest_ns and len(self._ids) < REMEMBERED_IDS:
                break
            del self._ids[unit_id]
        index, received_ns = self._ids.get(trigger.unit_id, (-1, oldest_ns - 1))
        return index if received_ns >= oldest_ns else None

    def _served_by(self, captured_ns: int) -> _Waiting | None:
        """The unit that a frame of this moment shows; closes the units before it."""
        latest_ns = self._latest_trigger(captured_ns)
        for waiting in list(self._waiting):
            if waiting.at_ns < latest_ns:
                detail = "the next unit was triggered before it had its frames"
                self._close(waiting, MissReason.NO_FRAME, detail)
            elif captured_ns > waiting.until_ns:
                self._close(waiting, *self._nothing_came(waiting))
        return next((w for w in self._waiting if w.at_ns == latest_ns), None)

    def _latest_trigger(self, captured_ns: int) -> int:
        """When the unit arrived that was there at this moment."""
        return max((at_ns for at_ns in self._triggered_ns if at_ns <= captured_ns), default=-1)

    def _take_held(self, waiting: _Waiting) -> list[Frame]:
        """Serve a trigger that came late with the frames from its time on."""
        frames = []
        for past in list(self._past):
            if waiting not in self._waiting:
                break
            if self._served_by(past.captured_ns) is not waiting:
                continue
            self._past.remove(past)
            if past.frame is not None:
                frames.append(self._take(waiting, past.frame))
            else:
                waiting.miss, waiting.detail = past.miss, past.detail
                waiting.lost += 1
                self._count(waiting, past.captured_ns, taken=0)
        return frames

    def _take(self, waiting: _Waiting, frame: Frame) -> Frame:
        self._count(waiting, frame.ref.captured_mono_ns)
        return replace(frame, ref=replace(frame.ref, unit=waiting.unit))

    def _count(self, waiting: _Waiting, captured_ns: int, *, taken: int = 1) -> None:
        waiting.taken += taken
        waiting.until_ns = max(waiting.until_ns, captured_ns + self._wait_ns)
        if waiting.taken + waiting.lost == waiting.wanted:
            self._close(waiting, None, "")

    def _nothing_came(self, waiting: _Waiting) -> tuple[MissReason, str]:
        if self._down is not None:
            return self._down
        came = f"{waiting.taken} of {waiting.wanted} frames" if waiting.taken else "no frame"
        return MissReason.NO_FRAME, f"{came} within {self._wait_ns / 1e6:g} ms"

    def _close(self, waiting: _Waiting, miss: MissReason | None, detail: str) -> None:
        self._waiting.remove(waiting)
        if waiting.miss is not None:
            miss, detail = waiting.miss, waiting.detail
        self._announce(
            UnitClosed(
                unit=waiting.unit,
                frames_expected=waiting.wanted,
                frames_taken=waiting.taken,
                miss=miss,
                detail=detail,
            )
        )

    def _hold(self, past: _Past) -> None:
        self._past.append(past)
        while len(self._past) > FRAMES_HELD:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        if self._past:
            frame = self._past.popleft().frame
            if frame is not None:
                frame.lease.release()
                self._on_idle(frame.ref)
