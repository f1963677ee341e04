"""Keeps one picture of each undecided unit: the frame that shows most of what is claimed."""

from __future__ import annotations

from inspector.core.records import CameraId, Frame, UnitRef
from inspector.core.verdicts import FrameResult

KEPT_PER_CAMERA = 4
"""How many pictures wait for verdicts at most; the pool has a buffer for each."""


class UnitPictures:
    """Owns the buffers of the frames it keeps. Event loop only."""

    def __init__(self) -> None:
        self._kept: dict[CameraId, dict[int, tuple[float, Frame]]] = {}

    def offer(self, unit: UnitRef, frame: Frame, result: FrameResult) -> bool:
        """Take over a frame of an undecided unit; keeps the better of two, releases the other.

        False where the unit stays without a picture: too many others wait for their verdict.
        """
        kept = self._kept.setdefault(unit.camera_id, {})
        score = max((d.confidence for d in result.findings or ()), default=0.0)
        before = kept.get(unit.index)
        if before is not None:
            if score <= before[0]:
                frame.lease.release()
                return True
            before[1].lease.release()
        elif len(kept) >= KEPT_PER_CAMERA:
            frame.lease.release()
            return False
        kept[unit.index] = (score, frame)
        return True

    def take(self, unit: UnitRef) -> Frame | None:
        """The picture of a unit that is decided, and the ownership of its buffer."""
        found = self._kept.get(unit.camera_id, {}).pop(unit.index, None)
        return None if found is None else found[1]
