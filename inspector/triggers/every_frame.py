"""Makes each frame a unit: for cameras with a hardware trigger, and for stills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from inspector.core.recipes import Job
from inspector.core.records import (
    Frame,
    FrameRef,
    MissedFrame,
    MissReason,
    TriggerKind,
    UnitOpened,
    UnitRef,
)


class EveryFrame:
    """A `UnitTrigger`: every frame is inspected and is a unit of its own.

    A frame that cannot be inspected is a unit too, and its verdict says why. Holds no frames.
    """

    def __init__(
        self,
        tell: Callable[[UnitOpened], None],
        *,
        job_now: Callable[[], Job],
        job_for: Callable[[int], Job] | None = None,
    ) -> None:
        """`tell` is called by the capture thread, before the unit's frame is passed on.

        `job_for` may wait until the unit of this index may be opened; None: none has to.
        """
        self._tell = tell
        self._job_for = job_for or (lambda _index: job_now())
        self._opened = 0

    @property
    def opened_units(self) -> int:
        """The number of frames so far."""
        return self._opened

    def observe(self, frame: Frame) -> Sequence[Frame]:
        """Return the frame, with its unit."""
        return (replace(frame, ref=self._open(frame.ref)),)

    def missed(self, missed: MissedFrame) -> MissedFrame:
        """Return it with its unit."""
        return replace(missed, ref=self._open(missed.ref))

    def interrupted(self, reason: MissReason, detail: str) -> Sequence[Frame]:  # noqa: ARG002
        """Nothing to do: no unit is in view between two frames."""
        return ()

    def _open(self, ref: FrameRef) -> FrameRef:
        unit = UnitRef(
            camera_id=ref.camera_id,
            index=ref.sequence,
            kind=TriggerKind.EVERY_FRAME,
            triggered_mono_ns=ref.captured_mono_ns,
            triggered_unix_ns=ref.captured_unix_ns,
            label=ref.label,
            job=self._job_for(ref.sequence),
        )
        self._opened = ref.sequence + 1
        self._tell(UnitOpened(unit=unit, frames_expected=1))
        return replace(ref, unit=unit)
