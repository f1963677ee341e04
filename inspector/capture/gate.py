"""Decides for each frame of a camera whether it is fit, for which unit, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Condition

import cv2
import structlog

from inspector.capture.dark import DarkDetector
from inspector.capture.frozen import FrozenDetector, fingerprint
from inspector.capture.optics import OpticsGuard, OpticsLimits, OpticsState, Refusal
from inspector.core.ports import Preview, Teacher, UnitTrigger
from inspector.core.recipes import Job, JobState
from inspector.core.records import Frame, FrameRef, MissedFrame, MissReason, UnitInView
from inspector.flow.inbox import FrameInbox
from inspector.flow.notices import Notices
from inspector.triggers.external.messages import Trigger, TriggerAnswer, TriggerOutcome
from inspector.triggers.external.trigger import ExternalTrigger

log = structlog.get_logger("capture")

FROZEN = "the camera sends the same picture again and again"
DARK = "the picture is dark"

NOT_INSPECTED_WHILE = {
    JobState.TEACHING: MissReason.TEACHING,
    JobState.CHANGING_OVER: MissReason.CHANGING_OVER,
    JobState.NO_PRODUCT: MissReason.NO_PRODUCT,
}
"""Why a frame that was chosen for a unit of such a job is not inspected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """What may change while the camera runs."""

    frozen_after_ns: int
    dark_below: int
    optics: OpticsLimits
    trigger_wait_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the viewers of a camera see."""

    eye: Preview
    in_view: Callable[[], Sequence[UnitInView]]
    """Where units are in the latest frame."""


END_OF_RECORDING = 1 << 62
"""The index that stands for the end: commands due after the last unit come before it."""


def never(_index: int) -> bool:
    """No unit has to wait."""
    return False


class JobInForce:
    """The job that a camera's next unit is opened under.

    The camera's gate swaps it, its detector reads it.
    """

    def __init__(self, job: Job, *, is_held: Callable[[int], bool] = never) -> None:
        """`is_held` says whether a unit, by its index, has to wait before it is opened.

        Only for recordings: the camera waits with it. It is asked under the gate's lock, and again
        after each `CameraGate.let_on`.
        """
        self._job = job
        self._is_held = is_held
        self.one_at_a_time = Condition()
        """The gate's lock: a frame, a trigger or a change of the job at a time."""

    def now(self) -> Job:
        """What a unit that is opened now is judged by. The gate's lock is held."""
        return self._job

    def for_unit(self, index: int) -> Job:
        """The job to open this unit under, once it may be opened.

        The gate's lock is held, and let go while the unit waits, so that the job can change.
        """
        while self._is_held(index):
            self.one_at_a_time.wait()
        return self._job

    def swap(self, job: Job) -> None:
        """For every unit that is opened from now on. The gate's lock is held."""
        self._job = job


class NoTeacher(Teacher):
    """Learn nothing."""

    def take(self, frame: Frame) -> None:
        """Nothing."""
        del frame


class CameraGate:
    """One per camera, for the life of the process: readers come and go, its units go on.

    Any thread; the trigger sees one call at a time, in order.
    """

    def __init__(
        self,
        trigger: UnitTrigger,
        inbox: FrameInbox,
        notices: Notices,
        *,
        job: JobInForce,
        frozen: FrozenDetector | None = None,
        dark: DarkDetector | None = None,
        optics: OpticsGuard | None = None,
        on_chosen: Callable[[Frame], None] = lambda _frame: None,
        shown: Shown | None = None,
        teacher: Teacher | None = None,
        on_triggered: Callable[[], None] = lambda: None,
    ) -> None:
        """`job` is the one that `trigger` reads.

        `frozen` of None: the source is a recording, whose pictures may stand still.
        `on_chosen` sees each frame chosen.
        `on_triggered` is called for each unit that is opened from outside, and must not block.
        """
        self._job = job
        self._teacher = teacher or NoTeacher()
        self._dark = dark or DarkDetector(below=0)
        self._optics = optics
        self._trigger = trigger
        self._inbox = inbox
        self._notices = notices
        self._frozen = frozen
        self._on_chosen = on_chosen
        self._shown = shown
        self._on_triggered = on_triggered
        self._one_at_a_time = job.one_at_a_time
        self._judged = (-1, False)
        """Number of the newest frame, and whether it is dark."""
        self.handed_on = 0
        """Frames that are owed a result: chosen for inspection, or missed."""

    @property
    def obstacle(self) -> str:
        """Why frames have been unusable for a while; empty if they are not."""
        if self._frozen is not None and self._frozen.is_frozen:
            return FROZEN
        return DARK if self._dark.lasts else ""

    @property
    def refused_because(self) -> str:
        """Why the pictures that are chosen are not inspected; empty while they are. Any thread."""
        return "" if self._optics is None else self._optics.cause

    @property
    def optics_state(self) -> OpticsState | None:
        """The optical state of the chosen pictures; None before the first. Any thread."""
        return None if self._optics is None else self._optics.state

    def change(self, limits: GateLimits) -> None:
        """Other limits, from the next frame or trigger on."""
        with self._one_at_a_time:
            self._dark.change(limits.dark_below)
            if self._optics is not None:
                self._optics.change(limits.optics)
            if self._frozen is not None:
                self._frozen.change(limits.frozen_after_ns)
            if isinstance(self._trigger, ExternalTrigger):
                self._trigger.change(limits.trigger_wait_ns)

    def change_job(self, job: Job) -> int:
        """Judge every unit that is opened from now on by this job; those open keep theirs.

        Returns how many units were opened before: the next one's index. Event loop only.
        """
        with self._one_at_a_time:
            self._job.swap(job)
            return self._trigger.opened_units

    @property
    def opened_units(self) -> int:
        """How many units were opened since the start: the next one's index. Event loop only."""
        with self._one_at_a_time:
            return self._trigger.opened_units

    def let_on(self) -> None:
        """Ask again whether the unit that waits may be opened. Event loop only."""
        with self._one_at_a_time:
            self._one_at_a_time.notify_all()

    def pass_on(self, frame: Frame) -> None:
        """A frame with its pixels; takes over its buffer. Blocks only where a recording waits."""
        with self._one_at_a_time:
            # Before the trigger has it: afterwards its buffer may be somebody else's.
            taken_by = self._taken_by(frame)
            chosen = self._observe(frame)
            self.handed_on += len(chosen)
            if taken_by is not None:
                _show(taken_by, frame.ref, chosen)
        self._offer(chosen)

    def miss(self, ref: FrameRef, reason: MissReason, detail: str = "") -> None:
        """A frame that arrived without pixels; its buffer, if any, is released."""
        with self._one_at_a_time:
            missed = self._trigger.missed(MissedFrame(ref=ref, reason=reason, detail=detail))
            self.handed_on += 1
            self._notices.put(missed)

    def interrupt(self, reason: MissReason, detail: str) -> None:
        """No frame follows this one for a while, or for ever: units in view are closed."""
        with self._one_at_a_time:
            left = self._trigger.interrupted(reason, detail)
            self.handed_on += len(left)
            self._dark.reset()
            if self._frozen is not None:
                self._frozen.reset()
        self._offer(left)

    def end(self) -> None:
        """A recording is over; wait for commands that are due after its last unit."""
        with self._one_at_a_time:
            self._job.for_unit(END_OF_RECORDING)

    def trigger(self, trigger: Trigger) -> TriggerAnswer:
        """Open a unit, for a camera that is triggered from outside. Event loop only."""
        with self._one_at_a_time:
            answer, frames = self._external().trigger(trigger)
            if answer.outcome is TriggerOutcome.ACCEPTED:
                self._on_triggered()
            if trigger.job is not None and answer.outcome is TriggerOutcome.ACCEPTED:
                self._job.swap(trigger.job)
            self.handed_on += len(frames)
        self._offer(frames)
        return answer

    def remember(self, unit_id: str, received_mono_ns: int) -> None:
        """Remember a unit that was triggered and answered before the start."""
        self._external().remember(unit_id, received_mono_ns)

    def expire(self, now_ns: int) -> None:
        """Close the triggered units that have waited long enough for a frame. Event loop only."""
        self._external().expire(now_ns)

    @property
    def next_expiry_ns(self) -> int | None:
        """When to call `expire` next; None while no triggered unit waits."""
        return self._external().next_expiry_ns

    def _external(self) -> ExternalTrigger:
        if not isinstance(self._trigger, ExternalTrigger):
            msg = "this camera is not triggered from outside"
            raise TypeError(msg)
        return self._trigger

    def _observe(self, frame: Frame) -> Sequence[Frame]:
        if self._dark.asks:
            dark = self._dark.see(frame.lease.image, frame.ref.captured_mono_ns)
            self._judged = (frame.ref.sequence, dark)
        frozen = self._frozen
        if frozen is None or not frozen.asks:
            return self._trigger.observe(frame)
        was_frozen = frozen.is_frozen
        frozen.see(fingerprint(frame.lease.image), frame.ref.captured_mono_ns, frame.ref.stamp_ns)
        if not frozen.is_frozen:
            return self._trigger.observe(frame)
        frame.lease.release()
        left = () if was_frozen else self._trigger.interrupted(MissReason.CAMERA_FROZEN, FROZEN)
        missed = MissedFrame(ref=frame.ref, reason=MissReason.CAMERA_FROZEN, detail=FROZEN)
        self._notices.put(self._trigger.missed(missed))
        self.handed_on += 1
        return left

    def _taken_by(self, frame: Frame) -> Shown | None:
        """The preview, if it wants this frame: then it has copied the pixels."""
        try:
            wants = self._shown is not None and self._shown.eye.take(frame)
        except Exception:
            # One preview picture is lost; the inspection goes on.
            log.exception("a frame could not be copied for the preview", camera=frame.ref.camera_id)
            return None
        return self._shown if wants else None

    def _is_dark(self, frame: Frame) -> bool:
        if not self._dark.asks:
            return False
        judged, dark = self._judged
        return dark if judged == frame.ref.sequence else self._dark.is_dark(frame.lease.image)

    def _offer(self, chosen: Sequence[Frame]) -> None:
        for taken in chosen:
            frame = taken
            if self._is_dark(frame):
                # No unit is visible in it: the model would find no defect, and the unit would pass.
                self._give_back(frame, MissReason.CAMERA_DARK, DARK)
                continue
            frame, refused = self._measured(frame)
            if refused is not None:
                self._give_back(frame, refused.reason, refused.detail)
                continue
            try:
                self._on_chosen(frame)
            except Exception:
                # A serial is lost, but neither the frame nor its unit's verdict may be.
                log.exception(
                    "a chosen frame could not be searched for a serial", camera=frame.ref.camera_id
                )
            job = frame.ref.under
            if job.state is JobState.TEACHING:
                self._teacher.take(frame)
            if job.state is not JobState.INSPECTING:
                self._give_back(frame, NOT_INSPECTED_WHILE[job.state], job.detail)
                continue
            self._inbox.offer(frame)

    def _measured(self, frame: Frame) -> tuple[Frame, Refusal | None]:
        """The frame with its measures, and why it must not be inspected."""
        if self._optics is None:
            return frame, None
        try:
            optics, refused = self._optics.see(frame.ref, frame.lease.image)
        except (cv2.error, ArithmeticError, ValueError):
            log.exception("a picture could not be measured", camera=frame.ref.camera_id)
            detail = "it could not be measured"
            return frame, Refusal(reason=MissReason.INTERNAL_ERROR, detail=detail)
        return replace(frame, ref=replace(frame.ref, optics=optics)), refused

    def _give_back(self, frame: Frame, reason: MissReason, detail: str) -> None:
        frame.lease.release()
        self._notices.put(MissedFrame(ref=frame.ref, reason=reason, detail=detail))


def _show(shown: Shown, ref: FrameRef, chosen: Sequence[Frame]) -> None:
    units: dict[int, UnitInView] = {}
    try:
        units = {unit.index: unit for unit in shown.in_view()}
    except Exception:
        log.exception("the units in view could not be shown", camera=ref.camera_id)
    for frame in chosen:
        if frame.ref.sequence == ref.sequence and frame.ref.unit is not None:
            index = frame.ref.unit.index
            units[index] = UnitInView(index=index, outline=frame.ref.outline)
    shown.eye.show(ref, list(units.values()))
